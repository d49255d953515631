"""Keys of kuscia.yaml that are handed on, a Secret with more of them, and a certificate of one's own on the gateway."""

import base64
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from kuscia_hooks.kuscia import domain_key
from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import kusciaapi
from testbed.demo.releases import ROOT
from tests.e2e.conftest import eventually
from tests.e2e.plugin import kuscia
from tests.e2e.variants import Variant, variant

pytestmark = [pytest.mark.cluster, pytest.mark.long]

TOKEN = "a-token-of-the-cluster"
CONFIG = "kuscia-config"
CERTIFICATE = "kuscia-gateway"


def give_certificate(made: Variant) -> str:
    """The Secret of values/gateway-certificate.yaml, made anew; the certificate in it, PEM."""
    key = domain_key.new_key()
    certificate = domain_key.ca_certificate(domain_key.load_key(key), "kuscia.example.com")
    content = {"tls.crt": certificate.decode(), "tls.key": key.decode()}
    made.secret(made.namespace("master"), CERTIFICATE, content)
    return content["tls.crt"]


def give_config(made: Variant, token: str) -> None:
    """The Secret of values/extra-config.yaml."""
    made.secret(made.namespace("master"), CONFIG, {"kuscia.yaml": yaml.safe_dump({"clusterToken": token})})


@pytest.fixture(scope="module")
def installed(demo: Demo, images: Path) -> Iterator[Variant]:
    with variant(demo, images, "config", presets=("extra-config", "gateway-certificate")) as made:
        give_config(made, TOKEN)
        give_certificate(made)
        made.install_all()
        yield made


def shown(made: Variant, port: int) -> bytes:
    """The certificate that the master shows on a port of its Service, DER."""
    release = made.release("master")
    with made.kubectl.port_forward(release.namespace, f"service/{release.fullname}", port) as local:
        return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", local), timeout=10))


def alice_is_ready(made: Variant) -> bool:
    """The master without `protocol` is asked over MTLS."""
    with kusciaapi(made.kubectl, made.release("master"), "MTLS") as api:
        nodes = api.call("domain/query", {"domain_id": "alice"})["node_statuses"]
    return [node["status"] for node in nodes] == ["Ready"]


def rollout(made: Variant, verb: str) -> None:
    """`kubectl rollout restart` or `status` of the master; the latter waits."""
    release = made.release("master")
    made.kubectl.run("rollout", verb, f"deployment/{release.fullname}", "-n", release.namespace, timeout=200)


def lines(made: Variant, party: str, level: str) -> int:
    """How much a party's Kuscia has logged at a level."""
    component = "master" if party == "master" else "lite"
    return made.log(party, component).count(f" {level} ")


@pytest.mark.parametrize("party", ["master", "alice"])
def test_keys_reach_kuscia(installed: Variant, party: str) -> None:
    """As they are in the presets, beside what the chart sets."""
    component = "master" if party == "master" else "lite"
    wanted: dict[str, Any] = {}
    for preset in ("extra-config", "gateway-certificate"):
        content = yaml.safe_load((ROOT / f"values/{preset}.yaml").read_text())
        wanted |= content.get(component, {}).get("extraConfig", {})
    sans = wanted.pop("kusciaAPISans", [])
    assert len(wanted) >= 4
    found = installed.kuscia_yaml(party)
    assert {key: found[key] for key in wanted} == wanted
    assert set(sans) < set(found["kusciaAPISans"])
    status = installed.pod(party)["status"]["containerStatuses"][0]
    assert (status["ready"], status["restartCount"]) == (True, 0)


def test_a_secret_goes_into_the_file_and_nowhere_else(installed: Variant) -> None:
    assert installed.kuscia_yaml("master")["clusterToken"] == TOKEN
    namespace = installed.namespace("master")
    looked = [
        installed.kubectl.run("get", "configmaps,pods,jobs,deployments", "-n", namespace, "-o", "yaml"),
        installed.kubectl.helm("get", "all", "kuscia", "-n", namespace),
        installed.log("master", "prepare"),
        installed.log("master", "master"),
    ]
    assert CONFIG in looked[0]
    assert [TOKEN in text for text in looked] == [False] * len(looked)


