import http.server
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config.common import Master
from kuscia_hooks.core.waiting import Deadline, bounded_by
from kuscia_hooks.kuscia import domain_key, gateway, registration
from kuscia_hooks.kuscia.gateway_trust import trust_master
from tests.hooks.failing import fails
from tests.hooks.fakes.certificates import Authority
from tests.hooks.fakes.cluster import FakeCore
from tests.hooks.fakes.dns import FakeDns
from tests.hooks.recordings import recordings


def answering(**by_scheme: httpx.Response | Exception) -> httpx.MockTransport:
    """A server that answers by scheme; the other scheme has no answer."""

    def handle(request: httpx.Request) -> httpx.Response:
        answer = by_scheme.get(request.url.scheme, httpx.ConnectError("connection refused"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    return httpx.MockTransport(handle)


def caused(cause: OSError) -> httpx.ConnectError:
    """An error as httpx raises it."""
    error = httpx.ConnectError(str(cause))
    error.__cause__ = cause
    return error


def recorded(note: str) -> httpx.Response:
    line = next(line for line in recordings("gateway-transcript") if line["note"] == note)
    answer = line["response"]
    return httpx.Response(answer["status"], headers=answer["headers"], text=answer["body"] or "")


@pytest.mark.parametrize("note", ["gateway root", "lite gateway root"])
def test_accepts_recorded_gateway(note: str) -> None:
    gateway.probe("https://master:1080", answering(https=recorded(note)))


@pytest.mark.parametrize(
    ("answer", "error_id", "fact"),
    [
        (httpx.Response(200, text="login"), "not-a-gateway", "HTTP 200"),
        (httpx.Response(302, headers={"location": "/login"}), "not-a-gateway", "/login"),
        (httpx.Response(308, headers={"location": "https://m/"}), "not-a-gateway", "https://m/"),
        (httpx.Response(302), "not-a-gateway", "HTTP 302"),
        *((httpx.Response(status), "not-a-gateway", f"HTTP {status}") for status in (204, 304, 400, 404, 426)),
        *((httpx.Response(status), "master-access-denied", f"HTTP {status}") for status in (403, 405, 407)),
        *((httpx.Response(status), "proxy-limits-requests", f"HTTP {status}") for status in (413, 431)),
        *((httpx.Response(status), "master-unavailable", f"HTTP {status}") for status in (502, 503, 504)),
        (httpx.Response(500), "master-error", "HTTP 500"),
        (httpx.Response(429), "master-busy", "HTTP 429"),
        (httpx.Response(401), "not-a-gateway", "kuscia-error-message"),
        (httpx.Response(401, headers={"kuscia-error-message": ""}), "not-a-gateway", "kuscia-error-message"),
        (httpx.Response(401, headers={"www-authenticate": "Basic"}), "not-a-gateway", "login"),
        (caused(ConnectionRefusedError(111, "Connection refused")), "master-down", "Connection refused"),
        (caused(ConnectionResetError(104, "Connection reset")), "master-down", "Connection reset"),
        (caused(ssl.SSLError(1, "[SSL] record layer failure")), "not-a-gateway", "record layer failure"),
        (caused(socket.gaierror(-2, "Name or service not known")), "host-not-found", "DNS"),
        (caused(OSError(113, "No route to host")), "master-unreachable", "No route to host"),
        (httpx.ConnectTimeout("late"), "master-unreachable", "5 s"),
        (httpx.RemoteProtocolError(""), "not-a-gateway", "RemoteProtocolError"),
        (httpx.DecodingError("incorrect header check"), "not-a-gateway", "incorrect header check"),
    ],
)
def test_probe_reports_what_answers(answer: httpx.Response | Exception, error_id: str, fact: str) -> None:
    with fails(error_id) as error:
        gateway.probe("https://master:1080", answering(https=answer))
    assert error.value.retryable is (error_id not in ("master-access-denied", "proxy-limits-requests"))
    assert fact in error.value.message
    assert error.value.see == "curl -kvs https://master:1080/"


def test_reports_host_that_does_not_resolve() -> None:
    with fails("host-not-found"):
        gateway.probe("https://kuscia.invalid")


def test_reports_port_without_listener() -> None:
    with fails("master-down"):
        gateway.probe("https://127.0.0.1:9")


@pytest.mark.parametrize(
    ("endpoint", "other"),
    [
        ("https://master:1080", "http://master:1080"),
        ("http://master:1080/kuscia", "https://master:1080/kuscia"),
        ("https://master", "http://master:443"),
        ("http://master", "https://master:80"),
    ],
)
def test_reports_wrong_scheme(endpoint: str, other: str) -> None:
    good = {other.split(":", 1)[0]: recorded("gateway root")}
    with fails("wrong-scheme") as error:
        gateway.probe(endpoint, answering(**good))
    assert other in error.value.message
    assert error.value.fix.endswith(other)


@pytest.mark.parametrize(
    "line",
    [line for line in recordings("gateway-transcript") if line["note"].startswith("handshake question of")],
    ids=lambda line: line["note"],
)
def test_recorded_handshakes(line: dict) -> None:
    answer = line["response"]
    transport = answering(https=httpx.Response(answer["status"], headers=answer["headers"], text=answer["body"]))
    state = gateway.handshake_state("https://m:1080", "alice", transport)
    assert state == json.loads(answer["body"])["state"]
    assert (state in gateway.KNOWN) == ("unknown" not in line["note"] and "empty" not in line["note"])


def test_handshake_request() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/prefix/handshake"
        assert request.headers["Kuscia-Host"] == "kuscia-handshake.master.svc"
        assert request.headers["Kuscia-Source"] == "alice"
        return httpx.Response(200, json={"namespace": "kuscia-system", "state": 2})

    assert gateway.handshake_state("https://m/prefix", "alice", httpx.MockTransport(handle)) == 2


@pytest.mark.parametrize(
    ("answer", "error_id"),
    [
        (recorded("handshake question, no Kuscia-Host"), "proxy-drops-headers"),
        # The server of the gateway has no such path, and its Envoy adds the header to every error.
        (
            httpx.Response(404, headers={"kuscia-error-message": "<m> => <upstream Not Found>"}),
            "proxy-keeps-path",
        ),
        (httpx.Response(200, text="<html>"), "not-a-gateway"),
        *((httpx.Response(200, json=body), "not-a-gateway") for body in ([], {}, {"namespace": "m"}, {"state": 2})),
        *(
            (httpx.Response(200, json={"namespace": "m", "state": state}), "not-a-gateway")
            for state in ("2", True, None)
        ),
        (httpx.Response(200, json={"namespace": "", "state": 2}), "not-a-gateway"),
        (httpx.Response(500, json={"namespace": "m", "state": 2}), "master-error"),
        (httpx.Response(403), "master-access-denied"),
        (httpx.Response(429), "master-busy"),
        (httpx.Response(503), "master-unavailable"),
        (httpx.ReadTimeout("late"), "master-unreachable"),
        (caused(ConnectionRefusedError(111, "refused")), "master-down"),
        (caused(ssl.SSLError(1, "[SSL: TLSV1_UNRECOGNIZED_NAME] unrecognized name")), "proxy-requires-sni"),
    ],
)
def test_handshake_reports_what_answers(answer: httpx.Response | Exception, error_id: str) -> None:
    with fails(error_id) as error:
        gateway.handshake_state("https://m/kuscia", "alice", answering(https=answer))
    assert error.value.see.endswith(" https://m/kuscia/handshake")


def test_404_without_a_path_is_no_gateway() -> None:
    answer = httpx.Response(404, text="404 page not found")
    with fails("not-a-gateway"):
        gateway.handshake_state("https://m:1080", "alice", answering(https=answer))


def lite_gateway(request: httpx.Request) -> httpx.Response:
    """The gateway of alice, as recorded."""
    if request.headers.get("Kuscia-Host") == "kuscia-handshake.alice.svc":
        return recorded("handshake question at a lite, from an unknown one")
    return recorded("lite gateway root")


def lite_gateway_before_1_0(request: httpx.Request) -> httpx.Response:
    """Its body has no JSON; only the header names the domain (Kuscia facts 6.6)."""
    answer = lite_gateway(request)
    if answer.status_code == 200:
        return answer
    header = "Domain alice.kuscia-lite-0<--kuscia-handshake.master.svc return http code 401."
    return httpx.Response(401, headers={"kuscia-error-message": header}, text="unauthorized.")


@pytest.mark.parametrize("answer", [lite_gateway, lite_gateway_before_1_0])
def test_reports_the_gateway_of_a_lite(answer: Callable[[httpx.Request], httpx.Response]) -> None:
    transport = httpx.MockTransport(answer)
    gateway.probe("https://m:1080", transport)
    for ask in (gateway.handshake_state, gateway.master_id):
        with fails("gateway-of-another-domain") as error:
            ask("https://m:1080", "bob", transport)
        assert "domain alice" in error.value.message
        assert not error.value.retryable


@pytest.mark.parametrize(
    ("note", "named"),
    [("gateway root", "kuscia-system"), ("lite gateway root", "alice")],
)
def test_probe_returns_the_domain_of_the_gateway(note: str, named: str) -> None:
    assert gateway.probe("https://m:1080", answering(https=recorded(note))) == named


@pytest.mark.parametrize(("found", "accepted"), [("alice", True), ("", True), ("bob", False)])
def test_reports_the_gateway_of_another_lite(monkeypatch: pytest.MonkeyPatch, found: str, accepted: bool) -> None:
    monkeypatch.setattr(gateway, "probe", lambda _: found)
    if accepted:
        gateway.probe_domain("https://alice.example.com", "alice")
        return
    with fails("gateway-of-another-domain") as error:
        gateway.probe_domain("https://alice.example.com", "alice")
    assert "domain bob, not of alice" in error.value.message


def test_dropped_headers_are_not_taken_for_a_lite() -> None:
    """The gateway of a master names its own domain as well, and answers no handshake without the header."""
    transport = httpx.MockTransport(lambda _: recorded("gateway root"))
    with fails("proxy-drops-headers"):
        gateway.handshake_state("https://m:1080", "alice", transport)


def test_master_id() -> None:
    line = next(line for line in recordings("gateway-transcript") if '"namespace"' in str(line["response"].get("body")))
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=line["response"]["body"]))
    assert gateway.master_id("https://m:1080", "alice", transport) == "kuscia-system"


