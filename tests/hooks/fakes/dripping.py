"""A server that answers byte by byte, or without end."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n"


@contextmanager
def dripping(block: bytes = b" ", pause: float = 0.1, head: bytes = HEAD) -> Iterator[str]:
    """Serve an answer that never ends; yields the URL.

    Args:
        block: sent again and again.
        pause: seconds between two blocks.
        head: sent first.
    """
    ended = threading.Event()

    def answer(connection: socket.socket) -> None:
        try:
            connection.recv(1 << 16)
            connection.sendall(head)
            while not ended.is_set():
                connection.sendall(block)
                time.sleep(pause)
        except OSError:
            return

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            ended.set()
            # Wakes `accept`.
            server.shutdown(socket.SHUT_RDWR)
