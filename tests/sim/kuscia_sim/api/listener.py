"""Serves an aiohttp application on one port, like Go's net/http does.

With TLS, a client that speaks plain HTTP gets Go's 400 and its sentence (recorded), which a TLS server of
Python's own would not say: so the first byte of a connection is looked at before the handshake.
"""

import asyncio
import contextlib
import logging
import socket
import ssl

from aiohttp import web

log = logging.getLogger(__name__)

PLAIN_HTTP = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
TLS_HANDSHAKE = 0x16
FIRST_BYTE_TIMEOUT = 10.0
LINGER = 1.0
KEEPALIVE = 300.0
SHUTDOWN_TIMEOUT = 0.5
BACKLOG = 1024


class Listener:
    """A listening socket and the application behind it."""

    def __init__(self, runner: web.AppRunner, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        self._runner = runner
        self._socket = sock
        self._tls = tls
        self._connections: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())
        self.port: int = sock.getsockname()[1]

    async def close(self) -> None:
        """Stops listening and ends the connections."""
        self._accepting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._accepting
        self._socket.close()
        for task in list(self._connections):
            task.cancel()
        await self._runner.cleanup()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _peer = await loop.sock_accept(self._socket)
            except OSError as err:
                log.warning("accept on port %s: %s", self.port, err)
                await asyncio.sleep(0.1)
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = asyncio.create_task(self._serve(connection))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _serve(self, connection: socket.socket) -> None:
        """Hands the connection to aiohttp, which owns the socket from then on."""
        loop = asyncio.get_running_loop()
        server = self._runner.server
        assert server is not None
        try:
            if self._tls and not await self._speaks_tls(connection):
                connection.close()
                return
            await loop.connect_accepted_socket(server, connection, ssl=self._tls)
        except (OSError, TimeoutError) as err:  # ssl.SSLError is an OSError
            log.debug("connection on port %s: %s", self.port, err)
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
        if not first or first[0] == TLS_HANDSHAKE:
            return bool(first)
        await loop.sock_sendall(connection, PLAIN_HTTP)
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(LINGER):  # closing with unread input would reset the connection
                while await loop.sock_recv(connection, 65536):
                    pass
        return False


async def listen(app: web.Application, host: str, port: int, tls: ssl.SSLContext | None = None) -> Listener:
    """Starts serving `app` on host:port (0: any free port). Raises OSError when the port is taken."""
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        keepalive_timeout=KEEPALIVE,
        shutdown_timeout=SHUTDOWN_TIMEOUT,
    )
    await runner.setup()
    try:
        sock = socket.create_server((host, port), backlog=BACKLOG)
    except OSError:
        await runner.cleanup()
        raise
    sock.setblocking(False)
    return Listener(runner, sock, tls)