@pytest.mark.parametrize("body", ["{}", "[]", "<html>"])
def test_reports_answer_without_master_id(body: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=body))
    with fails("not-a-gateway"):
        gateway.master_id("https://m:1080", "alice", transport)


@dataclass
class Edge:
    """A TLS server: its port, and the TLS server names and Host headers that its clients sent."""

    port: int = 0
    names: list[str | None] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    """A TLS server that answers as a master does."""
    key = domain_key.new_key()
    (tmp_path / "key").write_bytes(key)
    (tmp_path / "crt").write_bytes(domain_key.ca_certificate(domain_key.load_key(key), "edge"))
    found = Edge()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    context.sni_callback = lambda _socket, name, _context: found.names.append(name)

    class Master(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.hosts.append(self.headers["Host"])
            if self.path == "/handshake":
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b'{"namespace":"kuscia-system","state":2}')
            else:
                self.send_response(401)
                self.send_header("kuscia-error-message", "unauthorized")
                self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Not in the test's output."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Master)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.port = server.server_address[1]
    yield found
    server.shutdown()
    server.server_close()


def test_sends_tls_server_names_as_kuscia_does(edge: Edge) -> None:
    """The probe is sent by Go with a server name; requests through the Envoy of Kuscia have none."""
    port, names = edge.port, edge.names
    gateway.probe(f"https://localhost:{port}")
    assert names == ["localhost"]
    assert gateway.handshake_state(f"https://localhost:{port}", "alice") == 2
    assert names == ["localhost", None]


