"""Database servers that use TLS and deny every login."""

import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def mysql(connection: socket.socket, tls: ssl.SSLContext) -> None:
    """Greet as a MySQL server with TLS, and deny the login."""
    # Protocol version, server version, thread; authentication data; capabilities: 4.1, TLS, secure connection, plugin.
    first = b"\x0a8.0.36\0" + struct.pack("<I", 1) + b"x" * 8 + b"\0"
    capabilities = 0x0200 | 0x0800 | 0x8000 | 0x80000
    low, high = struct.pack("<I", capabilities)[:2], struct.pack("<I", capabilities)[2:]
    greeting = first + low + b"\x2d\x02\0" + high + b"\x15" + b"\0" * 10 + b"x" * 12 + b"\0mysql_native_password\0"
    connection.sendall(struct.pack("<I", len(greeting)) + greeting)
    connection.recv(36, socket.MSG_WAITALL)
    with tls.wrap_socket(connection, server_side=True) as secured:
        secured.recv(1024)
        denied = b"\xff" + struct.pack("<H", 1045) + b"#28000denied"
        secured.sendall(struct.pack("<I", len(denied) | 3 << 24) + denied)


def postgres(connection: socket.socket, tls: ssl.SSLContext) -> None:
    """Accept TLS as a PostgreSQL server, and deny the login."""
    connection.recv(8, socket.MSG_WAITALL)
    connection.sendall(b"S")
    with tls.wrap_socket(connection, server_side=True) as secured:
        secured.recv(1024)
        denied = b"SFATAL\0C28P01\0Mdenied\0\0"
        secured.sendall(b"E" + struct.pack("!I", 4 + len(denied)) + denied)


SERVERS: dict[str, Callable[[socket.socket, ssl.SSLContext], None]] = {"mysql": mysql, "postgres": postgres}


@contextmanager
def server(kind: str, tls: ssl.SSLContext) -> Iterator[int]:
    """Run a database server on loopback and yield its port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            SERVERS[kind](self.request, tls)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        running.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield running.server_address[1]
        running.shutdown()
