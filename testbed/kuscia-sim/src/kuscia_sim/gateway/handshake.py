"""The handshake in which two gateways agree on a token (Kuscia facts 6.5): the destination answers on 1054.

Tokens are stored in the DomainRoute of each side, encrypted with that side's key, and sent in the header
`Kuscia-Token`.
"""

import asyncio
import base64
import binascii
import datetime
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import web
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from kuscia_sim.gateway import registration
from kuscia_sim.gateway.envoy import HANDSHAKE_CLUSTER_HEADER, INTERNAL_PORT
from kuscia_sim.log import Log
from kuscia_sim.node.host import Host
from kuscia_sim.state.objects import age, format_time, mutate
from kuscia_sim.state.store import NotFound, Object, Store, StoreError, now_rfc3339
from kuscia_sim.transport.gojson import encode
from kuscia_sim.transport.protojson import INT64, STR, DecodeError, message, parse_go

TOKEN_BYTES = 32
PREFIX = b"kuscia"
REQUEST_TIMEOUT = 10.0
GATEWAY_LIVE = 180.0
"""Seconds after its last heartbeat that a gateway instance counts as live (Kuscia facts 6.4, 16.2)."""
TOKEN_WAIT = 30.0
KEPT_TOKENS = 2
FOREVER = datetime.timedelta(days=36500)

READY, NO_DOMAIN_ID, NO_REVISION, NOT_READY, TOKEN_NOT_FOUND, NO_AUTHENTICATION, INTERNAL_ERROR = range(7)

REQUEST = message(
    "HandShakeRequest",
    "handshake",
    domain_id=STR,
    token_config=message("TokenConfig", "handshake", token=STR, revision=INT64, pubhash=STR),
    type=STR,
    request_time=INT64,
)

log = Log(__name__)


class PeerError(Exception):
    """A call to another gateway failed; str() is the text of Kuscia's client."""


class HandshakeFailed(Exception):
    """The destination answered with a status code other than 0; str() is its message."""


def public_pem(key: RSAPrivateKey) -> str:
    """Return base64 of the PKCS#1 PEM of the public key, as in DomainRoutes and gateways."""
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1)
    return base64.b64encode(pem).decode()


def encrypt_token(public_key: RSAPublicKey, token: bytes) -> str:
    return base64.b64encode(public_key.encrypt(PREFIX + token, padding.PKCS1v15())).decode()


def decrypt_token(key: RSAPrivateKey, text: str, size: int) -> bytes:
    """Return the `size` bytes of a token.

    Raises:
        ValueError: it was encrypted for a different key.
    """
    encrypted = base64.b64decode(text)
    try:
        plain = key.decrypt(encrypted, padding.PKCS1v15())
    except ValueError as error:
        # Encrypted for a larger modulus than this key's; for a smaller one the plain text is random.
        raise ValueError("the token was encrypted for another key") from error
    if len(plain) != len(PREFIX) + size or not plain.startswith(PREFIX):
        raise ValueError("the token was encrypted for another key")
    return plain[len(PREFIX) :]


def key_hash(public_key_b64: str) -> str:
    return base64.b64encode(hashlib.sha256(base64.b64decode(public_key_b64)).digest()).decode()


def parse_public_key(public_key_b64: str) -> RSAPublicKey:
    """Parse base64 of a PEM RSA public key.

    Raises:
        ValueError: it is not one.
    """
    try:
        key = serialization.load_pem_public_key(base64.b64decode(public_key_b64))
    except (ValueError, UnsupportedAlgorithm) as err:
        raise ValueError("public key format error, must be base64 encoded PEM") from err
    if not isinstance(key, RSAPublicKey):
        raise ValueError("not an RSA public key")
    return key


def live_gateways(gateways: list[Object]) -> list[str]:
    """Return the names of the live gateway instances."""
    names = []
    for gateway in gateways:
        beat = (gateway.get("status") or {}).get("heartbeatTime")
        if beat and age(beat) < GATEWAY_LIVE:
            names.append(gateway["metadata"]["name"])
    return names


