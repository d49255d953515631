"""TLS, NOTLS, MTLS and none: what is served, who is let in, and routes that follow a change."""

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
from testbed.demo.kusciaapi import kusciaapi
from tests.e2e.conftest import eventually
from tests.e2e.variants import Variant, variant

pytestmark = pytest.mark.cluster


@dataclass(frozen=True)
class Case:
    """What a `protocol` means (Kuscia facts 2.7).

    Args:
        written: `protocol` in kuscia.yaml; None when it is absent.
        gateways: scheme on port 1080 of master and lite.
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
    with variant(demo, images, f"protocol-{case.name}", presets=case.presets) as made:
        made.install_all()
        yield made


PARTIES = pytest.mark.parametrize("party", ["master", "alice"])


@PARTIES
def test_comes_up(installed: Variant, case: Case, party: str) -> None:
    """The probes fit: ready, and never restarted."""
    status = installed.pod(party)["status"]["containerStatuses"][0]
    assert (status["ready"], status["restartCount"]) == (True, 0)
    assert installed.kuscia_yaml(party).get("protocol") == case.written


def test_lite_is_registered(installed: Variant, case: Case) -> None:
    with kusciaapi(installed.kubectl, installed.release("master"), case.api) as api:
        nodes = api.call("domain/query", {"domain_id": "alice"})["node_statuses"]
    assert [node["status"] for node in nodes] == ["Ready"]


@PARTIES
def test_gateway_scheme(installed: Variant, case: Case, party: str) -> None:
    release = installed.release(party)
    scheme = case.gateways[0 if party == "master" else 1]
    with installed.kubectl.port_forward(release.namespace, f"service/{release.fullname}", 1080) as port:
        answer = httpx.get(f"{scheme}://127.0.0.1:{port}/", verify=False, timeout=10)
    assert answer.status_code == 401
    assert "kuscia-error-message" in answer.headers


@PARTIES
def test_api_asks_for_what_the_protocol_says(installed: Variant, case: Case, party: str) -> None:
    """MTLS: nothing without a client certificate. TLS: nothing without the token. NOTLS: nothing is asked."""
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
    """`kusciaAPISans`: each way to name the Service."""
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


def test_helm_test(installed: Variant) -> None:
    assert "Succeeded" in installed.test()


def test_notes_warn_of_an_open_api(installed: Variant, case: Case) -> None:
    notes = installed.kubectl.helm("get", "notes", "kuscia", "-n", installed.namespace("master"))
    assert ("master.protocol is NOTLS" in notes) == (case.api == "NOTLS")


@pytest.mark.long
def test_changed_protocol_of_a_lite_remakes_the_routes_to_it(demo: Demo, images: Path) -> None:
    """bob goes from TLS to NOTLS: first its release, then the master's, which alone knows the routes."""
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
        assert "recreate DomainRoute alice-bob" in log
        assert "DomainRoute bob-alice" not in log
        made.test()


@pytest.mark.long
def test_changed_protocol_of_the_master_is_followed_by_its_lites(demo: Demo, images: Path) -> None:
    """TLS to NOTLS: the master's release first, then each lite's with the new scheme; a lite's own protocol stays."""
    with variant(demo, images, "protocol-master") as made:
        made.install_all()
        before = made.key("alice")
        made.install("master", values={"master": {"protocol": "NOTLS"}})
        assert made.kuscia_yaml("alice")["masterEndpoint"].startswith("https://")

        endpoint = f"http://kuscia-master.{made.namespace('master')}.svc.cluster.local:1080"
        made.install("alice", values={"lite": {"master": {"endpoint": endpoint}}})

        def connected() -> bool:
            with kusciaapi(made.kubectl, made.release("master"), "NOTLS") as api:
                nodes = api.call("domain/query", {"domain_id": "alice"})["node_statuses"]
            name = made.pod("alice")["metadata"]["name"]
            return ("Ready", True) in [(node["status"], node["name"] == name) for node in nodes]

        eventually(connected, 180, "alice is Ready at the master")
        config = made.kuscia_yaml("alice")
        assert (config["masterEndpoint"], config["protocol"]) == (endpoint, "TLS")
        assert made.key("alice").private_numbers() == before.private_numbers()
        assert "Succeeded" in made.test()


def tls(made: Variant, source: str, destination: str) -> bool:
    (port,) = made.route(source, destination)["endpoint"]["ports"]
    return bool(port["isTLS"])


def ready(made: Variant, source: str, destination: str) -> bool:
    return bool(made.route(source, destination)["status"]["status"] == "Succeeded")


def test_a_wrong_protocol_is_refused_before_anything_starts(demo: Demo, images: Path) -> None:
    with variant(demo, images, "protocol-bad", parties=("master",)) as made:
        with pytest.raises(CommandError, match=r"master\.protocol") as refused:
            made.install("master", values={"master": {"protocol": "SSL"}})
        assert "TLS, NOTLS, MTLS" in str(refused.value)
