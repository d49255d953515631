"""`adopt` on the objects of the guide and variations of them."""

import base64
import copy
import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization

from kuscia_hooks.core.errors import StepError
from kuscia_hooks.inspect import adopt
from kuscia_hooks.kuscia import datastore_address, domain_key
from tests.chart.render import CHART, find, render
from tests.handmade import Node, lite_config
from tests.hooks.failing import fails
from tests.hooks.recordings import DSN_ROWS

MASTER_ENDPOINT = "http://kuscia-master.kuscia-master.svc.cluster.local:1080"
PASSWORD = "p@ss:/w?rd"
DSN = f"mysql://kuscia:{PASSWORD}@tcp(mysql.db.svc.cluster.local:3306)/kuscia?charset=utf8mb4&parseTime=True&loc=Local"
KEYS = {domain: domain_key.new_key() for domain in ("kuscia-system", "alice", "bob")}
MASTER = Node(
    "master", "kuscia-system", "kuscia-master", "kuscia-master", KEYS["kuscia-system"], {"datastoreEndpoint": DSN}
)
ALICE, BOB = (
    Node(
        "Lite", domain, f"lite-{domain}", f"kuscia-lite-{domain}", KEYS[domain],
        lite_config(MASTER_ENDPOINT, f"lite-{domain}", token="used"),
    )
    for domain in ("alice", "bob")
)  # fmt: skip
GUIDE = (MASTER, ALICE, BOB)


def exported(*nodes: Node, change: Callable[[dict[str, Any]], None] | None = None) -> str:
    """Return the output of one `kubectl get` for each node.

    Args:
        change: of the objects, which it gets by kind; of the first node.
    """
    documents = []
    for number, node in enumerate(nodes):
        objects = copy.deepcopy(node.objects())
        if change and number == 0:
            change({item["kind"]: item for item in objects})
        documents.append(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}, indent=1))
    return "\n".join(documents)


def values(text: str, domain: str = "") -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(adopt.attempt(text, domain, secrets=False)[0])
    return found


def secrets(text: str, domain: str = "") -> dict[str, dict[str, str]]:
    """Return the decoded data of each Secret, by name."""
    documents = yaml.safe_load_all(adopt.attempt(text, domain, secrets=True)[0])
    return {
        item["metadata"]["name"]: {key: base64.b64decode(value).decode() for key, value in item["data"].items()}
        for item in documents
    }


def warned(text: str, domain: str = "") -> dict[str, str]:
    return {warning.id: warning.message for warning in adopt.attempt(text, domain, secrets=False)[1]}