def token_status(route: Object) -> Object:
    """Return the `status.tokenStatus` of a DomainRoute, created if missing; changing it changes the object."""
    status: Object = route.setdefault("status", {})
    found: Object = status.setdefault("tokenStatus", {})
    return found


def tokens(route: Object) -> list[Object]:
    """Return the tokens of a DomainRoute that have not expired, oldest first."""
    found = ((route.get("status") or {}).get("tokenStatus") or {}).get("tokens") or []
    return [token for token in found if not token.get("expirationTime") or age(token["expirationTime"]) < 0]


def add_token(route: Object, encrypted: str, revision: int, instance: str, ready: bool) -> None:
    """Make `encrypted` the newest token of a DomainRoute; the previous one stays valid."""
    now = datetime.datetime.now(datetime.UTC)
    period = int((route["spec"].get("tokenConfig") or {}).get("rollingUpdatePeriod") or 0)
    entry = {
        "token": encrypted,
        "revision": revision,
        "revisionTime": format_time(now),
        "expirationTime": format_time(now + (datetime.timedelta(seconds=2 * period) if period else FOREVER)),
        "isReady": ready,
        "heartBeatTime": format_time(now) if ready else None,
        "effectiveInstances": [instance] if ready else [],
    }
    status = token_status(route)
    status["tokens"] = [*(status.get("tokens") or []), entry][-KEPT_TOKENS:]
    status["revisionToken"] = {
        name: entry[name] for name in ("token", "revision", "revisionTime", "expirationTime", "isReady")
    }


