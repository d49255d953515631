"""Values that each rule of values.schema.yaml accepts and rejects, for the chart and the models of the steps."""

from dataclasses import dataclass
from typing import Any

NAME_63 = "a" * 63
LABELS_253 = ".".join([NAME_63, NAME_63, NAME_63, "a" * 61])
DIGEST = "sha256:" + "0" * 64
PEM = "-----BEGIN CERTIFICATE-----\nMIIB+/=\n-----END CERTIFICATE-----\n"
# Texts that no name can be: blanks, line ends, other alphabets, look-alikes, control characters, template actions.
HOSTILE = (
    "",
    " ",
    "a b",
    " a",
    "a ",
    "a\n",
    "\na",
    "a\tb",
    "ä",
    "爱丽丝",
    "a\u200b",
    "a\x00",
    "\u0430",
    "{a}",
    '"a"',
    "{{ a }}",
)


@dataclass(frozen=True)
class Cases:
    accepted: tuple[Any, ...]
    rejected: tuple[Any, ...]


# Numbers and booleans where text is required. YAML reads the unquoted values 123, 1e3, 0x10, true and no as these.
NOT_TEXT = (123, 1.5, 1000, True, False)

CASES = {
    "text": Cases(("a", " ", "ä", "1", "a\n"), ("",)),
    "domainIdForm": Cases(
        ("a", "1", "123", "a-b", "0-0", "default", NAME_63, "true", "1e3", "0x10", "no", "null"),
        (*HOSTILE, "A", "a.b", "a_b", "-a", "a-", NAME_63 + "a"),
    ),
    "unreservedDomainId": Cases(
        ("alice", "default-1", "a-master", "masters"),
        ("default", "kube-system", "kube-public", "kube-node-lease", "master", "cross-domain"),
    ),
    "kusciaId": Cases(
        ("a", "2024", "a.b", "a-b", "a.b-c.d", NAME_63),
        (*HOSTILE, "A", "a_b", "-a", "a.", ".a", "a..b", "a.-b", "a-.b", NAME_63 + "a", "a/b"),
    ),
    "outputPrefix": Cases(("a", "psi-output", "a.b", "a" * 40), (*HOSTILE, "A", "-a", "a..b", "a" * 41)),
    "bucketName": Cases(
        ("a", "alice-1250000000", "My_Bucket", "a.b", "a" * 255),
        (*HOSTILE, "alice/tables", "/alice", "https://alice", "-a", "a" * 256),
    ),
    "databaseName": Cases(("kuscia", "Kuscia_1$-", "1", "a" * 64), (*HOSTILE, "a/b", "a.b", "a" * 65)),
    "objectName": Cases(
        ("a", "123", "1e3", "true", "null", "a.b", "a-b.c-d", "a" * 253, LABELS_253),
        (*HOSTILE, "A", "Fast SSD", "{my-secret}", "a_b", "-a", "a-", ".a", "a.", "a..b", "a.-b", "a/b", "a" * 254),
    ),
    "storageClass": Cases(("-", "fast-ssd", "123", "a" * 253), (*HOSTILE, "Fast SSD", "--", "-a", "a" * 254)),
    "namespace": Cases(
        ("a", "9999", "0x10", "lite-alice", NAME_63), (*HOSTILE, "A", "a.b", "a_b", "-a", "a-", NAME_63 + "a")
    ),
    "secretKey": Cases(
        ("a", "tls.crt", ".dockerconfigjson", "A_b-c.d", "1", "a" * 253, "a..b", "-"),
        (*HOSTILE, ".", "..", "..a", "a/b", "a:b", "a" * 254),
    ),
    "metadataKeyForm": Cases(
        ("a", "A_b.c-d", "example.com/team", "example.com/" + "a" * 63, "1/1"),
        (*HOSTILE, "a/b/c", "/a", "a/", "-a", "a-", "Example.com/a", "a_b/c", "a" * 64, "example.com/" + "a" * 64),
    ),
    "metadataKeyPrefix": Cases((LABELS_253 + "/a", "a" * 60), ("a" * 254 + "/a",)),
    "notHookAnnotation": Cases(("helm.sh/resource-policy", "a"), ("helm.sh/hook", "helm.sh/hook-weight")),
    "labelValue": Cases(
        ("", "a", "A_b.c-d", "1", "true", NAME_63),
        (*(text for text in HOSTILE if text), "risk and fraud", "-a", "a-", "a/b", "a@b", NAME_63 + "a"),
    ),
    "resourceName": Cases(
        ("cpu", "memory", "ephemeral-storage", "hugepages-2Mi", "nvidia.com/gpu", "example.com/A_b.c"),
        (*HOSTILE, "cpus", "mem", "gpu", "storage", "CPU", "a.b/", "/gpu", "a/b/c", "hugepages-x", "requests.a.b/c"),
    ),
    "anyText": Cases(("", "sh", "1", "true", "1.10", "a b\n", "ä"), ()),
    "quantity": Cases(
        ("1", "500m", "0.5", "2Gi", "1e3", "1E-2", "100Gi", "1.", ".5", "+1", "0", 1, 2.5, 1000),
        (*HOSTILE, "8 GB", "1GB", "many", "-1", "1e", "Gi", "1gi", "1Ki1", "0x10", "1,5", "1_000", "1" * 33),
    ),
    "notZero": Cases(("1", "0.1", "10Gi", "1e3", 1), ("0", "0Gi", "0.0", "0e5", 0)),
    "capacity": Cases(("", "4", "0", "8Gi", "100m", "1.5", 4, 0.5), ("8 GB", "four", "-1", "1e3", "1Pi", "4\n", "４")),
    "port": Cases((1, 1080, 65535), (0, -1, 65536)),
    "seconds": Cases((1, 86400, 2147483647), (0, -1, 2147483648)),
    "tokenPeriod": Cases((0, 300, 86400), (-1, 2147483648)),
    ">=0": Cases((0, 1, 10**12), (-1,)),
    "cidr": Cases(
        ("10.0.0.0/8", "10.0.0.1/32", "0.0.0.0/0", "::/0", "fd00::/8", "2001:db8::1/128"),
        (
            *HOSTILE,
            "10.0.0.1",
            "10.0.0.0/33",
            "10.0.0.0/",
            "256.0.0.0/8",
            "10.0.0/8",
            "fd00::",
            "fd00::/129",
            "1:2:3/64",
        ),
    ),
    "ipv4": Cases(
        ("10.96.0.20", "0.0.0.0", "255.255.255.255"),
        (*HOSTILE, "10.96.0", "256.1.1.1", "10.96.0.020", "::1", "10.0.0.1/32"),
    ),
    "ip": Cases(
        ("10.96.0.20", "::1", "fd00::7", "2001:db8:0:0:0:0:0:1", "::"),
        (*HOSTILE, "10.96.0", "999.1.1.1", "1:2:3", ":::", "fd00::1::2", "[::1]", "::1%eth0", "example.com"),
    ),
    "dnsDomain": Cases(
        ("cluster.local", "local", "k8s.example.com"),
        (*HOSTILE, "Cluster.local", "cluster.local.", ".local", "a..b", "a_b"),
    ),
    "hostName": Cases(("a", "kuscia.example.com", "1.example.com"), (*HOSTILE, "A.b", "a.", "a_b", "https://a", "a:1")),
    "ingressHost": Cases(
        ("a", "kuscia.example.com", "*.example.com"),
        (*HOSTILE, "*", "a.*.com", "K.example.com", "https://k.example.com", "k.example.com:443", "k.example.com/a"),
    ),
    "ingressPath": Cases(("/", "/kuscia(/|$)(.*)"), ("", "kuscia", "/a b", " /", "/\n")),
    "urlWithoutCredentials": Cases(("http://proxy.example.com:3128",), ("http://u:p@proxy.example.com:3128", "u@h")),
    "proxyForm": Cases(
        ("http://proxy.example.com:3128", "https://10.0.0.7", "http://[fd00::1]:3128/"),
        (
            *HOSTILE,
            "proxy.example.com:3128",
            "socks5://proxy:1080",
            "http://a b",
            "http://a/path",
            "http://a:port",
            "http://a:65536",
            "http://a:0",
        ),
    ),
    "imageRegistry": Cases(
        (
            "registry.example.com",
            "registry.example.com:5000",
            "localhost:5000/mirror",
            "10.0.0.7:5000/a/b_c",
            "a.com/",
            "a" * 160,
        ),
        (
            *HOSTILE,
            "a" * 161,
            "registry.example.com: 5000",
            "https://registry.example.com",
            "a.com/Mirror",
            "a.com:port",
            "a.com//b",
        ),
    ),
    "imageName": Cases(
        (
            "kuscia",
            "secretflow/kuscia",
            "my.registry/kuscia",
            "localhost:5000/a/b__c-d.e",
            "Registry.example.com/a",
            "1/2",
        ),
        (
            *HOSTILE,
            "my.registry/kuscia:1.1",
            "kuscia:1.1",
            f"kuscia@{DIGEST}",
            "Secretflow",
            "a//b",
            "/a",
            "a/",
            "a___b",
            "https://a.com/b",
        ),
    ),
    "imageTag": Cases(
        ("1.10", "latest", "1", "_", "v1.0-rc.1_2", "a" * 128), (*HOSTILE, ".1", "-1", "1:2", "1@2", "1/2", "a" * 129)
    ),
    "engineImageTag": Cases(("1.10", f"1.0@{DIGEST}"), (*HOSTILE, "1.0@sha256:0", f"@{DIGEST}", ".1")),
    "imageDigest": Cases(
        (DIGEST,), (*HOSTILE, "sha256:0", "0" * 64, DIGEST.upper(), DIGEST + "0", DIGEST + "\n", "latest")
    ),
    "sha256": Cases(
        ("0" * 64, "0123456789abcdef" * 4), (*HOSTILE, "ABC", "A" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n")
    ),
    "notPrivateKey": Cases((PEM,), ("-----BEGIN RSA PRIVATE KEY-----", f"{PEM}-----BEGIN PRIVATE KEY-----")),
    "certificateForm": Cases(
        (PEM, f"\n{PEM}\n", PEM.replace("\n", "\r\n")),
        (*HOSTILE, "xyz", "-----BEGIN CERTIFICATE-----", PEM * 2, PEM[:40]),
    ),
    "scheduleForm": Cases(
        ("0 * * * *", "*/5 0-6,22 1 JAN-dec mon-FRI", "@hourly", "@every 1h30m", "0  0 * * ?", "1,2-5/3,*/9 * * * Sun"),
        (
            *HOSTILE,
            *(
                "@every 9999999999h",
                "*/0 * * * *",
                "- * * * *",
                "a b c d e",
                "1-2-3 * * * *",
                "1/2/3 * * * *",
                "0 0 * * MONDAY",
                "0 0 jan * *",
            ),
            "hourly",
            "0 * * *",
            "0 * * * * *",
            "@Hourly",
            "@every",
            "@every 5",
            "@reboot",
            "TZ=UTC 0 * * * *",
        ),
    ),
    "scheduleRange": Cases(
        ("59 23 31 12 6", "0 0 1 1 0", "*/90 */24 */32 */13 */7", "00 00 10,01 10 00-05", "@every 90m", "@daily"),
        (
            *("60 * * * *", "0 24 * * *", "0 0 32 * *", "0 0 0 * *", "0 0 * 13 *", "0 0 * 0 *", "0 0 * * 7"),
            *("0-99 * * * *", "0 0 *,00-09 * *", "0 0 1,0 * *", "0 0 * 00 *", "0 0 * * 0-07", "0 0 * * 10"),
        ),
    ),
    "scheduleOrder": Cases(
        ("0-59 9-17 1-31 jan-DEC sun-sat", "9-09 9-10 * 9-dec 1-fri", "1,5-6,3/2 * * * *", "@every 90m", "@daily"),
        (
            "5-1 * * * *",
            "0 17-9 * * *",
            "0 0 20-19 * *",
            "0 0 * dec-jan *",
            "0 0 * 12-Nov *",
            "0 0 * oct-9 *",
            "0 0 * 07-jun *",
            "0 0 * * fri-mon",
            "0 0 * * SAT-0",
            "0,10-09/2 * * * *",
        ),
    ),
    "duration": Cases(("", "30s", "1m30s", "1h2m3s4ms"), (*HOSTILE[1:], "30", "s", "1s1m", "1d", "-1s", "1.5s")),
    "nameOverride": Cases(("a", "kuscia-1", "a" * 42), (*HOSTILE, "1a", "A", "a-", "a.b", "a" * 43)),
    "podsOrShare": Cases(("0", "1", "0%", "50%", "100%", 0, 1), (*HOSTILE, "-1", "101%", "1.5", "%", -1)),
    "protocol": Cases(("TLS", "tls", "NoTLS", "MTLS"), ("", "SSL", "TLS ", "TLS\n", "mtls,tls")),
    "datastoreType": Cases(("sqlite", "mysql", "postgres"), ("", "MySQL", "oracle", "mysql\n")),
    "runtime": Cases(("runk", "runp", "runc"), ("", "RunK", "docker")),
    "dataSourceType": Cases(("oss", "localfs"), ("", "s3", "OSS")),
    "bodyEncryption": Cases(("AES", "SM4"), ("", "DES", "aes")),
    "tokenGenMethod": Cases(("RSA-GEN", "UID-RSA-GEN"), ("", "RSA")),
}
