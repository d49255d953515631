"""A forward proxy on loopback: CONNECT for https, absolute-form requests for http."""

import base64
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import httpx


class ForwardProxy:
    """Forwards every host name to loopback, so that names which no DNS knows work through the proxy only.

    Attributes:
        requests: method and target of each request, such as `CONNECT files.example.com:443`.
        login: `user:password` that the proxy requires.
        status: of an error that it returns to every request, instead of forwarding it.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.login = ""
        self.status = 0

    @property
    def hosts(self) -> set[str]:
        """The hosts that requests went to."""
        targets = [request.split()[1] for request in self.requests]
        return {urlsplit(target if "://" in target else f"//{target}").hostname or "" for target in targets}

    def error_for(self, headers: Any) -> int:
        """Return the status of the error for a request, 0 for none."""
        wanted = base64.b64encode(self.login.encode()).decode()
        if self.login and headers.get("Proxy-Authorization") != f"Basic {wanted}":
            return 407
        return self.status

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Yield the URL of the proxy."""
        handler = type("Handler", (_Handler,), {"proxy": self})
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    proxy: ForwardProxy
    protocol_version = "HTTP/1.1"

    def _rejected(self) -> bool:
        self.proxy.requests.append(f"{self.command} {self.path}")
        status = self.proxy.error_for(self.headers)
        if status:
            self.send_error(status)
        return bool(status)

    def do_CONNECT(self) -> None:
        if self._rejected():
            return
        with socket.create_connection(("127.0.0.1", int(self.path.rpartition(":")[2])), 5) as server:
            self.send_response(200)
            self.end_headers()
            _relay(self.connection, server)
        self.close_connection = True

    def _forward(self) -> None:
        if self._rejected():
            return
        parts = urlsplit(self.path)
        url = parts._replace(netloc=f"127.0.0.1:{parts.port or 80}").geturl()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")}
        with httpx.Client(trust_env=False) as client:
            answer = client.request(self.command, url, headers=headers, content=body)
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", answer.headers.get("Content-Length", str(len(answer.content))))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _forward

    def log_message(self, *_: Any) -> None:
        pass


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Copy bytes in both directions until one side ends."""
    while True:
        for source in select.select([one, other], [], [], 30)[0]:
            data = source.recv(65536)
            if not data:
                return
            (other if source is one else one).sendall(data)
