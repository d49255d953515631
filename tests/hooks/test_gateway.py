import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kuscia_hooks.kuscia import domain_key, gateway
from tests.hooks.conftest import recordings
from tests.hooks.failing import fails


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
        *((httpx.Response(status), "not-a-gateway", f"HTTP {status}") for status in (400, 403, 404, 405, 413, 426)),
        *((httpx.Response(status), "not-a-gateway", f"HTTP {status}") for status in (502, 503, 504)),
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
    ],
)
def test_probe_reports_what_answers(answer: httpx.Response | Exception, error_id: str, fact: str) -> None:
    with fails(error_id) as error:
        gateway.probe("https://master:1080", answering(https=answer))
    assert error.value.retryable
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
        (httpx.Response(200, json=[]), "not-a-gateway"),
        (httpx.Response(503), "not-a-gateway"),
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


def test_master_id() -> None:
    line = next(line for line in recordings("gateway-transcript") if '"namespace"' in str(line["response"].get("body")))
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=line["response"]["body"]))
    assert gateway.master_id("https://m:1080", "alice", transport) == "kuscia-system"


@pytest.mark.parametrize("body", ["{}", "[]", "<html>"])
def test_reports_answer_without_master_id(body: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=body))
    with fails("not-a-gateway"):
        gateway.master_id("https://m:1080", "alice", transport)


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[tuple[int, list[str | None]]]:
    """A TLS server that answers as a master does: its port, and the server names of its clients."""
    key = domain_key.new_key()
    (tmp_path / "key").write_bytes(key)
    (tmp_path / "crt").write_bytes(domain_key.ca_certificate(domain_key.load_key(key), "edge"))
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    class Master(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
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
    yield server.server_address[1], names
    server.shutdown()
    server.server_close()


def test_sends_tls_server_names_as_kuscia_does(edge: tuple[int, list[str | None]]) -> None:
    """The probe is sent by Go with a server name; requests through the Envoy of Kuscia have none."""
    port, names = edge
    gateway.probe(f"https://localhost:{port}")
    assert names == ["localhost"]
    assert gateway.handshake_state(f"https://localhost:{port}", "alice") == 2
    assert names == ["localhost", None]
