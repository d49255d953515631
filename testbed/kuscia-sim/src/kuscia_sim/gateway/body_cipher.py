"""Body encryption between the gateways at both ends of a route (`bodyEncryption`, Kuscia facts 6.1).

Kuscia encrypts in a filter of its Envoy, whose format is not known; here a stock Envoy forwards such requests to this
server. Common to both: only the two ends can read a body, whatever is between them; the key is derived from the token
they agreed on; paths and headers are not encrypted.
"""

import hashlib
import hmac
import os
from typing import Protocol

import aiohttp
from aiohttp import web
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from kuscia_sim.gateway.envoy import CIPHER_HEADER, HANDSHAKE_CLUSTER_HEADER, INTERNAL_PORT
from kuscia_sim.log import Log
from kuscia_sim.node.host import Host

SEALED_HEADER = "kuscia-sim-body"
"""Header between gateways: algorithm and revision of the token that encrypts the body."""
NONCE_BYTES, KEY_BYTES, TAG_BYTES = 16, 16, 32
NOT_PASSED_ON = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        CIPHER_HEADER,
    }
)
UNLIMITED = 2**60

log = Log(__name__)


class NotSealed(Exception):
    """A body that must be encrypted is not, or with a different token; str() says which."""


class Keys(Protocol):
    """Source of the keys: the gateway."""

    def body_key(self, route_name: str, revision: int | None = None) -> tuple[str, str, int]:
        """Return algorithm, token and revision.

        Raises:
            LookupError: the route has no such token.
        """
        ...

    def services_at(self, host: str) -> tuple[str, int] | None: ...


def seal(algorithm: str, token: str, context: str, body: bytes) -> bytes:
    """Encrypt and authenticate `body`; `unseal` needs the same `context`."""
    nonce = os.urandom(NONCE_BYTES)
    key, mac_key = _keys(token, context)
    encryptor = _cipher(algorithm, key, nonce).encryptor()
    sealed = nonce + encryptor.update(body) + encryptor.finalize()
    return sealed + hmac.digest(mac_key, sealed, "sha256")


def unseal(algorithm: str, token: str, context: str, sealed: bytes) -> bytes:
    """Decrypt a body.

    Raises:
        NotSealed: it is not encrypted with this token and context.
    """
    key, mac_key = _keys(token, context)
    content, tag = sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]
    if len(content) < NONCE_BYTES or not hmac.compare_digest(hmac.digest(mac_key, content, "sha256"), tag):
        raise NotSealed("the body was not encrypted with this token")
    decryptor = _cipher(algorithm, key, content[:NONCE_BYTES]).decryptor()
    return decryptor.update(content[NONCE_BYTES:]) + decryptor.finalize()


def _keys(token: str, context: str) -> tuple[bytes, bytes]:
    found = hashlib.sha512(f"{token} {context}".encode()).digest()
    return found[:KEY_BYTES], found[KEY_BYTES:]


def _cipher(algorithm: str, key: bytes, nonce: bytes) -> Cipher[modes.CTR]:
    kind = {"AES": algorithms.AES, "SM4": algorithms.SM4}[algorithm]
    return Cipher(kind(key), modes.CTR(nonce))


class Server:
    """Encrypts and decrypts requests of encrypted routes, which Envoy forwards to it on loopback."""

    def __init__(self, host: Host, gateway: Keys) -> None:
        self._host = host
        self._gateway = gateway
        self._session: aiohttp.ClientSession | None = None

    def app(self) -> web.Application:
        app = web.Application(client_max_size=UNLIMITED)
        app.router.add_route("*", "/{rest:.*}", self._handle)
        return app

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        task, route, *rest = request.headers.get(CIPHER_HEADER, "").split() or ("", "")
        try:
            if task == "seal":
                return await self._outgoing(request, route, rest[0])
            return await self._incoming(request, route)
        except (NotSealed, LookupError) as err:
            return self._refusal(400, f"body encryption of route {route}: {err}")
        except aiohttp.ClientError as err:
            return self._refusal(503, str(err))

    def _refusal(self, status: int, text: str) -> web.Response:
        log.warning("", text)
        return web.Response(status=status, headers={"kuscia-error-message": text}, text=text + "\n")

    async def _outgoing(self, request: web.Request, route: str, cluster: str) -> web.Response:
        algorithm, token, revision = self._gateway.body_key(route)
        headers = _passed_on(request.headers)
        headers[SEALED_HEADER] = f"{algorithm} {revision}"
        headers[HANDSHAKE_CLUSTER_HEADER] = cluster
        url = f"http://{self._host.loopback}:{self._host.port(INTERNAL_PORT)}{request.raw_path}"
        body = seal(algorithm, token, f"{route} request", await request.read())
        status, answered, sealed = await self._send(request.method, url, headers, body)
        if SEALED_HEADER not in answered:
            # The answer comes from a gateway or a proxy, not from a service.
            return web.Response(status=status, headers=answered, body=sealed)
        del answered[SEALED_HEADER]
        return web.Response(status=status, headers=answered, body=unseal(algorithm, token, f"{route} answer", sealed))

    async def _incoming(self, request: web.Request, route: str) -> web.Response:
        said, _, revision = request.headers.get(SEALED_HEADER, "").partition(" ")
        if not revision.isdecimal():
            raise NotSealed("the body is not encrypted")
        algorithm, token, _ = self._gateway.body_key(route, int(revision))
        if said != algorithm:
            raise NotSealed(f"the body is encrypted with {said}, not with {algorithm}")
        body = unseal(algorithm, token, f"{route} request", await request.read())
        host = request.headers.get("kuscia-host", "")
        service = self._gateway.services_at(host)
        if service is None:
            raise LookupError(f"no service {host}")
        headers = _passed_on(request.headers)
        del headers[SEALED_HEADER]
        headers["Host"] = host
        url = f"http://{service[0]}:{service[1]}{request.raw_path}"
        status, answered, plain = await self._send(request.method, url, headers, body)
        answered[SEALED_HEADER] = f"{algorithm} {revision}"
        return web.Response(status=status, headers=answered, body=seal(algorithm, token, f"{route} answer", plain))

    async def _send(
        self, method: str, url: str, headers: CIMultiDict[str], body: bytes
    ) -> tuple[int, CIMultiDict[str], bytes]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=5), auto_decompress=False
            )
        async with self._session.request(
            method, URL(url, encoded=True), data=body, headers=headers, allow_redirects=False
        ) as answer:
            return answer.status, _passed_on(answer.headers), await answer.read()


def _passed_on(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in NOT_PASSED_ON)
