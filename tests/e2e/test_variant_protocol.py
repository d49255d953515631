"""TLS, NOTLS, MTLS and no `protocol`: schemes, authentication, and changes of the protocol."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.kuscia.api import Protocol
from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from tests.e2e import messages
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.cluster


@dataclass(frozen=True)
class Case:
    """What a `protocol` means (Kuscia facts 2.7).

    Args:
        written: `protocol` in kuscia.yaml; None if it is absent.
        gateways: scheme of the gateways (port 1080) of master and lite.
    """

    name: str
    presets: tuple[str, ...]
    written: str | None
    api: Protocol
    gateways: tuple[str, str]

    @property
    def api_scheme(self) -> str:
        return "http" if self.api == "NOTLS" else "https"


CASES = (
    Case("tls", (), "TLS", "TLS", ("https", "https")),
    Case("notls", ("notls",), "NOTLS", "NOTLS", ("http", "http")),
    Case("mtls", ("mtls",), "MTLS", "MTLS", ("https", "https")),
    Case("absent", ("protocol-default",), None, "MTLS", ("https", "http")),
)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(scope="module")
def installed(demo: Demo, images: Path, case: Case) -> Iterator[Variant]:
    """Master and alice. alice becomes ready only after `register` has called KusciaAPI with this protocol."""
    with variant(demo, images, f"protocol-{case.name}", presets=case.presets) as made:
        made.install_all()
        yield made


PARTIES = pytest.mark.parametrize("party", ["master", "alice"])


@PARTIES
def test_is_ready_without_restart(installed: Variant, case: Case, party: str) -> None:
    status = installed.pod(party)["status"]["containerStatuses"][0]
    assert (status["ready"], status["restartCount"]) == (True, 0)
    assert installed.kuscia_yaml(party).get("protocol") == case.written


def test_lite_is_registered(installed: Variant, case: Case) -> None:
    """Kuscia reports the node some seconds after the pod is Ready."""
    installed.wait_for_node("alice", case.api)
    assert len(installed.node_statuses("alice", case.api)) == 1


@PARTIES
def test_gateway_has_the_scheme_of_the_protocol(installed: Variant, case: Case, party: str) -> None:
    release = installed.release(party)
    scheme = case.gateways[0 if party == "master" else 1]
    with installed.kubectl.port_forward(release.namespace, f"service/{release.fullname}", 1080) as port:
        answer = httpx.get(f"{scheme}://127.0.0.1:{port}/", verify=False, timeout=10)
    assert answer.status_code == 401
    assert "kuscia-error-message" in answer.headers


@PARTIES
def test_api_requires_the_credentials_of_the_protocol(installed: Variant, case: Case, party: str) -> None:
    """MTLS requires a client certificate, TLS the token, NOTLS nothing."""
    release = installed.release(party)
    key = installed.key(party)
    token = {"Token": domain_key.api_token(key, release.domain)}
    with installed.kubectl.port_forward(release.namespace, f"service/{release.fullname}", 8082) as port:

        def ask(headers: dict[str, str], certificate: bool = False) -> int:
            verify = domain_key.ssl_context(key, release.domain, mutual=certificate)
            url = f"{case.api_scheme}://127.0.0.1:{port}/api/v1/domain/query"
            body = {"domain_id": release.domain}
            return httpx.post(url, json=body, headers=headers, verify=verify, timeout=10).status_code

        if case.api == "MTLS":
            assert ask(token, certificate=True) == 200
            with pytest.raises(httpx.TransportError):
                ask(token)
        elif case.api == "TLS":
            assert ask(token) == 200
            assert ask({}) == 401
        else:
            assert ask({}) == 200


@PARTIES
def test_server_certificate_has_the_service_names(installed: Variant, case: Case, party: str) -> None:
    """All names of the Service, through `kusciaAPISans`."""
    if case.api_scheme == "http":
        assert set(names(installed, party)) <= set(installed.kuscia_yaml(party)["kusciaAPISans"])
        return
    release = installed.release(party)
    with installed.kubectl.port_forward(release.namespace, f"service/{release.fullname}", 8082) as port:
        pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=10)
    certificate = x509.load_pem_x509_certificate(pem.encode())
    sans = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names(installed, party)) <= set(sans.get_values_for_type(x509.DNSName))


def names(installed: Variant, party: str) -> list[str]:
    release = installed.release(party)
    short = f"{release.fullname}.{release.namespace}"
    return [release.fullname, short, f"{short}.svc", f"{short}.svc.cluster.local"]


def test_helm_test_passes(installed: Variant) -> None:
    """`check` calls KusciaAPI of both parties with this protocol."""
    assert messages.failures(installed.test()) == []


def test_notes_warn_of_an_open_api(installed: Variant, case: Case) -> None:
    notes = installed.kubectl.helm("get", "notes", "kuscia", "-n", installed.namespace("master"))
    assert (("notls-open", "master.protocol") in messages.chart_warnings(notes)) == (case.api == "NOTLS")


@pytest.mark.long
def test_recreates_routes_to_a_lite_when_its_protocol_changes(demo: Demo, images: Path) -> None:
    """bob changes from TLS to NOTLS: first its release, then the master's, which owns the routes."""
    with variant(demo, images, "protocol-change", parties=("master", "alice", "bob")) as made:
        made.install_all()
        eventually(lambda: ready(made, "alice", "bob") and ready(made, "bob", "alice"), 300, "routes READY")
        assert tls(made, "alice", "bob")

        made.install("bob", values={"lite": {"protocol": "NOTLS"}})
        endpoint = f"http://kuscia-lite-bob.{made.namespace('bob')}.svc.cluster.local:1080"
        made.install("master", values={"master": {"domains": {"bob": {"endpoint": endpoint}}}})

        assert not tls(made, "alice", "bob")
        eventually(lambda: ready(made, "alice", "bob") and ready(made, "bob", "alice"), 300, "routes READY")
        log = made.kubectl.run(
            "logs", "-n", made.namespace("master"), "-l", "app.kubernetes.io/component=routes", "--tail=-1"
        )
        assert messages.actions(log) == [("recreate", "alice-bob")]
        made.test()


