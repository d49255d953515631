"""The single probe of the master's gateway at the start of a lite (Kuscia facts 0.11, 5.4)."""

import asyncio
import ssl

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from kuscia_sim.node.config import Endpoint
from kuscia_sim.node.dns import NoSuchHost, Resolver

TIMEOUT = 5.0
HEADER = "Kuscia-Error-Message"


class ProbeFailed(Exception):
    """No Kuscia gateway answers; str() is the detail that Kuscia logs."""


async def probe(url: str, resolver: Resolver) -> None:
    """Require 401 and a non-empty Kuscia-Error-Message within 5 s.

    Raises:
        ProbeFailed: the answer is different.
    """
    if not url:
        raise ProbeFailed("endpoint URL is empty")
    try:
        endpoint = Endpoint.parse(url)
        address = await resolver.lookup(endpoint.host)
    except ValueError as err:
        raise ProbeFailed(f"endpoint URL is invalid: {err}") from err
    except NoSuchHost as err:
        raise ProbeFailed(f'sending request error: Get "{url}": dial tcp: {err}') from err
    try:
        status, said, body = await _get(url, address)
    except (aiohttp.ClientError, TimeoutError, OSError) as err:
        reason = _go_text(err, endpoint, address)
        raise ProbeFailed(f'sending request error: Get "{url}": {reason}') from err
    if status != 401 or not said:
        raise ProbeFailed(f"unexpected status code: {status}, response body: {body}")


class _Fixed(AbstractResolver):
    def __init__(self, address: str) -> None:
        self._address = address

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host=self._address, port=port, family=2, proto=0, flags=0)]

    async def close(self) -> None:
        return None


async def _get(url: str, address: str) -> tuple[int, str, str]:
    connector = aiohttp.TCPConnector(resolver=_Fixed(address), ssl=False)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    async with (
        asyncio.timeout(TIMEOUT),
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        session.get(url) as answer,
    ):
        return answer.status, answer.headers.get(HEADER, ""), await answer.text(errors="replace")


def _go_text(err: Exception, endpoint: Endpoint, address: str) -> str:
    if isinstance(err, TimeoutError):
        return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    where = f"dial tcp {address}:{endpoint.port}: connect: "
    cause = err.__cause__ or (err.os_error if isinstance(err, aiohttp.ClientConnectorError) else None)
    if isinstance(cause, ssl.SSLError) or isinstance(err, aiohttp.ClientConnectorSSLError):
        return "http: server gave HTTP response to HTTPS client"
    if isinstance(err, aiohttp.ServerDisconnectedError):
        return "EOF"
    if isinstance(cause, ConnectionRefusedError):
        return where + "connection refused"
    if isinstance(cause, OSError) and cause.strerror:
        return where + cause.strerror.lower()
    return str(err)