def test_names_in_the_certificate_of_the_api(installed: Variant) -> None:
    """`kusciaAPISans`: the preset's, and the Service's own."""
    certificate = x509.load_der_x509_certificate(shown(installed, 8082))
    sans = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    names = sans.get_values_for_type(x509.DNSName)
    release = installed.release("master")
    assert {"kuscia.example.com", f"{release.fullname}.{release.namespace}.svc.cluster.local"} <= set(names)


def test_the_gateway_shows_the_given_certificate(installed: Variant) -> None:
    """A renewed one after a restart; the lite takes both, since it verifies none."""
    stored = installed.kubectl.get("secret", CERTIFICATE, "-n", installed.namespace("master"))
    given = ssl.PEM_cert_to_DER_cert(base64.b64decode(stored["data"]["tls.crt"]).decode())
    assert shown(installed, 1080) == given
    assert alice_is_ready(installed)

    renewed = ssl.PEM_cert_to_DER_cert(give_certificate(installed))
    rollout(installed, "restart")
    rollout(installed, "status")
    assert renewed != given
    assert shown(installed, 1080) == renewed
    assert "Succeeded" in installed.test()


def test_log_level(installed: Variant) -> None:
    """WARN in the preset; INFO says much more. Another level starts Kuscia anew."""
    pod = installed.pod("alice")["metadata"]["name"]
    quiet = lines(installed, "alice", "INFO")
    installed.install("alice", values={"lite": {"extraConfig": {"logLevel": "INFO"}}})
    assert installed.pod("alice")["metadata"]["name"] != pod
    assert installed.kuscia_yaml("alice")["logLevel"] == "INFO"
    talkative = lines(installed, "alice", "INFO")
    assert quiet * 2 < talkative, (quiet, talkative)


def test_a_changed_secret_is_found_by_doctor(installed: Variant) -> None:
    namespace = installed.namespace("master")
    give_config(installed, "another-token")
    said = kuscia(installed.kubectl, "doctor", "-n", namespace)
    give_config(installed, TOKEN)
    assert said.code == 1, said
    assert f"Secret {namespace}/{CONFIG} was changed after the pod started" in said.text
    assert "token" not in said.text, "its content"
    assert kuscia(installed.kubectl, "doctor", "-n", namespace).code == 0


def test_a_changed_cluster_token(installed: Variant) -> None:
    """On sqlite only Kuscia itself sees it, and gives up; given back, all is there."""
    namespace = installed.namespace("master")
    give_config(installed, "another-token")
    rollout(installed, "restart")
    words = "etc/kubeconfig: no such file or directory"
    eventually(lambda: words in installed.log("master", "master"), 300, "Kuscia gives up")
    said = kuscia(installed.kubectl, "doctor", "-n", namespace)
    assert said.code == 1, said
    assert "the state belongs to another domain ID or clusterToken" in said.text
    give_config(installed, TOKEN)
    rollout(installed, "restart")
    rollout(installed, "status")
    eventually(lambda: alice_is_ready(installed), 240, "alice is connected")
    assert "Succeeded" in installed.test("master")


def test_what_does_not_belong_into_the_secret_stops_prepare(installed: Variant) -> None:
    """Kuscia does not start with it; prepare names the key, and goes on once it is gone."""
    content = {"clusterToken": TOKEN, "kusciaAPI": {"httpPort": 8082}}
    installed.secret(installed.namespace("master"), CONFIG, {"kuscia.yaml": yaml.safe_dump(content)})
    rollout(installed, "restart")
    eventually(lambda: "kusciaAPI (a kusciaAPI block" in installed.log("master", "prepare"), 120, "the key named")
    assert TOKEN not in installed.log("master", "prepare")
    give_config(installed, TOKEN)
    rollout(installed, "status")
    assert "kusciaAPI" not in installed.kuscia_yaml("master")
    eventually(lambda: alice_is_ready(installed), 120, "alice is connected")
