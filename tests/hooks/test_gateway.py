import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.kuscia import domain_key, gateway
from tests.hooks.conftest import recordings


def answering(**by_scheme: httpx.Response | Exception) -> httpx.MockTransport:
    """A server that answers by scheme; the other one refuses."""

    def handle(request: httpx.Request) -> httpx.Response:
        answer = by_scheme.get(request.url.scheme, httpx.ConnectError("connection refused"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    return httpx.MockTransport(handle)


def recorded(note: str) -> httpx.Response:
    line = next(line for line in recordings("gateway-transcript") if line["note"] == note)
    answer = line["response"]
    return httpx.Response(answer["status"], headers=answer["headers"], text=answer["body"] or "")


@pytest.mark.parametrize("note", ["gateway root", "lite gateway root"])
def test_a_recorded_gateway(note: str) -> None:
    gateway.probe("https://master:1080", answering(https=recorded(note)))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (httpx.Response(200, text="login"), "HTTP 200 instead of 401: a login page or another site answers"),
        (httpx.Response(302, headers={"location": "/login"}), "HTTP 302 instead of 401: a redirect to /login"),
        (httpx.Response(308, headers={"location": "https://m/"}), "a redirect to https://m/.*from http to https"),
        (httpx.Response(400), "HTTP 400 instead of 401: .*asked for http where it speaks https"),
        (httpx.Response(403), "HTTP 403 instead of 401: a firewall or proxy refuses"),
        (httpx.Response(404), "no gateway is served under this host and path"),
        (httpx.Response(405), "HTTP 405 instead of 401: a firewall refuses"),
        (httpx.Response(413), "HTTP 413 instead of 401: something else than a Kuscia gateway answers"),
        (httpx.Response(426), "takes HTTP/1.1 alone"),
        (httpx.Response(502), "does not reach the gateway behind it: look at its backend's protocol and port"),
        (httpx.Response(503), "has no gateway behind it now"),
        (httpx.Response(504), "look at firewalls and NetworkPolicies"),
        (httpx.Response(401), "without a kuscia-error-message header: .*takes the header away"),
        (httpx.Response(401, headers={"kuscia-error-message": ""}), "without a kuscia-error-message header"),
        (
            httpx.Response(401, headers={"www-authenticate": "Basic"}),
            "something in front of the gateway asks for a login",
        ),
        (httpx.ConnectError("[Errno 111] Connection refused"), "Connection refused"),
        (httpx.ConnectTimeout("late"), "no answer within 5 s"),
        (httpx.RemoteProtocolError(""), "RemoteProtocolError"),
    ],
)
def test_something_else(answer: httpx.Response | Exception, says: str) -> None:
    with pytest.raises(RetryableError, match=says) as error:
        gateway.probe("https://master:1080", answering(https=answer))
    assert error.value.see == "curl -kvs https://master:1080/"


def test_a_host_that_nobody_knows() -> None:
    with pytest.raises(RetryableError, match="the DNS of this cluster does not know the host"):
        gateway.probe("https://kuscia.invalid")


@pytest.mark.parametrize(
    ("endpoint", "other"),
    [
        ("https://master:1080", "http://master:1080"),
        ("http://master:1080/kuscia", "https://master:1080/kuscia"),
        ("https://master", "http://master:443"),
        ("http://master", "https://master:80"),
    ],
)
def test_wrong_scheme(endpoint: str, other: str) -> None:
    good = {other.split(":", 1)[0]: recorded("gateway root")}
    with pytest.raises(RetryableError, match="has the wrong scheme") as error:
        gateway.probe(endpoint, answering(**good))
    assert other in error.value.message


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
    ("answer", "says"),
    [
        (recorded("handshake question, no Kuscia-Host"), "the header Kuscia-Host does not arrive"),
        # The gateway's own server does not know the path, and its Envoy adds the header to every error.
        (
            httpx.Response(404, headers={"kuscia-error-message": "<m> => <upstream Not Found>"}),
            "has to take /kuscia from the path",
        ),
        (httpx.Response(200, text="<html>"), "HTTP 200 without a state: a login page or another site answers"),
        (httpx.Response(200, json=[]), "HTTP 200 without a state"),
        (httpx.Response(503), "HTTP 503 without a state: a proxy answers"),
        (httpx.ReadTimeout("late"), "is not reached: late"),
        (httpx.ConnectError("refused"), "is not reached: refused"),
        (httpx.ConnectError("[SSL: TLSV1_UNRECOGNIZED_NAME] unrecognized name"), "sends no server name in TLS"),
    ],
)
def test_no_handshake(answer: httpx.Response | Exception, says: str) -> None:
    with pytest.raises(RetryableError, match=says) as error:
        gateway.handshake_state("https://m/kuscia", "alice", answering(https=answer))
    assert error.value.see.endswith(" https://m/kuscia/handshake")


def test_no_path_to_take_away() -> None:
    answer = httpx.Response(404, text="404 page not found")
    with pytest.raises(RetryableError, match="no gateway is served under this host and path"):
        gateway.handshake_state("https://m:1080", "alice", answering(https=answer))


def test_master_id() -> None:
    line = next(line for line in recordings("gateway-transcript") if '"namespace"' in str(line["response"].get("body")))
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=line["response"]["body"]))
    assert gateway.master_id("https://m:1080", "alice", transport) == "kuscia-system"


@pytest.mark.parametrize("body", ["{}", "[]", "<html>"])
def test_no_master_id(body: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=body))
    with pytest.raises(RetryableError):
        gateway.master_id("https://m:1080", "alice", transport)


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[tuple[int, list[str | None]]]:
    """A TLS server that answers as a master does; its port, and the server names that it was asked for."""
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


def test_server_names_are_sent_as_kuscia_sends_them(edge: tuple[int, list[str | None]]) -> None:
    """The first look, which is Go's, names the server; what passes Kuscia's Envoy does not."""
    port, names = edge
    gateway.probe(f"https://localhost:{port}")
    assert names == ["localhost"]
    assert gateway.handshake_state(f"https://localhost:{port}", "alice") == 2
    assert names == ["localhost", None]