def container(objects: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    return found


def test_adopts_the_master_of_the_guide() -> None:
    found = values(exported(*GUIDE), "kuscia-system")
    domains = found["master"].pop("domains")
    assert found == {
        "master": {
            "enabled": True,
            "domainId": "kuscia-system",
            "image": {"repository": "secretflow/kuscia", "tag": "1.1.0b0"},
            "key": {"existingSecret": "kuscia-master-domain-key", "existingSecretKey": "domain.key"},
            "protocol": "NOTLS",
            "fullnameOverride": "kuscia-master",
            "datastore": {
                "type": "mysql",
                "host": "mysql.db.svc.cluster.local",
                "port": 3306,
                "database": "kuscia",
                "user": "kuscia",
                "existingSecret": "kuscia-master-datastore",
                "existingSecretKey": "password",
                "params": {"charset": "utf8mb4", "parseTime": "True", "loc": "Local"},
            },
            "routes": "all",
        }
    }
    assert {name: domain["endpoint"] for name, domain in domains.items()} == {
        name: f"http://kuscia-lite-{name}.lite-{name}.svc.cluster.local:1080" for name in ("alice", "bob")
    }
    assert (
        "cert: |\n        -----BEGIN CERTIFICATE-----\n"
        in adopt.attempt(exported(*GUIDE), "kuscia-system", secrets=False)[0]
    )
    for name, domain in domains.items():
        public = domain_key.public_der(domain_key.load_key(KEYS[name]))
        assert domain_key.certificate_public_der(domain["cert"].encode()) == public


def test_adopts_a_lite_of_the_guide() -> None:
    assert values(exported(ALICE)) == {
        "master": {"enabled": False},
        "lite": {
            "enabled": True,
            "domainId": "alice",
            "image": {"repository": "secretflow/kuscia", "tag": "1.1.0b0"},
            "key": {"existingSecret": "kuscia-lite-alice-domain-key", "existingSecretKey": "domain.key"},
            "protocol": "NOTLS",
            "fullnameOverride": "kuscia-lite-alice",
            "master": {"endpoint": MASTER_ENDPOINT},
            "runtime": "runk",
            "capacity": {"cpu": "4", "memory": "4Gi", "pods": "500", "storage": "100Gi"},
        },
    }


@pytest.mark.parametrize("node", GUIDE, ids=lambda node: node.domain)
def test_chart_accepts_the_values_and_gives_the_same_name(node: Node) -> None:
    found = values(exported(*GUIDE), node.domain)
    objects = render(found, release="anything", namespace=node.namespace)
    assert find(objects, "Service", node.name)
    assert find(objects, "Deployment", node.name)


def test_guide_has_no_warnings() -> None:
    assert [warned(exported(*GUIDE), node.domain) for node in GUIDE] == [{}, {}, {}]


@pytest.mark.parametrize("node", GUIDE, ids=lambda node: node.domain)
def test_secrets_have_the_same_key(node: Node) -> None:
    found = secrets(exported(*GUIDE), node.domain)
    assert found.pop(f"{node.name}-domain-key") == {"domain.key": node.key.decode()}
    assert found == ({"kuscia-master-datastore": {"password": PASSWORD}} if node is MASTER else {})


def test_values_and_warnings_have_no_secret() -> None:
    config = {**MASTER.config, "clusterToken": "cluster-secret", "unknownPassword": "other-secret"}
    text = exported(replace(MASTER, config=config), ALICE, BOB)
    printed, warnings = adopt.attempt(text, "kuscia-system", secrets=False)
    shown = printed + "".join(f"{warning.message} {warning.fix}" for warning in warnings)
    secret = [PASSWORD, "cluster-secret", "other-secret"]
    secret += [line for key in KEYS.values() for line in key.decode().splitlines()[1:-1]]
    assert [value for value in secret if value in shown] == []


def test_keys_without_a_value_of_their_own_are_kept_in_a_secret() -> None:
    config = {**MASTER.config, "clusterToken": "t", "garbageCollection": {"kusciaJobGC": {"durationHours": 3}}}
    text = exported(replace(MASTER, config={**config, "logLevel": "DEBUG", "kusciaAPISans": ["a.example.com"]}))
    found = values(text)["master"]
    assert found["extraConfig"] == {"logLevel": "DEBUG", "kusciaAPISans": ["a.example.com"]}
    assert (found["extraConfigSecret"], found["extraConfigSecretKey"]) == ("kuscia-master-config", "kuscia.yaml")
    kept = yaml.safe_load(secrets(text)["kuscia-master-config"]["kuscia.yaml"])
    assert kept == {"clusterToken": "t", "garbageCollection": {"kusciaJobGC": {"durationHours": 3}}}


@pytest.mark.parametrize("mode", ["master", "lite"])
def test_the_other_keys_are_those_that_the_chart_knows(mode: str) -> None:
    """The chart warns of others, and rejects those with a value of their own."""
    template = (CHART / f"charts/{mode}/templates/_config.tpl").read_text()
    (known,) = re.findall(r"^known: (\[.*\])$", template, re.MULTILINE)
    assert set(adopt.OTHER_KEYS[mode]) | {"logLevel", "kusciaAPISans"} == set(yaml.safe_load(known)) - {"runk"}


def test_rest_of_runk_is_kept() -> None:
    config = {**ALICE.config, "runk": {"namespace": "engines", "enableLogging": True, "logMaxSize": "512Mi"}}
    text = exported(replace(ALICE, config=config))
    assert values(text)["lite"]["runk"] == {"namespace": "engines", "enableLogging": True}
    assert yaml.safe_load(secrets(text)["kuscia-lite-alice-config"]["kuscia.yaml"]) == {"runk": {"logMaxSize": "512Mi"}}


def test_unknown_keys_and_kubeconfig_are_reported() -> None:
    config = {**ALICE.config, "metricUpdatePeriod": 5, "runk": {"namespace": "x", "kubeconfigFile": "/k"}}
    message = warned(exported(replace(ALICE, config=config)))["adopt-setting-left-out"]
    assert "metricUpdatePeriod" in message
    assert "lite.runk.kubeconfigSecret" in message


@pytest.mark.parametrize(
    ("protocol", "written"), [("TLS", "TLS"), ("mtls", "MTLS"), (None, None)], ids=["TLS", "mtls", "none"]
)
def test_scheme_of_a_domain_follows_its_protocol(protocol: str | None, written: str | None) -> None:
    alice = replace(ALICE, config={**ALICE.config, "protocol": protocol})
    endpoint = values(exported(MASTER, alice), "kuscia-system")["master"]["domains"]["alice"]["endpoint"]
    assert endpoint.startswith("https:" if written else "http:")
    found = values(exported(alice))["lite"]
    assert "protocol" in found
    assert found["protocol"] == written


def test_lite_of_another_master_is_not_admitted() -> None:
    other = replace(ALICE, config=lite_config("http://kuscia-master.elsewhere.svc.cluster.local:1080", "lite-alice"))
    assert list(values(exported(MASTER, other, BOB), "kuscia-system")["master"]["domains"]) == ["bob"]


def test_cluster_domain_of_the_endpoints() -> None:
    alice = replace(ALICE, config=lite_config(MASTER_ENDPOINT.replace("cluster.local", "corp.test"), "lite-alice"))
    found = values(exported(MASTER, alice), "kuscia-system")
    assert found["global"]["kuscia"]["clusterDomain"] == "corp.test"
    assert ".svc.corp.test:1080" in found["master"]["domains"]["alice"]["endpoint"]


@pytest.mark.parametrize(
    ("kind", "external"),
    [
        ("NodePort", {"enabled": True, "type": "NodePort", "port": 1080, "nodePort": 31080}),
        ("LoadBalancer", {"enabled": True, "type": "LoadBalancer", "port": 1080, "annotations": {"a": "b"}}),
    ],
)
def test_gateway_stays_exposed(kind: str, external: dict[str, Any]) -> None:
    def expose(objects: dict[str, Any]) -> None:
        service = objects["Service"]
        service["spec"]["type"] = kind
        service["spec"]["ports"][0]["nodePort"] = 31080
        service["status"] = {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}
        if kind == "LoadBalancer":
            service["metadata"]["annotations"] = {"a": "b", "kubectl.kubernetes.io/last-applied-configuration": "{}"}

    text = exported(MASTER, change=expose)
    assert values(text)["master"]["service"]["external"] == external
    assert ("1.2.3.4" in warned(text).get("adopt-address-may-change", "")) is (kind == "LoadBalancer")


def test_settings_of_the_pod_are_kept() -> None:
    def change(objects: dict[str, Any]) -> None:
        container(objects)["resources"] = {"limits": {"memory": "6Gi"}}
        container(objects)["securityContext"] = {"runAsNonRoot": True, "runAsUser": 1000}
        container(objects)["image"] = "registry.example.com:5000/kuscia@sha256:" + 64 * "a"
        container(objects)["imagePullPolicy"] = "Always"
        pod = objects["Deployment"]["spec"]["template"]["spec"]
        pod |= {"nodeSelector": {"disk": "ssd"}, "imagePullSecrets": [{"name": "registry"}]}

    found = values(exported(ALICE, change=change))
    assert found["global"] == {"kuscia": {"imagePullSecrets": ["registry"]}}
    lite = found["lite"]
    assert (lite["resources"], lite["rootless"], lite["nodeSelector"]) == (
        {"limits": {"memory": "6Gi"}},
        True,
        {"disk": "ssd"},
    )
    assert lite["image"] == {
        "repository": "registry.example.com:5000/kuscia",
        "digest": "sha256:" + 64 * "a",
        "pullPolicy": "Always",
    }


def pod_spec(objects: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = objects["Deployment"]["spec"]["template"]["spec"]
    return found


def test_security_context_and_dns_of_the_pod_are_kept() -> None:
    def change(objects: dict[str, Any]) -> None:
        container(objects)["securityContext"] = {
            "runAsUser": 2000,
            "runAsNonRoot": True,
            "readOnlyRootFilesystem": False,
        }
        pod_spec(objects)["securityContext"] = {"fsGroup": 2000}
        pod_spec(objects)["dnsConfig"] = {"options": [{"name": "ndots", "value": "1"}]}
        annotations = {"sidecar.istio.io/inject": "false", "kubectl.kubernetes.io/restartedAt": "2026-11-24T00:00:00Z"}
        objects["Deployment"]["spec"]["template"]["metadata"]["annotations"] = annotations

    text = exported(ALICE, change=change)
    lite = values(text)["lite"]
    assert {name: lite[name] for name in ("rootless", "securityContext", "podSecurityContext", "dnsConfig")} == {
        "rootless": True,
        "securityContext": {"runAsUser": 2000, "readOnlyRootFilesystem": False},
        "podSecurityContext": {"fsGroup": 2000},
        "dnsConfig": {"options": [{"name": "ndots", "value": "1"}]},
    }
    assert lite["podAnnotations"] == {"sidecar.istio.io/inject": "false"}
    assert warned(text) == {}
    deployment = find(render(values(text), namespace="lite-alice"), "Deployment", "kuscia-lite-alice")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["fsGroup"] == 2000
    (kuscia,) = [one for one in pod["containers"] if one["name"] == "lite"]
    assert (kuscia["securityContext"]["runAsUser"], kuscia["securityContext"]["runAsNonRoot"]) == (2000, True)


def test_guide_without_root_needs_the_value_only() -> None:
    def rootless(objects: dict[str, Any]) -> None:
        container(objects)["securityContext"] = {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "runAsGroup": 1000,
            "capabilities": {"add": ["NET_BIND_SERVICE"]},
        }
        pod_spec(objects).update(
            dnsPolicy="None", dnsConfig={"nameservers": ["127.0.0.1"]}, schedulerName="default-scheduler"
        )

    text = exported(ALICE, change=rootless)
    assert {"securityContext", "podSecurityContext", "dnsConfig"} & values(text)["lite"].keys() == set()
    assert values(text)["lite"]["rootless"] is True
    assert warned(text) == {}


def test_settings_that_are_left_out_are_listed() -> None:
    def change(objects: dict[str, Any]) -> None:
        container(objects)["env"] = [{"name": "NAMESPACE", "value": "alice"}, {"name": "MINE", "value": "hidden"}]
        container(objects)["volumeMounts"].append({"name": "x", "mountPath": "/data"})
        pod = objects["Deployment"]["spec"]["template"]["spec"]
        pod["containers"].append({"name": "sidecar", "image": "x"})
        pod["serviceAccountName"] = "own"
        pod |= {"schedulerName": "volcano", "dnsPolicy": "Default"}
        container(objects).update({"livenessProbe": {"tcpSocket": {"port": 1080}}, "lifecycle": {"preStop": {}}})

    message = warned(exported(ALICE, change=change))["adopt-setting-left-out"]
    names = (
        "MINE",
        "/data",
        "sidecar",
        "serviceAccountName",
        "schedulerName",
        "dnsPolicy",
        "livenessProbe",
        "lifecycle",
    )
    assert [name for name in names if name not in message] == []
    assert "NAMESPACE" not in message
    assert "hidden" not in message


@pytest.mark.parametrize("image", ["secretflow/kuscia", "registry:5000/kuscia:latest"])
def test_reports_a_tag_that_can_change(image: str) -> None:
    text = exported(replace(ALICE, image=image))
    assert values(text)["lite"]["image"]["tag"] == "latest"
    assert "adopt-image-not-pinned" in warned(text)


@pytest.mark.parametrize(("path", "kept"), [("/home/kuscia/var/k3s", True), ("/home/kuscia/var/k3s/server/db", False)])
def test_sqlite_on_a_claim_of_the_same_place_is_kept(path: str, kept: bool) -> None:
    def mount(objects: dict[str, Any]) -> None:
        container(objects)["volumeMounts"].append({"name": "state", "mountPath": path})
        claim = {"name": "state", "persistentVolumeClaim": {"claimName": "k3s"}}
        objects["Deployment"]["spec"]["template"]["spec"]["volumes"].append(claim)

    text = exported(replace(MASTER, config={}), change=mount)
    assert values(text)["master"].get("persistence") == ({"existingClaim": "k3s"} if kept else None)
    assert ("adopt-state-in-pod" in warned(text)) is not kept
    assert "datastore" not in values(text)["master"]


def test_configuration_in_a_secret() -> None:
    def move(objects: dict[str, Any]) -> None:
        holder = objects["ConfigMap"]
        holder["kind"] = "Secret"
        holder["data"] = {"conf": base64.b64encode(holder["data"]["kuscia.yaml"].encode()).decode()}
        volume = objects["Deployment"]["spec"]["template"]["spec"]["volumes"][1]
        volume.pop("configMap")
        volume["secret"] = {"secretName": "kuscia-master-cm", "items": [{"key": "conf", "path": "kuscia.yaml"}]}

    text = exported(MASTER, change=move)
    assert values(text)["master"]["domainId"] == "kuscia-system"
    assert "delete secret/kuscia-master-cm" in adopt.attempt(text, "", secrets=False)[0]


def test_key_with_line_breaks_is_read_as_kuscia_reads_it() -> None:
    """base64 breaks lines after 76 characters, with CRLF on Windows."""
    for end in ("\n", "\r\n"):
        wrapped = base64.encodebytes(ALICE.key).decode().replace("\n", end)
        text = exported(replace(ALICE, config={**ALICE.config, "domainKeyData": wrapped}))
        assert secrets(text)["kuscia-lite-alice-domain-key"] == {"domain.key": ALICE.key.decode()}


@pytest.mark.parametrize("key", ["PKCS8", "TraditionalOpenSSL"])
def test_key_stays_in_its_format(key: str) -> None:
    private = domain_key.load_key(ALICE.key)
    pem = private.private_bytes(
        serialization.Encoding.PEM, getattr(serialization.PrivateFormat, key), serialization.NoEncryption()
    ).replace(b"\n", b"\r\n")
    assert secrets(exported(replace(ALICE, key=pem)))["kuscia-lite-alice-domain-key"] == {"domain.key": pem.decode()}


def config_volume(objects: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = objects["Deployment"]["spec"]["template"]["spec"]["volumes"][1]
    return found


def directory(objects: dict[str, Any]) -> None:
    mount = container(objects)["volumeMounts"][1]
    mount["mountPath"] = "/home/kuscia/etc/conf/"
    del mount["subPath"]


def other_file(objects: dict[str, Any]) -> None:
    data = objects["ConfigMap"]["data"]
    data["alice.yaml"] = data.pop("kuscia.yaml")
    container(objects)["volumeMounts"][1] |= {"subPath": "alice.yaml", "mountPath": "/etc/alice.yaml"}
    container(objects)["command"][-2:] = ["--config=/etc/alice.yaml"]


def other_key(objects: dict[str, Any]) -> None:
    data = objects["ConfigMap"]["data"]
    data["conf"] = data.pop("kuscia.yaml")
    config_volume(objects)["configMap"]["items"] = [{"key": "conf", "path": "kuscia.yaml"}]


def projected(objects: dict[str, Any]) -> None:
    other_key(objects)
    sources = [{"configMap": {"name": "other"}}, {"configMap": config_volume(objects).pop("configMap")}]
    config_volume(objects)["projected"] = {"sources": sources}


def default_entrypoint(objects: dict[str, Any]) -> None:
    del container(objects)["command"]


@pytest.mark.parametrize("change", [directory, other_file, other_key, projected, default_entrypoint])
def test_finds_the_configuration_wherever_it_is_mounted(change: Callable[[dict[str, Any]], None]) -> None:
    text = exported(ALICE, change=change)
    assert values(text)["lite"]["domainId"] == "alice"
    assert warned(text) == {}


def test_configuration_of_another_program_is_not_one_of_kuscia() -> None:
    def nginx(objects: dict[str, Any]) -> None:
        other_file(objects)
        container(objects)["command"] = ["nginx", "-c", "/etc/alice.yaml"]

    with fails("adopt-nothing-found"):
        adopt.attempt(exported(ALICE, change=nginx), "", secrets=False)


def test_ignores_a_release_of_the_chart() -> None:
    """Its configuration has no ConfigMap that is complete: the step prepare writes it."""
    objects = render({}, "alice", namespace="lite-alice")
    chart = json.dumps({"kind": "List", "metadata": {}, "items": objects})
    assert values(exported(BOB) + chart)["lite"]["domainId"] == "bob"


def test_reports_a_domain_with_several_deployments() -> None:
    text = exported(ALICE, replace(ALICE, namespace="old"), BOB)
    with fails("adopt-domain-required") as error:
        adopt.attempt(text, "alice", secrets=False)
    assert [
        place for place in ("lite-alice/kuscia-lite-alice", "old/kuscia-lite-alice") if place not in f"{error.value}"
    ] == []


def test_nodes_in_one_namespace_become_different_releases() -> None:
    """A second release of the same name would replace the first one, and so delete its node."""
    long = replace(BOB, namespace="ns", domain="b" * 63)
    text = exported(replace(MASTER, namespace="ns"), replace(ALICE, namespace="ns"), long, replace(BOB, name="other"))
    releases = {
        domain: re.findall(r"helm upgrade --install (\S+) ", adopt.attempt(text, domain, secrets=False)[0])
        for domain in ("kuscia-system", "alice", "b" * 63, "bob")
    }
    assert releases.pop("bob") == ["kuscia"]
    names = [name for (name,) in releases.values()]
    assert len({"kuscia", *names}) == 4
    assert max(map(len, names)) <= 53


def no_key(objects: dict[str, Any]) -> None:
    config_volume(objects)["configMap"]["items"] = [{"key": "my-key", "path": "kuscia.yaml"}]


def on_disk(objects: dict[str, Any]) -> None:
    config_volume(objects).pop("configMap")


def test_header_deletes_what_the_release_replaces() -> None:
    printed, _ = adopt.attempt(exported(*GUIDE), "alice", secrets=False)
    delete = "kubectl -n lite-alice delete deployment/kuscia-lite-alice service/kuscia-lite-alice --cascade=foreground"
    assert delete in printed
    assert "kubectl -n lite-alice delete configmap/kuscia-lite-alice-cm" in printed


def no_config(objects: dict[str, Any]) -> None:
    objects["ConfigMap"]["metadata"]["name"] = "other"


def bad_yaml(objects: dict[str, Any]) -> None:
    objects["ConfigMap"]["data"]["kuscia.yaml"] = "a: [hidden"


@pytest.mark.parametrize(
    ("text", "domain", "error_id", "shown"),
    [
        ("NAME READY", "", "adopt-input-invalid", "-o json"),
        ("[]", "", "adopt-input-invalid", ""),
        ('{"kind": "List", "metadata": {}, "items": []}', "", "adopt-nothing-found", "configmaps"),
        (exported(*GUIDE), "", "adopt-domain-required", "kuscia-system, alice, bob"),
        (exported(*GUIDE), "carol", "adopt-domain-required", "carol"),
        (exported(ALICE, change=no_config), "", "adopt-config-invalid", "kuscia-lite-alice-cm"),
        (exported(ALICE, change=bad_yaml), "", "adopt-config-invalid", "kuscia-lite-alice-cm"),
        (exported(ALICE, change=no_key), "", "adopt-config-invalid", "my-key"),
        (exported(ALICE, change=on_disk), "", "adopt-nothing-found", ""),
        *(
            (exported(replace(ALICE, config={**ALICE.config, key: value})), "", "adopt-config-invalid", key)
            for key, value in (("runk", "hidden"), ("capacity", ["hidden"]), ("domainRoute", "hidden"))
        ),
        (exported(replace(ALICE, mode="Autonomy")), "", "adopt-config-invalid", "autonomy"),
        (exported(replace(ALICE, domain="Al ice")), "", "adopt-config-invalid", "domainID"),
        (exported(replace(ALICE, key=b"{{.DOMAIN_KEY_DATA}}")), "", "adopt-config-invalid", "domainKeyData"),
        (exported(replace(ALICE, config={"runtime": "runk"})), "", "adopt-config-invalid", "masterEndpoint"),
        (
            exported(replace(MASTER, config={"datastoreEndpoint": "mysql://root:hidden@unix(/x)/kine"})),
            "",
            "adopt-config-invalid",
            "datastoreEndpoint",
        ),
    ],
)  # fmt: skip
def test_reports_what_cannot_be_taken_over(text: str, domain: str, error_id: str, shown: str) -> None:
    with fails(error_id) as refused:
        adopt.attempt(text, domain, secrets=False)
    assert shown in f"{refused.value}"
    assert "hidden" not in f"{refused.value}"


@pytest.mark.parametrize("row", DSN_ROWS, ids=lambda row: row["dsn"])
def test_reads_a_dsn_as_the_driver_does(row: dict[str, Any]) -> None:
    found = datastore_address.parse(f"mysql://{row['dsn']}")
    assert (found.user, found.password, f"{found.host}:{found.port}", found.database) == (
        row["user"],
        row["password"],
        row["addr"],
        row["db"],
    )


def test_reads_a_postgres_url() -> None:
    found = datastore_address.parse("postgresql://a%40b:p%40s@db.example.com/kine?sslmode=disable")
    assert (found.type, found.host, found.port, found.database) == ("postgres", "db.example.com", 5432, "kine")
    assert (found.user, found.password, found.params) == ("a@b", "p@s", {"sslmode": "disable"})


@pytest.mark.parametrize("password", ["hidden／2", "hidden：x", "[hidden", "us@er:hidden/2"])
def test_error_quotes_no_part_of_an_address(password: str) -> None:
    config = {"datastoreEndpoint": f"postgres://root:{password}@db.example.com/kine"}
    with fails("adopt-config-invalid") as error:
        adopt.attempt(exported(replace(MASTER, config=config)), "", secrets=False)
    assert "hidden" not in f"{error.value}"


@pytest.mark.parametrize("endpoint", ["kuscia-master:1080", "https://[", "https://m:port"])
def test_invalid_endpoint_of_one_lite_does_not_affect_the_other_nodes(endpoint: str) -> None:
    text = exported(MASTER, replace(ALICE, config=lite_config(endpoint, "lite-alice")), BOB)
    assert list(values(text, "kuscia-system")["master"]["domains"]) == ["bob"]
    assert values(text, "bob")["lite"]["domainId"] == "bob"
    with fails("adopt-config-invalid"):
        adopt.attempt(text, "alice", secrets=False)


def _places(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*at, key)
        yield from _places(item, (*at, key))


@pytest.mark.parametrize("kind", ["Deployment", "Service", "ConfigMap"])
@pytest.mark.parametrize("secrets", [False, True])
def test_reports_objects_with_other_fields_as_input(kind: str, secrets: bool) -> None:
    """Each field is missing, null, or of another type."""
    objects = ALICE.objects()
    number = next(number for number, item in enumerate(objects) if item["kind"] == kind)
    reported = 0
    for place in list(_places(objects[number])):
        for change in ("missing", None, [1], {"a": 1}, "x", 5):
            items = copy.deepcopy(objects)
            holder: Any = items[number]
            for key in place[:-1]:
                holder = holder[key]
            if change == "missing":
                del holder[place[-1]]
            else:
                holder[place[-1]] = change
            try:
                adopt.attempt(json.dumps({"items": items}), "", secrets)
            except StepError as error:
                reported += error.id == "adopt-input-invalid"
    assert reported > 5


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"items": 3}', '{"items": null}', '{"kind": "Secret", "metadata": null}']
)
def test_reports_input_of_another_form(text: str) -> None:
    with fails("adopt-input-invalid"):
        adopt.attempt(text, "", secrets=False)


LEVELS = "\n".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in itertools.pairwise("abcdefgh")
)


@pytest.mark.parametrize("text", [f"a: &a [x]\n{LEVELS}\nagent: *h\n", "agent: &agent [*agent]\n"])
def test_rejects_aliases_that_stand_for_too_many_values(text: str) -> None:
    def change(objects: dict[str, Any]) -> None:
        data = objects["ConfigMap"]["data"]
        data["kuscia.yaml"] = text + data["kuscia.yaml"]

    with fails("adopt-config-invalid"):
        adopt.attempt(exported(ALICE, change=change), "", secrets=True)
