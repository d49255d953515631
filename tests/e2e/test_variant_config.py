"""extraConfig, extraConfigSecret, and a user's certificate for the gateway."""

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
from tests.chart.render import edited
from tests.e2e import messages
from tests.e2e.plugin import kuscia
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]

TOKEN = "a-token-of-the-cluster"
CONFIG = "kuscia-config"
CERTIFICATE = "kuscia-gateway"


def give_certificate(made: Variant) -> str:
    """Create the Secret of values/gateway-certificate.yaml with a new certificate; return it as PEM."""
    key = domain_key.new_key()
    certificate = domain_key.ca_certificate(domain_key.load_key(key), "kuscia.example.com")
    content = {"tls.crt": certificate.decode(), "tls.key": key.decode()}
    made.secret(made.namespace("master"), CERTIFICATE, content)
    return content["tls.crt"]


def give_config(made: Variant, token: str) -> None:
    """Create the Secret of values/extra-config.yaml."""
    made.secret(made.namespace("master"), CONFIG, {"kuscia.yaml": yaml.safe_dump({"clusterToken": token})})


@pytest.fixture(scope="module")
def installed(demo: Demo, images: Path) -> Iterator[Variant]:
    with variant(demo, images, "config", presets=("extra-config", "gateway-certificate")) as made:
        give_config(made, TOKEN)
        give_certificate(made)
        made.install_all()
        yield made


def shown(made: Variant, port: int) -> bytes:
    """Return the certificate of the master on a port of its Service, as DER."""
    release = made.release("master")
    with made.kubectl.port_forward(release.namespace, f"service/{release.fullname}", port) as local:
        return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", local), timeout=10))


def rollout(made: Variant, verb: str) -> None:
    """Run `kubectl rollout restart` or `status` for the master; the latter waits."""
    release = made.release("master")
    made.kubectl.run("rollout", verb, f"deployment/{release.fullname}", "-n", release.namespace, timeout=200)


def lines(made: Variant, party: str, level: str) -> int:
    """Count the lines that a party's Kuscia logged at a level."""
    component = "master" if party == "master" else "lite"
    return made.log(party, component).count(f" {level} ")


@pytest.mark.parametrize("party", ["master", "alice"])
def test_extra_config_is_in_kuscia_yaml(installed: Variant, party: str) -> None:
    """In addition to the keys that the chart sets."""
    component = "master" if party == "master" else "lite"
    wanted: dict[str, Any] = {}
    for preset in ("extra-config", "gateway-certificate"):
        content = yaml.safe_load(edited(preset))
        wanted |= content.get(component, {}).get("extraConfig", {})
    sans = wanted.pop("kusciaAPISans", [])
    assert len(wanted) >= 4
    found = installed.kuscia_yaml(party)
    assert {key: found[key] for key in wanted} == wanted
    assert set(sans) < set(found["kusciaAPISans"])
    status = installed.pod(party)["status"]["containerStatuses"][0]
    assert (status["ready"], status["restartCount"]) == (True, 0)


def test_secret_config_is_only_in_kuscia_yaml(installed: Variant) -> None:
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


def test_api_certificate_has_the_names_of_the_preset(installed: Variant) -> None:
    """And those of the Service."""
    certificate = x509.load_der_x509_certificate(shown(installed, 8082))
    sans = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    names = sans.get_values_for_type(x509.DNSName)
    release = installed.release("master")
    assert {"kuscia.example.com", f"{release.fullname}.{release.namespace}.svc.cluster.local"} <= set(names)


def test_gateway_uses_the_given_certificate(installed: Variant) -> None:
    """A renewed one after a restart. The lite accepts both, because it verifies neither."""
    stored = installed.kubectl.get("secret", CERTIFICATE, "-n", installed.namespace("master"))
    given = ssl.PEM_cert_to_DER_cert(base64.b64decode(stored["data"]["tls.crt"]).decode())
    assert shown(installed, 1080) == given
    installed.wait_for_node("alice", "MTLS")

    renewed = ssl.PEM_cert_to_DER_cert(give_certificate(installed))
    rollout(installed, "restart")
    rollout(installed, "status")
    assert renewed != given
    assert shown(installed, 1080) == renewed
    assert "Succeeded" in installed.test()


def test_log_level_restarts_kuscia(installed: Variant) -> None:
    """WARN in the preset, then INFO, which logs much more."""
    pod = installed.pod("alice")["metadata"]["name"]
    quiet = lines(installed, "alice", "INFO")
    installed.install("alice", values={"lite": {"extraConfig": {"logLevel": "INFO"}}})
    assert installed.pod("alice")["metadata"]["name"] != pod
    assert installed.kuscia_yaml("alice")["logLevel"] == "INFO"
    talkative = lines(installed, "alice", "INFO")
    assert quiet * 2 < talkative, (quiet, talkative)


def test_doctor_reports_a_changed_secret(installed: Variant) -> None:
    namespace = installed.namespace("master")
    give_config(installed, "another-token")
    said = kuscia(installed.kubectl, "doctor", "-n", namespace)
    give_config(installed, TOKEN)
    assert said.code == 1, said
    assert messages.CHANGED_SECRET.printed_in(said.text, f"{namespace}/{CONFIG}")
    assert "another-token" not in said.text
    assert TOKEN not in said.text
    assert kuscia(installed.kubectl, "doctor", "-n", namespace).code == 0


def test_recovers_when_the_cluster_token_is_restored(installed: Variant) -> None:
    """On sqlite only Kuscia itself detects another token, and exits."""
    namespace = installed.namespace("master")
    give_config(installed, "another-token")
    rollout(installed, "restart")
    words = "etc/kubeconfig: no such file or directory"
    eventually(lambda: words in installed.log("master", "master"), 300, "Kuscia exits")
    said = kuscia(installed.kubectl, "doctor", "-n", namespace)
    assert said.code == 1, said
    assert messages.STATE_OF_ANOTHER_DOMAIN.printed_in(said.text)
    give_config(installed, TOKEN)
    rollout(installed, "restart")
    rollout(installed, "status")
    installed.wait_for_node("alice", "MTLS")
    assert "Succeeded" in installed.test("master")


def test_prepare_rejects_keys_that_stop_kuscia(installed: Variant) -> None:
    """It continues automatically once the key is removed."""
    content = {"clusterToken": TOKEN, "kusciaAPI": {"httpPort": 8082}}
    installed.secret(installed.namespace("master"), CONFIG, {"kuscia.yaml": yaml.safe_dump(content)})
    rollout(installed, "restart")
    messages.wait_for_message(installed, "master", messages.EXTRA_CONFIG_KEY_REJECTED)
    assert TOKEN not in installed.log("master", "prepare")
    give_config(installed, TOKEN)
    rollout(installed, "status")
    assert "kusciaAPI" not in installed.kuscia_yaml("master")
    installed.wait_for_node("alice", "MTLS")
