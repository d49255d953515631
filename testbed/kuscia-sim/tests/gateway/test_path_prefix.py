"""Gateways behind a proxy that strips a path, as in institutions (Kuscia's kuscia_gateway_with_path)."""

import http.client
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kuscia_sim_testing.nodes import (
    MASTER_ID,
    Engine,
    Node,
    create_route,
    free_offset,
    offer,
    request,
    until,
    unused_token,
    wait_route,
)

HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "date", "server"}


class Proxy(http.server.BaseHTTPRequestHandler):
    """Forwards /NAME/x to the gateway of NAME as /x; returns 404 for other paths."""

    protocol_version = "HTTP/1.1"
    gateways: dict[str, int]
    seen: list[str]

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        name, _, rest = self.path.removeprefix("/").partition("/")
        self.seen.append(self.path)
        if name not in self.gateways:
            self.answer(404, [], b"no such path")
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.gateways[name], timeout=60)
        try:
            connection.request(self.command, "/" + rest, body, dict(self.headers))
            found = connection.getresponse()
        except OSError:
            self.answer(502, [], b"")
            return
        headers = [(key, value) for key, value in found.getheaders() if key.lower() not in HOP_BY_HOP]
        self.answer(found.status, headers, found.read())
        connection.close()

    do_GET = do_POST = do_PUT = do_DELETE = forward

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for key, value in headers:
            if key.lower() != "content-length":
                self.send_header(key, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Discard the message."""


@pytest.fixture
def proxy() -> Iterator[http.server.ThreadingHTTPServer]:
    handler = type("OneProxy", (Proxy,), {"gateways": {}, "seen": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def engine() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def lite(directory: Path, name: str, endpoint: str, token: str) -> Node:
    config = {
        "mode": "lite",
        "domainID": name,
        "protocol": "NOTLS",
        "masterEndpoint": endpoint,
        "runtime": "runp",
        "liteDeployToken": token,
    }
    return Node(directory / name, config, free_offset())


def test_works_behind_proxy_with_path(tmp_path: Path, proxy: http.server.ThreadingHTTPServer, engine: int) -> None:
    """Registration, the master's objects, the handshake of a route, its heartbeat and engine traffic."""
    handler: Any = proxy.RequestHandlerClass
    front = f"http://127.0.0.1:{proxy.server_address[1]}"
    master = Node(tmp_path / "master", {"mode": "master", "domainID": MASTER_ID, "protocol": "NOTLS"}, free_offset())
    handler.gateways["master"] = master.port(1080)
    started = [master.start().wait_started()]
    try:
        lites = {}
        for name, slash in (("alice", ""), ("bob", "/")):
            master.api("domain/create", {"domain_id": name})
            lites[name] = lite(tmp_path, name, f"{front}/master{slash}", unused_token(master, name))
            handler.gateways[name] = lites[name].port(1080)
            started.append(lites[name].start())
        for node in lites.values():
            node.wait_started()
        create_route(master, "alice", lites["bob"], port=proxy.server_address[1], tls=False, path_prefix="/bob")
        create_route(master, "bob", lites["alice"], port=proxy.server_address[1], tls=False, path_prefix="/alice/")
        wait_route(master, "alice", "bob", "Succeeded")
        wait_route(master, "bob", "alice", "Succeeded")

        offer(lites["bob"], "job-0-psi", engine)
        until(lambda: request(lites["alice"], "job-0-psi.bob.svc")[0] == 200, timeout=60)
        status, _, body = request(lites["alice"], "job-0-psi.bob.svc", b"y" * 2**20)
        seen = json.loads(body)
        assert (status, seen["size"], seen["path"]) == (200, 2**20, "/a?b=c")
        assert {path.split("/")[1] for path in handler.seen} == {"master", "alice", "bob"}
        assert {"/bob/a?b=c", "/bob/handshake", "/alice/handshake", "/master/register"} <= set(handler.seen)
    finally:
        for node in started:
            node.stop()


def test_reports_path_that_is_not_stripped(tmp_path: Path) -> None:
    """The gateway answers the probe under any path, but the handshake is not found under that one."""
    master = Node(tmp_path / "master", {"mode": "master", "domainID": MASTER_ID, "protocol": "NOTLS"}, free_offset())
    master.start().wait_started()
    alice = None
    try:
        master.api("domain/create", {"domain_id": "alice"})
        token = unused_token(master, "alice")
        alice = lite(tmp_path, "alice", f"{master.gateway}/master", token).start()
        alice.wait_for("get master gateway namespace fail")
        assert "Kuscia started success" not in alice.output()
    finally:
        master.stop()
        if alice:
            alice.stop()