class Client:
    """Calls other gateways through the node's Envoy, as Kuscia's controllers do."""

    def __init__(self, host: Host, domain_id: str, key: RSAPrivateKey) -> None:
        self._host = host
        self._domain_id = domain_id
        self._key = key
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def call(
        self,
        method: str,
        path: str,
        cluster: str,
        kuscia_host: str,
        body: dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the JSON answer of the gateway behind the Envoy cluster `cluster`.

        Args:
            headers: additional ones; a gateway that forwards the request requires its `Kuscia-Token`.

        Raises:
            PeerError: no answer within 10 s, a status other than 200, or a body that is not a JSON object.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT))
        url = f"http://{self._host.loopback}:{self._host.port(INTERNAL_PORT)}{path}"
        verb = method.capitalize()
        sent = {
            HANDSHAKE_CLUSTER_HEADER: cluster,
            "Kuscia-Source": self._domain_id,
            "Kuscia-Host": kuscia_host,
            "Content-Type": "application/json",
            **(headers or {}),
        }
        data = None if body is None else json.dumps(body)
        try:
            async with self._session.request(method, url, data=data, headers=sent, allow_redirects=False) as answer:
                text = await answer.text(errors="replace")
                status = answer.status
        except TimeoutError as err:
            raise PeerError(
                f'send request error, detail -> {verb} "{url}": context deadline exceeded '
                "(Client.Timeout exceeded while awaiting headers)"
            ) from err
        except aiohttp.ClientError as err:
            raise PeerError(f'send request error, detail -> {verb} "{url}": {err}') from err
        if status != 200:
            raise PeerError(f"response status code [{status}], detail -> {text[:200]}")
        try:
            found = json.loads(text)
        except ValueError as err:
            raise PeerError(f"invalid response body, detail -> {text[:200]}") from err
        if not isinstance(found, dict):
            raise PeerError(f"invalid response body, detail -> {text[:200]}")
        return found

    async def agree(
        self,
        path: str,
        cluster: str,
        kuscia_host: str,
        destination_key: str,
        last_revision: int,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[bytes, int]:
        """Return a new token for calling the destination, and its revision.

        Args:
            destination_key: base64 PEM of its public key; empty for UID-RSA-GEN, where the destination
                creates the token.

        Raises:
            PeerError: the call failed.
            HandshakeFailed: the destination rejected it.
        """
        own_half = secrets.token_bytes(TOKEN_BYTES // 2) if destination_key else b""
        asked: dict[str, Any] = {
            "domain_id": self._domain_id,
            "type": "RSA" if destination_key else "UID",
            "request_time": time.time_ns(),
        }
        if destination_key:
            asked["token_config"] = {
                "token": encrypt_token(parse_public_key(destination_key), own_half),
                "revision": last_revision,
                "pubhash": key_hash(public_pem(self._key)),
            }
        answer = await self.call("POST", path, cluster, kuscia_host, asked, headers)
        status = answer.get("status") or {}
        if status.get("code"):
            raise HandshakeFailed(str(status.get("message", "")))
        given = answer.get("token") or {}
        try:
            rest = decrypt_token(self._key, str(given.get("token", "")), TOKEN_BYTES - len(own_half))
        except (ValueError, binascii.Error) as err:
            raise HandshakeFailed(f"decrypt auth token error: {err}") from err
        return own_half + rest, int(given.get("revision", 0))


class Server:
    """Answers /handshake, and /register on a master."""

    def __init__(
        self, store: Store, domain_id: str, key: RSAPrivateKey, is_master: bool, heard: dict[str, float]
    ) -> None:
        """Create the server; it stores the time (monotonic) of each route's last heartbeat in `heard`, by name."""
        self._store = store
        self._domain_id = domain_id
        self._key = key
        self._is_master = is_master
        self._heard = heard

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/handshake", self._handshake)
        if self._is_master:
            app.router.add_route("*", "/register", self._register)
        app.router.add_route("*", "/{rest:.*}", _not_found)
        return app

    async def state(self, source: str, revision: str) -> int:
        """Return the state of a token for the source of a route (Kuscia facts 6.5, 16.2)."""
        if not source:
            return NO_DOMAIN_ID
        name = f"{source}-{self._domain_id}"
        try:
            route = await self._store.get("domainroutes", self._domain_id, name)
        except NotFound:
            return NO_AUTHENTICATION
        except StoreError:
            return INTERNAL_ERROR
        if not revision:
            return NO_REVISION
        for entry in tokens(route):
            if str(entry["revision"]) == revision:
                if not entry["isReady"]:
                    return NOT_READY
                self._heard[name] = time.monotonic()
                return READY
        return TOKEN_NOT_FOUND

    async def _handshake(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            source = request.headers.get("Kuscia-Origin-Source", "") or request.headers.get("Kuscia-Source", "")
            state = await self.state(source, request.headers.get("Kuscia-Token-Revision", ""))
            return _json({"namespace": self._domain_id, "state": state})
        try:
            asked = parse_go(await request.read(), REQUEST)
        except DecodeError as err:
            log.error("", f"Invalid request: {err}")
            return _error(400, str(err))
        name = f"{asked['domain_id']}-{self._domain_id}"
        try:
            answer = await self._reply(asked, name)
        except registration.GoPanic:
            return _dropped(request)
        except HandshakeFailed as err:
            log.error("controller/handshake.go:452", f"DestReplyHandshake for [{name}] failed, detail-> {err}")
            return _json({"status": {"code": 500, "message": str(err)}})
        log.info("controller/handshake.go:454", f"DomainRoute {name} handle successfully")
        return _json(answer)

    async def _reply(self, asked: dict[str, Any], name: str) -> dict[str, Any]:
        source, own = asked["domain_id"], self._domain_id
        try:
            route = await self._store.get("domainroutes", own, name)
        except NotFound as err:
            # Kuscia checks for "not found" with the wrong library, so its text for that case never appears (Kuscia
            # facts 6.5).
            raise HandshakeFailed(
                f"domainRoute [{name}] get error in dest domain [{own}]: domainroute.kuscia.secretflow "
                f'"{name}" not found'
            ) from err
        config = route["spec"].get("tokenConfig")
        if config is None:
            raise registration.GoPanic
        method, kind = config.get("tokenGenMethod", ""), asked["type"]
        if (kind, method) not in (("RSA", "RSA-GEN"), ("UID", "UID-RSA-GEN")):
            raise HandshakeFailed(f"handshake type [{kind}] mismatch in domainroute [{method}]")
        try:
            source_key = parse_public_key(config.get("sourcePublicKey", ""))
        except (ValueError, binascii.Error) as err:
            raise HandshakeFailed(
                f"invalid source domain [{source}] publickey in domainroute [{name}], error: {err}"
            ) from err
        theirs = self._their_half(asked, name, config) if kind == "RSA" else b""
        ours = secrets.token_bytes(TOKEN_BYTES - len(theirs))
        encrypted = encrypt_token(self._key.public_key(), theirs + ours)
        revision = 0

        def note(current: Object) -> None:
            nonlocal revision
            last = (token_status(current).get("revisionToken") or {}).get("revision") or 0
            revision = int(last) + 1
            add_token(current, encrypted, revision, "", ready=False)

        await mutate(self._store, "domainroutes", own, name, note)
        expiration = await self._wait_effective(name, revision)
        return {
            "status": {},
            "token": {
                "token": encrypt_token(source_key, ours),
                "expiration_time": int(expiration.timestamp() * 1e9),
                "revision": revision,
            },
        }

    def _their_half(self, asked: dict[str, Any], name: str, config: Object) -> bytes:
        given, source = asked["token_config"], asked["domain_id"]
        if given is None:
            raise registration.GoPanic
        if given["pubhash"] != key_hash(config["sourcePublicKey"]):
            raise HandshakeFailed(f"source domain [{source}] publickey hash mismatch in domainroute [{name}]")
        try:
            return decrypt_token(self._key, given["token"], TOKEN_BYTES // 2)
        except (ValueError, binascii.Error) as err:
            raise HandshakeFailed(
                f"dest domain [{self._domain_id}] publickey in source domain [{source}] may be not correct"
            ) from err

    async def _wait_effective(self, name: str, revision: int) -> datetime.datetime:
        """Wait until every live gateway instance of this domain accepts the token; return its expiration."""
        deadline = time.monotonic() + TOKEN_WAIT
        while True:
            route = await self._store.get("domainroutes", self._domain_id, name)
            live = set(live_gateways(await self._store.list("gateways", self._domain_id)))
            entry = next((token for token in tokens(route) if token["revision"] == revision), None)
            if entry is None:
                raise HandshakeFailed(
                    f"wait token ready in dest domain [{self._domain_id}] error: token of dr {name} was deleted "
                )
            if entry["effectiveInstances"] and live <= set(entry["effectiveInstances"]):
                break
            if time.monotonic() > deadline:
                raise HandshakeFailed(
                    f"wait token ready in dest domain [{self._domain_id}] error: "
                    f"wait dr {name} token ready failed at max retry times:30"
                )
            await asyncio.sleep(0.1)

        def ready(current: Object) -> None:
            for token in tokens(current):
                if token["revision"] == revision:
                    token["isReady"] = True
                    token["heartBeatTime"] = now_rfc3339()
            token_status(current)["revisionToken"]["isReady"] = True

        await mutate(self._store, "domainroutes", self._domain_id, name, ready)
        self._heard[name] = time.monotonic()
        moment = datetime.datetime.strptime(entry["expirationTime"], "%Y-%m-%dT%H:%M:%SZ")
        return moment.replace(tzinfo=datetime.UTC)

    async def _register(self, request: web.Request) -> web.Response:
        if request.method != "POST":
            return web.Response(status=405)
        token = request.headers.get("jwt-token", "")
        try:
            answer = await registration.register(self._store, self._domain_id, self._key, await request.read(), token)
        except registration.Refused as err:
            log.error("controller/register_node.go:241", str(err))
            return _error(err.status, str(err))
        except registration.GoPanic:
            return _dropped(request)
        return _json(answer)


def _json(value: dict[str, Any]) -> web.Response:
    return web.Response(body=f"{encode(value)}\n".encode(), content_type="application/json")


def _dropped(request: web.Request) -> web.Response:
    """End the connection without an answer, as Go's server does when a handler panics."""
    if request.transport:
        request.transport.abort()
    return web.Response(status=500)


def _error(status: int, text: str) -> web.Response:
    return web.Response(
        status=status,
        body=(text + "\n").encode(),
        headers={"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"},
    )


async def _not_found(_request: web.Request) -> web.Response:
    return _error(404, "404 page not found")