def test_resolves_the_absolute_name_only(edge: Edge, dns: FakeDns) -> None:
    """The Host header and the TLS server name have no trailing dot."""
    port = edge.port
    dns.zone["kuscia-master.ns.svc.cluster.local."] = "127.0.0.1"
    dns.search("lite.svc.cluster.local", "svc.cluster.local")
    gateway.probe(f"https://kuscia-master.ns.svc.cluster.local:{port}")
    assert edge.names == ["kuscia-master.ns.svc.cluster.local"]
    assert edge.hosts == [f"kuscia-master.ns.svc.cluster.local:{port}"]
    for ask in (gateway.probe, lambda at: gateway.handshake_state(at, "alice")):
        with fails("host-not-found") as error:
            ask(f"https://kuscia-master.ns:{port}")
        assert error.value.fix.endswith(" kuscia-master.ns.svc.cluster.local")


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Authority, str]]:
    """A gateway with a certificate of an authority, for the name localhost."""
    monkeypatch.setattr(gateway, "_trusted", {})
    authority = Authority()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("Kuscia-Error-Message", "Domain kuscia-system.envoy.1<--: 401")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        context = authority.server_context("localhost")
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield authority, f"https://localhost:{server.server_port}"
        server.shutdown()


def test_verifies_a_gateway_with_a_ca_bundle(verified: tuple[Authority, str]) -> None:
    authority, endpoint = verified
    gateway.trust(endpoint, authority.pem.decode())
    gateway.probe(endpoint)


