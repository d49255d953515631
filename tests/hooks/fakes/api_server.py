"""A Kubernetes API server with TLS on loopback, for logins."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

from tests.hooks.fakes.certificates import Authority


class ApiServer:
    """An API server that returns one ConfigMap, and what its clients presented."""

    def __init__(self, name: str = "127.0.0.1") -> None:
        self.authority, self.seen = Authority(), list[tuple[str | None, str | None]]()
        self.context = self.authority.server_context(name)
        self.pem = self.authority.pem

    @contextmanager
    def serving(self) -> Iterator[int]:
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                peer: Any = self.connection
                subject = dict(pair[0] for pair in (peer.getpeercert() or {}).get("subject", ()))
                seen.append((self.headers.get("Authorization"), subject.get("commonName")))
                body = b'{"metadata": {"resourceVersion": "1"}, "data": {"a": "b"}}'
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            server.socket = self.context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            server.handle_error = lambda *_: None  # type: ignore[method-assign]
            Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            yield server.server_port
            server.shutdown()

    def kubeconfig(self, port: int, **fields: Any) -> dict[str, Any]:
        """Return a kubeconfig for this server; `fields` are those of the cluster and user."""
        cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": encoded(self.pem)}
        return {
            "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {**cluster, **fields.get("cluster", {})}}],
            "users": [{"name": "u", "user": fields.get("user", {})}],
        }


def encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()
