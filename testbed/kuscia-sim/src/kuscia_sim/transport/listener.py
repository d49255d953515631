"""HTTP listeners of a node's servers, as Go's net/http serves them."""

import asyncio
import contextlib
import socket
import ssl

from aiohttp import web

TLS_HANDSHAKE = 0x16
PLAIN_TO_TLS = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
FIRST_BYTE_TIMEOUT = 60.0
LINGER = 1.0
BACKLOG = 512


class Listener:
    """One port. With TLS, plain HTTP gets the answer that Go gives."""

    def __init__(self, app: web.Application, tls: ssl.SSLContext | None = None) -> None:
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
        self._tls = tls
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, bind: str, port: int) -> None:
        """Start to listen.

        Raises:
            OSError: the port cannot be bound.
        """
        await self._runner.setup()
        sock = socket.create_server((bind, port), backlog=BACKLOG)
        sock.setblocking(False)
        self._socket = sock
        self._accepting = asyncio.create_task(self._accept(sock))

    async def stop(self) -> None:
        if self._accepting:
            self._accepting.cancel()
        for task in list(self._connections):
            task.cancel()
        if self._socket:
            self._socket.close()
        await self._runner.cleanup()

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(sock)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            task = asyncio.create_task(self._take(connection))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _take(self, connection: socket.socket) -> None:
        """Hand the connection to aiohttp, which then owns the socket."""
        loop = asyncio.get_running_loop()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert self._runner.server
        try:
            if self._tls and not await self._speaks_tls(connection):
                await loop.sock_sendall(connection, PLAIN_TO_TLS)
                await _read_to_end(connection)
                connection.close()
                return
            await loop.connect_accepted_socket(self._runner.server, connection, ssl=self._tls)
        except (OSError, TimeoutError):
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise

    async def _speaks_tls(self, connection: socket.socket) -> bool:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(connection, readable.set)
        try:
            async with asyncio.timeout(FIRST_BYTE_TIMEOUT):
                await readable.wait()
        finally:
            loop.remove_reader(connection)
        first = connection.recv(1, socket.MSG_PEEK)
        if not first:
            raise OSError("closed before the first byte")
        return first[0] == TLS_HANDSHAKE


async def _read_to_end(connection: socket.socket) -> None:
    """Shut down writing and read what the client still sends; closing at once would reset the answer."""
    connection.shutdown(socket.SHUT_WR)
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(LINGER):
            while await asyncio.get_running_loop().sock_recv(connection, 65536):
                pass