def test_rejects_a_gateway_of_another_authority(verified: tuple[Authority, str]) -> None:
    _, endpoint = verified
    gateway.probe(endpoint)
    gateway.trust(endpoint, Authority().pem.decode())
    with fails("gateway-certificate-not-trusted"):
        gateway.probe(endpoint)


def test_rejects_a_gateway_with_another_name(verified: tuple[Authority, str]) -> None:
    authority, endpoint = verified
    endpoint = endpoint.replace("localhost", "127.0.0.1")
    gateway.trust(endpoint, authority.pem.decode())
    with fails("gateway-certificate-not-trusted"):
        gateway.probe(endpoint)


def test_sends_no_token_to_a_gateway_of_another_authority(verified: tuple[Authority, str], key_pem: bytes) -> None:
    _, endpoint = verified
    gateway.trust(endpoint, Authority().pem.decode())
    with fails("gateway-certificate-not-trusted"):
        registration.register(endpoint, "alice", "token-of-alice", domain_key.load_key(key_pem))


BUNDLE = {"kind": "ConfigMap", "name": "ca", "key": "ca.crt"}


@pytest.mark.parametrize(
    ("bundle", "data", "error_id"),
    [
        (BUNDLE, None, "ca-bundle-not-found"),
        (BUNDLE, {"other": "x"}, "ca-bundle-not-found"),
        (BUNDLE, {"ca.crt": "hello"}, "invalid-ca-bundle"),
        ({**BUNDLE, "kind": "Secret"}, None, "secret-not-found"),
    ],
)
def test_reports_an_unusable_ca_bundle(
    core: FakeCore, kube: Kube, bundle: dict[str, str], data: dict[str, str] | None, error_id: str
) -> None:
    if data is not None:
        core.put("configmaps", "ns", "ca", data=data)
    master = Master.model_validate({"endpoint": "https://m.example.com", "caBundle": bundle})
    with fails(error_id):
        trust_master(kube, "ns", master)


def test_requests_end_with_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        deadline = Deadline(0.2)
        with bounded_by(deadline), fails("master-unreachable"):
            gateway.probe(f"http://127.0.0.1:{server.getsockname()[1]}")
        assert deadline.elapsed() < gateway.TIMEOUT / 2
