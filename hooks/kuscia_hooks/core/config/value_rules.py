"""The rules of values that the steps share with the chart. Generated from charts/kuscia/values.schema.yaml by `make schema`."""

from collections.abc import Mapping

from kuscia_hooks.core.config.value_rule import ValueRule

RULES: Mapping[str, ValueRule] = {
    "text": ValueRule("missing-value", "must not be empty", pattern="^[\\s\\S]"),
    "domainIdForm": ValueRule(
        "invalid-domain-id",
        "must be 1 to 63 characters of a-z, 0-9 or '-', starting and ending with a letter or digit",
        pattern="^[a-z0-9]([a-z0-9-]*[a-z0-9])?\\Z",
        max_length=63,
    ),
    "unreservedDomainId": ValueRule(
        "reserved-domain-id",
        "must not be an ID that Kuscia reserves (default, kube-system, kube-public, kube-node-lease, master, cross-domain)",
        excluded="^(default|kube-system|kube-public|kube-node-lease|master|cross-domain)\\Z",
    ),
    "kusciaId": ValueRule(
        "invalid-name",
        "must be 1 to 63 characters of a-z, 0-9, '.' or '-', starting and ending with a letter or digit, also next to a '.'",
        pattern="^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\\Z",
        max_length=63,
    ),
    "outputPrefix": ValueRule(
        "invalid-output-prefix",
        "must be 1 to 40 characters of a-z, 0-9, '.' or '-', starting and ending with a letter or digit, also next to a '.'; each run appends its own suffix",
        pattern="^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\\Z",
        max_length=40,
    ),
    "bucketName": ValueRule(
        "invalid-bucket-name",
        "must be the name of a bucket: letters, digits, '.', '-' or '_', starting and ending with a letter or digit; a path in the bucket is the prefix",
        pattern="^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\\Z",
        max_length=255,
    ),
    "databaseName": ValueRule(
        "invalid-database-name",
        "must be 1 to 64 letters, digits, '_', '-' or '$'",
        pattern="^[A-Za-z0-9_$-]+\\Z",
        max_length=64,
    ),
    "objectName": ValueRule(
        "invalid-object-name",
        "must be the name of a Kubernetes object: 1 to 253 characters of a-z, 0-9, '-' or '.', starting and ending with a letter or digit, also next to a '.'",
        pattern="^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\\Z",
        max_length=253,
    ),
    "storageClass": ValueRule(
        "invalid-object-name",
        "must be the name of a StorageClass (1 to 253 characters of a-z, 0-9, '-' or '.'), \"-\" for no class, or null for the default class",
        pattern="^(-|[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*)\\Z",
        max_length=253,
    ),
    "namespace": ValueRule(
        "invalid-namespace",
        "must be the name of a namespace: 1 to 63 characters of a-z, 0-9 or '-', starting and ending with a letter or digit",
        pattern="^[a-z0-9]([a-z0-9-]*[a-z0-9])?\\Z",
        max_length=63,
    ),
    "secretKey": ValueRule(
        "invalid-secret-key",
        "must be a key of a Secret or ConfigMap: 1 to 253 letters, digits, '-', '_' or '.', not starting with '..'",
        pattern="^\\.?[A-Za-z0-9_-][A-Za-z0-9._-]*\\Z",
        max_length=253,
    ),
    "notHookAnnotation": ValueRule(
        "hook-annotation",
        "must not be an annotation of Helm hooks, because Helm would create or delete the object at the wrong time",
        excluded="^helm\\.sh/hook",
    ),
    "metadataKeyForm": ValueRule(
        "invalid-metadata-key",
        "must have the form [prefix/]name: the prefix a DNS name in lower case, the name 1 to 63 letters, digits, '-', '_' or '.', starting and ending with a letter or digit",
        pattern="^([a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\\Z",
    ),
    "metadataKeyPrefix": ValueRule(
        "invalid-metadata-key", "must have a prefix of at most 253 characters", excluded="^[^/]{254,}/"
    ),
    "labelValue": ValueRule(
        "invalid-label-value",
        "must be text of at most 63 letters, digits, '-', '_' or '.', starting and ending with a letter or digit; quote a value that looks like a number",
        pattern="^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?\\Z",
        max_length=63,
    ),
    "anyText": ValueRule("text-required", "must be text", pattern="^"),
    "resourceName": ValueRule(
        "unknown-resource",
        "must be a resource of a container: cpu, memory, ephemeral-storage, hugepages-<size>, or one with a prefix, such as nvidia.com/gpu",
        pattern="^(cpu|memory|ephemeral-storage|hugepages-[1-9][0-9]*[KMGT]i|[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*/[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)\\Z",
        excluded="^requests\\.",
    ),
    "quantity": ValueRule(
        "invalid-quantity",
        "must be a Kubernetes quantity",
        pattern="^\\+?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?\\Z",
        max_length=32,
    ),
    "notZero": ValueRule("zero-quantity", "must be greater than zero", pattern="^[^1-9eE]*[1-9]"),
    "capacity": ValueRule(
        "invalid-quantity",
        "must be a Kubernetes quantity with the suffix m, k, Ki, M, Mi, G, Gi, T, Ti or none, as Kuscia requires",
        pattern="^([0-9]+(\\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?)?\\Z",
        max_length=32,
    ),
    "cidr": ValueRule(
        "invalid-cidr",
        "must be a range of addresses with its prefix length; for one IPv4 address, append /32",
        pattern="^(((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])/(3[0-2]|[12]?[0-9])|(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4})*)?::([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4})*)?)/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))\\Z",
        max_length=43,
    ),
    "ipv4": ValueRule(
        "invalid-ip",
        "must be an IPv4 address",
        pattern="^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\\Z",
    ),
    "ip": ValueRule(
        "invalid-ip",
        "must be an IP address",
        pattern="^(((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])|([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4})*)?::([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4})*)?)\\Z",
        max_length=43,
    ),
    "dnsDomain": ValueRule(
        "invalid-dns-domain",
        "must be a DNS domain in lower case without a dot at the end",
        pattern="^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\\Z",
        max_length=253,
    ),
    "hostName": ValueRule(
        "invalid-host",
        "must be a host name of a-z, 0-9, '-' and '.'",
        pattern="^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\\Z",
        max_length=253,
    ),
    "ingressHost": ValueRule(
        "invalid-ingress-host",
        "must be a lower-case host name, not an address, without scheme, port or path, or empty for any host",
        pattern="^(\\*\\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\\Z",
        excluded="^[0-9]+([.][0-9]+)*\\Z",
        max_length=253,
    ),
    "urlWithoutCredentials": ValueRule(
        "url-with-credentials", "must not have a user or password; use the Secret that its block names", excluded="@"
    ),
    "proxyForm": ValueRule(
        "invalid-proxy",
        "must have the form http(s)://host:port; SOCKS proxies are not supported",
        pattern="^https?://([A-Za-z0-9._-]+|\\[[0-9a-fA-F:.]+\\])(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?/?\\Z",
    ),
    "ingressPath": ValueRule("invalid-ingress-path", "must start with '/' and have no blanks", pattern="^/[^\\s]*\\Z"),
    "imageRegistry": ValueRule(
        "invalid-image-registry",
        "must have the form host[:port][/path] without scheme or blanks, and at most 160 characters",
        pattern="^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+((\\.|__?|-+)[a-z0-9]+)*)*/?\\Z",
        max_length=160,
    ),
    "imageName": ValueRule(
        "invalid-image-name",
        "must be a repository in lower case without a tag or digest, which have separate values; only the host of the registry may have upper case letters",
        pattern="^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?/)?[a-z0-9]+((\\.|__?|-+)[a-z0-9]+)*(/[a-z0-9]+((\\.|__?|-+)[a-z0-9]+)*)*\\Z",
        max_length=255,
    ),
    "imageTag": ValueRule(
        "invalid-image-tag",
        "must be 1 to 128 letters, digits, '_', '.' or '-', not starting with '.' or '-'",
        pattern="^[A-Za-z0-9_][A-Za-z0-9_.-]*\\Z",
        max_length=128,
    ),
    "engineImageTag": ValueRule(
        "invalid-image-tag",
        "must be 1 to 128 letters, digits, '_', '.' or '-', with an optional digest (1.0@sha256:…)",
        pattern="^[A-Za-z0-9_][A-Za-z0-9_.-]*(@sha256:[0-9a-f]{64})?\\Z",
        max_length=200,
    ),
    "imageDigest": ValueRule(
        "invalid-image-digest",
        "must be sha256:, followed by 64 lower-case hexadecimal digits",
        pattern="^sha256:[0-9a-f]{64}\\Z",
    ),
    "sha256": ValueRule(
        "invalid-sha256",
        "must be 64 lower-case hexadecimal digits in quotes, as printed by sha256sum",
        pattern="^[0-9a-f]{64}\\Z",
    ),
    "notPrivateKey": ValueRule(
        "private-key-as-certificate",
        "must be the public certificate; a private key must not leave its domain, so replace this one",
        excluded="PRIVATE KEY",
    ),
    "certificateForm": ValueRule(
        "invalid-certificate",
        "must be one certificate in PEM format",
        pattern="^\\s*-----BEGIN CERTIFICATE-----\\s[A-Za-z0-9+/=\\s]+-----END CERTIFICATE-----\\s*\\Z",
    ),
    "scheduleForm": ValueRule(
        "invalid-schedule",
        "must be a cron schedule with five fields, such as */5 0-6,22 * * MON-FRI",
        pattern="^(@(hourly|daily|midnight|weekly|monthly|yearly|annually)|@every ([0-9]{1,6}(\\.[0-9]{1,9})?(ns|us|ms|s|m|h))+|((\\*|\\?|[0-9]{1,2}(-[0-9]{1,2})?)(/[1-9][0-9]?)?(,(\\*|\\?|[0-9]{1,2}(-[0-9]{1,2})?)(/[1-9][0-9]?)?)* +){3}(\\*|\\?|([0-9]{1,2}|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))(-([0-9]{1,2}|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)))?)(/[1-9][0-9]?)?(,(\\*|\\?|([0-9]{1,2}|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))(-([0-9]{1,2}|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)))?)(/[1-9][0-9]?)?)* +(\\*|\\?|([0-9]{1,2}|(?i:sun|mon|tue|wed|thu|fri|sat))(-([0-9]{1,2}|(?i:sun|mon|tue|wed|thu|fri|sat)))?)(/[1-9][0-9]?)?(,(\\*|\\?|([0-9]{1,2}|(?i:sun|mon|tue|wed|thu|fri|sat))(-([0-9]{1,2}|(?i:sun|mon|tue|wed|thu|fri|sat)))?)(/[1-9][0-9]?)?)*)\\Z",
    ),
    "scheduleRange": ValueRule(
        "invalid-schedule",
        "must have minutes 0-59, hours 0-23, days 1-31, months 1-12 and weekdays 0-6",
        excluded="^(([^ @]*[,-])?[6-9][0-9]|[^ @]+ +([^ ]*[,-])?(2[4-9]|[3-9][0-9])|([^ @]+ +){2}([^ ]*[,-])?(0{1,2}([^0-9]|$)|3[2-9]|[4-9][0-9])|([^ @]+ +){3}([^ ]*[,-])?(0{1,2}([^0-9]|$)|1[3-9]|[2-9][0-9])|([^ @]+ +){4}([^ ]*[,-])?(0?[7-9]([^0-9]|$)|[1-9][0-9]))",
    ),
    "scheduleOrder": ValueRule(
        "invalid-schedule",
        "must have ranges that do not end before they start, such as SUN-MON,FRI-SAT instead of FRI-MON",
        excluded="(?i)(^|[ ,])(1[0-9]-0?[0-9]|2[0-9]-(0?|1)[0-9]|3[0-9]-(0?|[1-2])[0-9]|4[0-9]-(0?|[1-3])[0-9]|5[0-9]-(0?|[1-4])[0-9]|0?(1-0?0|2-0?[01]|3-0?[0-2]|4-0?[0-3]|5-0?[0-4]|6-0?[0-5]|7-0?[0-6]|8-0?[0-7]|9-0?[0-8])|1(1-10|2-1[01]|3-1[0-2]|4-1[0-3]|5-1[0-4]|6-1[0-5]|7-1[0-6]|8-1[0-7]|9-1[0-8])|2(1-20|2-2[01]|3-2[0-2]|4-2[0-3]|5-2[0-4]|6-2[0-5]|7-2[0-6]|8-2[0-7]|9-2[0-8])|3(1-30|2-3[01]|3-3[0-2]|4-3[0-3]|5-3[0-4]|6-3[0-5]|7-3[0-6]|8-3[0-7]|9-3[0-8])|4(1-40|2-4[01]|3-4[0-2]|4-4[0-3]|5-4[0-4]|6-4[0-5]|7-4[0-6]|8-4[0-7]|9-4[0-8])|5(1-50|2-5[01]|3-5[0-2]|4-5[0-3]|5-5[0-4]|6-5[0-5]|7-5[0-6]|8-5[0-7]|9-5[0-8])|(feb|0?2)-jan|feb-0?1|(mar|0?3)-(jan|feb)|mar-0?[1-2]|(apr|0?4)-(jan|feb|mar)|apr-0?[1-3]|(may|0?5)-(jan|feb|mar|apr)|may-0?[1-4]|(jun|0?6)-(jan|feb|mar|apr|may)|jun-0?[1-5]|(jul|0?7)-(jan|feb|mar|apr|may|jun)|jul-0?[1-6]|(aug|0?8)-(jan|feb|mar|apr|may|jun|jul)|aug-0?[1-7]|(sep|0?9)-(jan|feb|mar|apr|may|jun|jul|aug)|sep-0?[1-8]|(oct|10)-(jan|feb|mar|apr|may|jun|jul|aug|sep)|oct-0?[1-9]|(nov|11)-(jan|feb|mar|apr|may|jun|jul|aug|sep|oct)|nov-(0?[1-9]|10)|(dec|12)-(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov)|dec-(0?[1-9]|1[01])|(mon|0?1)-sun|mon-0?0|(tue|0?2)-(sun|mon)|tue-0?[0-1]|(wed|0?3)-(sun|mon|tue)|wed-0?[0-2]|(thu|0?4)-(sun|mon|tue|wed)|thu-0?[0-3]|(fri|0?5)-(sun|mon|tue|wed|thu)|fri-0?[0-4]|(sat|0?6)-(sun|mon|tue|wed|thu|fri)|sat-0?[0-5])([ ,/]|$)",
    ),
    "duration": ValueRule(
        "invalid-duration",
        "must be a duration of Prometheus, such as 30s or 1m30s",
        pattern="^([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?\\Z",
    ),
    "nameOverride": ValueRule(
        "invalid-name-override",
        "must be 1 to 42 characters of a-z, 0-9 or '-', starting with a letter and ending with a letter or digit",
        pattern="^[a-z]([a-z0-9-]*[a-z0-9])?\\Z",
        max_length=42,
    ),
    "podsOrShare": ValueRule(
        "invalid-share",
        "must be a number of pods, or a percentage such as 50%",
        pattern="^([0-9]{1,9}|[1-9]?[0-9]%|100%)\\Z",
    ),
    "protocol": ValueRule(
        "unsupported-value",
        "must be one of TLS, NOTLS, MTLS, or null for the default of Kuscia",
        pattern="^(?i:TLS|NOTLS|MTLS)\\Z",
    ),
    "datastoreType": ValueRule(
        "unsupported-value", "must be one of sqlite, mysql, postgres", pattern="^(sqlite|mysql|postgres)\\Z"
    ),
    "runtime": ValueRule("unsupported-value", "must be one of runk, runp, runc", pattern="^(runk|runp|runc)\\Z"),
    "dataSourceType": ValueRule("unsupported-value", "must be one of oss, localfs", pattern="^(oss|localfs)\\Z"),
    "bodyEncryption": ValueRule("unsupported-value", "must be one of AES, SM4", pattern="^(AES|SM4)\\Z"),
    "tokenGenMethod": ValueRule(
        "unsupported-value", "must be one of RSA-GEN, UID-RSA-GEN", pattern="^(RSA-GEN|UID-RSA-GEN)\\Z"
    ),
    "Always|IfNotPresent|Never": ValueRule(
        "unsupported-value", "must be one of Always, IfNotPresent, Never", pattern="^(Always|IfNotPresent|Never)\\Z"
    ),
    "SingleStack|PreferDualStack|RequireDualStack": ValueRule(
        "unsupported-value",
        "must be one of SingleStack, PreferDualStack, RequireDualStack",
        pattern="^(SingleStack|PreferDualStack|RequireDualStack)\\Z",
    ),
    "IPv4|IPv6": ValueRule("unsupported-value", "must be one of IPv4, IPv6", pattern="^(IPv4|IPv6)\\Z"),
    "LoadBalancer|NodePort": ValueRule(
        "unsupported-value", "must be one of LoadBalancer, NodePort", pattern="^(LoadBalancer|NodePort)\\Z"
    ),
    "Cluster|Local": ValueRule("unsupported-value", "must be one of Cluster, Local", pattern="^(Cluster|Local)\\Z"),
    "Prefix|Exact|ImplementationSpecific": ValueRule(
        "unsupported-value",
        "must be one of Prefix, Exact, ImplementationSpecific",
        pattern="^(Prefix|Exact|ImplementationSpecific)\\Z",
    ),
    "ReadWriteOnce|ReadWriteMany|ReadWriteOncePod": ValueRule(
        "unsupported-value",
        "must be one of ReadWriteOnce, ReadWriteMany, ReadWriteOncePod",
        pattern="^(ReadWriteOnce|ReadWriteMany|ReadWriteOncePod)\\Z",
    ),
    "Always|OnFailure|Never": ValueRule(
        "unsupported-value", "must be one of Always, OnFailure, Never", pattern="^(Always|OnFailure|Never)\\Z"
    ),
    "HTTP|GRPC": ValueRule("unsupported-value", "must be one of HTTP, GRPC", pattern="^(HTTP|GRPC)\\Z"),
    "Cluster|Domain|Local": ValueRule(
        "unsupported-value", "must be one of Cluster, Domain, Local", pattern="^(Cluster|Domain|Local)\\Z"
    ),
    "fail|report": ValueRule("unsupported-value", "must be one of fail, report", pattern="^(fail|report)\\Z"),
    "s3v2|s3v4": ValueRule("unsupported-value", "must be one of s3v2, s3v4", pattern="^(s3v2|s3v4)\\Z"),
    "oss|minio": ValueRule("unsupported-value", "must be one of oss, minio", pattern="^(oss|minio)\\Z"),
    "table|model|rule|report|unknown": ValueRule(
        "unsupported-value",
        "must be one of table, model, rule, report, unknown",
        pattern="^(table|model|rule|report|unknown)\\Z",
    ),
    "alice|bob": ValueRule("unsupported-value", "must be one of alice, bob", pattern="^(alice|bob)\\Z"),
}