@pytest.mark.long
def test_lite_follows_a_changed_protocol_of_its_master(demo: Demo, images: Path) -> None:
    """From TLS to NOTLS: first the master, then the lite with a new endpoint. The protocol of the lite is unchanged."""
    with variant(demo, images, "protocol-master") as made:
        made.install_all()
        before = made.key("alice")
        made.install("master", values={"master": {"protocol": "NOTLS"}})
        assert made.kuscia_yaml("alice")["masterEndpoint"].startswith("https://")

        endpoint = f"http://kuscia-master.{made.namespace('master')}.svc.cluster.local:1080"
        made.install("alice", values={"lite": {"master": {"endpoint": endpoint}}})

        made.wait_for_node("alice", "NOTLS")
        config = made.kuscia_yaml("alice")
        assert (config["masterEndpoint"], config["protocol"]) == (endpoint, "TLS")
        assert made.key("alice").private_numbers() == before.private_numbers()
        assert "Succeeded" in made.test()


def tls(made: Variant, source: str, destination: str) -> bool:
    (port,) = made.route(source, destination)["endpoint"]["ports"]
    return bool(port["isTLS"])


def ready(made: Variant, source: str, destination: str) -> bool:
    return bool(made.route(source, destination)["status"]["status"] == "Succeeded")


def test_rejects_unknown_protocol(demo: Demo, images: Path) -> None:
    with variant(demo, images, "protocol-bad", parties=("master",)) as made:
        with pytest.raises(CommandError) as error:
            made.install("master", values={"master": {"protocol": "SSL"}})
        assert messages.chart_errors(str(error.value)) == {("unsupported-value", "master.protocol")}
