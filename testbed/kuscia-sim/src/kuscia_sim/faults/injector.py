"""Injects the faults of the file that KUSCIA_SIM_FAULTS names; a node without that variable has none.

The file is read again whenever it changes, so a test can add and remove faults while the node runs.
"""

import asyncio
import contextlib
import fnmatch
import os
import random
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import yaml
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from kuscia_sim.faults.rules import GATEWAY, SERVERS, START, TOKEN, Fault, FaultsInvalid
from kuscia_sim.log import Log
from kuscia_sim.transport import gojson

VARIABLE = "KUSCIA_SIM_FAULTS"
POLL = 0.25
LOGIN_PAGE = "<!DOCTYPE html><html><body><form action='/login'><input name='password'></form></body></html>\n"
BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head></html>\n"


log = Log(__name__)


class Faults:
    """The faults of one node."""

    def __init__(self, file: Path | None = None, domain_id: str = "", mode: str = "") -> None:
        """Load the file.

        Raises:
            FaultsInvalid: the file is invalid.
        """
        self._file = file
        self._names = {"*", domain_id, mode}
        self._version: tuple[int, int] | None = None
        self._faults: list[Fault] = []
        self._met: dict[int, int] = {}
        self._hits: dict[int, int] = {}
        self._chances: dict[int, random.Random] = {}
        self._since = 0.0
        self._in_hand: dict[str, int] = {}
        if file:
            self._refresh(strict=True)

    @classmethod
    def from_environment(cls, domain_id: str, mode: str, environ: Mapping[str, str] = os.environ) -> "Faults":
        """Load the file that the environment names.

        Raises:
            FaultsInvalid: the file is invalid.
        """
        name = environ.get(VARIABLE)
        return cls(Path(name) if name else None, domain_id, mode)

    def middleware(self, server: str) -> Middleware:
        """Return the middleware that injects the faults of one of SERVERS."""

        @web.middleware
        async def meet(request: web.Request, handler: Handler) -> web.StreamResponse:
            async with self._count(server):
                for fault in self._hitting(server, request.path):
                    answer = await self._apply(fault, server, request, handler)
                    if answer is not None:
                        return answer
                return await handler(request)

        return meet

    def gateway_answer(self) -> tuple[int, str] | None:
        """Return status and body of every answer on port 1080, or None for normal operation."""
        for fault in self._hitting(GATEWAY, "/"):
            return (200, LOGIN_PAGE) if fault.do == "login" else (fault.status, BAD_GATEWAY)
        return None

    async def follow_gateway(self, changed: Callable[[], object]) -> None:
        """Call `changed` whenever `gateway_answer` may have changed, until cancelled."""
        while self._file:
            changed()
            await asyncio.sleep(POLL)

    async def slow_start(self) -> None:
        """Wait as long as the start is to be delayed."""
        for fault in self._hitting(START, ""):
            log.warning("", f"fault: delaying the start by {fault.seconds:g} s")
            await asyncio.sleep(fault.seconds)

    def token_delay(self) -> float:
        """Return how many seconds after its creation a Domain has no deploy token."""
        if not self._file:
            return 0.0
        self._refresh()
        late = [fault.seconds for fault in self._faults if fault.at == TOKEN and fault.node in self._names]
        return max(late, default=0.0)

    @contextlib.asynccontextmanager
    async def _count(self, server: str) -> AsyncIterator[None]:
        self._in_hand[server] = self._in_hand.get(server, 0) + 1
        try:
            yield
        finally:
            self._in_hand[server] -= 1

    def _refresh(self, strict: bool = False) -> None:
        assert self._file
        try:
            status = self._file.stat()
            version = (status.st_mtime_ns, status.st_size)
        except FileNotFoundError:
            version = (0, 0)
        if version == self._version:
            return
        self._version = version
        self._met, self._hits, self._chances, self._since = {}, {}, {}, time.monotonic()
        try:
            self._faults = self._load() if version != (0, 0) else []
        except (FaultsInvalid, OSError) as err:
            if strict:
                raise
            # Fail every request: without faults a test would pass and prove nothing.
            log.error("", f"{VARIABLE}: {err}")
            self._faults = [Fault(at=server, do="fail", text=str(err)) for server in SERVERS]

    def _load(self) -> list[Fault]:
        assert self._file
        try:
            entries = yaml.safe_load(self._file.read_text())
        except yaml.YAMLError as err:
            raise FaultsInvalid(f"{self._file} is not valid YAML: {err}") from err
        if entries is None:
            return []
        if not isinstance(entries, list):
            raise FaultsInvalid(f"{self._file} must contain a list")
        return [Fault.parse(entry, f"{self._file.name}[{index}]") for index, entry in enumerate(entries)]

    def _hitting(self, at: str, path: str) -> list[Fault]:
        """Return the faults that this request hits, and count it."""
        if not self._file:
            return []
        self._refresh()
        return [fault for index, fault in enumerate(self._faults) if self._hits_now(index, fault, at, path)]

    def _hits_now(self, index: int, fault: Fault, at: str, path: str) -> bool:
        if fault.at != at or fault.node not in self._names or not fnmatch.fnmatch(path, fault.path):
            return False
        if fault.every and (time.monotonic() - self._since) % fault.every >= fault.down:
            return False
        if fault.do == "stall" and self._in_hand.get(at, 0) <= fault.above:
            return False
        self._met[index] = self._met.get(index, 0) + 1
        if self._met[index] <= fault.skip or (fault.times and self._hits.get(index, 0) >= fault.times):
            return False
        if fault.chance < 1 and self._chances.setdefault(index, random.Random(fault.seed)).random() >= fault.chance:
            return False
        self._hits[index] = self._hits.get(index, 0) + 1
        return True

    async def _apply(
        self, fault: Fault, server: str, request: web.Request, handler: Handler
    ) -> web.StreamResponse | None:
        """Return the answer, or None if the request continues."""
        log.warning("", f"fault: {fault.do} at {server} {request.path}")
        if fault.do in ("delay", "stall"):
            await asyncio.sleep(fault.seconds)
            return None
        if fault.do == "fail":
            return _failure(fault)
        if fault.do == "lose":
            await request.read()
            await handler(request)
        _reset(request)
        return web.Response()


def _failure(fault: Fault) -> web.Response:
    if not fault.code:
        return web.Response(status=fault.status, text=fault.text)
    body = {"status": {"code": fault.code, "message": fault.text, "details": []}, "data": None}
    return web.Response(body=gojson.compact(body).encode(), content_type="application/json")


def _reset(request: web.Request) -> None:
    """End the connection with a TCP reset."""
    transport = request.transport
    if transport is None:
        return
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
