"""A node's gateway: converts DomainRoutes and engine endpoints into Envoy's routing and keeps routes alive.

The source of a route shakes hands with the destination's real gateway, so that anything between them has its effect
(Kuscia facts 6.4, 6.5).
"""

import asyncio
import binascii
import dataclasses
import time
from collections.abc import Coroutine
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from kuscia_sim.faults.injector import Faults
from kuscia_sim.gateway import handshake
from kuscia_sim.gateway.envoy import (
    APISERVER_PORT,
    INTERNAL_API_PORT,
    MASTER_CLUSTER,
    Envoy,
    Peer,
    Routing,
    Service,
    Upstream,
)
from kuscia_sim.gateway.handshake import Client, HandshakeFailed, PeerError
from kuscia_sim.log import Log
from kuscia_sim.node.config import Endpoint
from kuscia_sim.node.host import Host
from kuscia_sim.node.node import MasterUnreachable
from kuscia_sim.state.objects import age, changes, mutate
from kuscia_sim.state.store import NotFound, Object, Store, StoreError, now_rfc3339

THIRD_DOMAIN = "THIRD-DOMAIN"
HEARTBEAT = 15.0
HEARTBEAT_LOST = 2 * HEARTBEAT
RETRY_PAUSES = (1, 1, 1, 1, 2, 4, 8, 15)
ROUND = 10.0

log = Log(__name__)


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a handshake goes; token: for a gateway that forwards it."""

    path: str
    cluster: str
    kuscia_host: str
    token: str = dataclasses.field(default="", repr=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"Kuscia-Token": self.token} if self.token else {}


class Gateway:
    """The gateway of one node. `store` is None on a lite until it is connected to its master."""

    def __init__(
        self,
        host: Host,
        domain_id: str,
        version: str,
        key: RSAPrivateKey,
        envoy: Envoy,
        is_master: bool,
        faults: Faults | None = None,
    ) -> None:
        self.host = host
        self.domain_id = domain_id
        self.master_id = domain_id if is_master else ""
        self.client = Client(host, domain_id, key)
        self.heard: dict[str, float] = {}
        self._version = version
        self._key = key
        self._public_pem = handshake.public_pem(key)
        self._envoy = envoy
        self._is_master = is_master
        self._faults = faults or Faults()
        self._store: Store | None = None
        self._routes: list[Object] = []
        self._endpoints: list[Object] = []
        self._master: Endpoint | None = None
        self._master_token = ""
        self._plain: dict[str, str] = {}
        self._shaking: dict[str, asyncio.Task[None]] = {}

    def services(self) -> frozenset[str]:
        """Return the host names of this domain's services, for DNS."""
        return frozenset(host for service in self._services() for host in service.hosts)

    async def start(self) -> None:
        await self._envoy.start(self.routing())

    async def follow_faults(self) -> None:
        """Apply the faults of the gateway until cancelled."""
        await self._faults.follow_gateway(lambda: self._envoy.apply(self.routing()))

    def use_master(self, endpoint: Endpoint) -> None:
        """Make the master's gateway reachable for handshakes (a lite's first step)."""
        self._master = endpoint
        self._envoy.apply(self.routing())

    async def use_master_token(self, master_id: str, token: bytes) -> None:
        """Make `*.master.svc` reachable with the agreed token."""
        self.master_id, self._master_token = master_id, _text(token)
        self._envoy.apply(self.routing())
        await self._envoy.settled()

    def routing(self) -> Routing:
        handshake_hosts = [f"kuscia-handshake.{self.domain_id}.svc"]
        if self._is_master:
            handshake_hosts.insert(0, "kuscia-handshake.master.svc")
        peers, probes = self._peers()
        return Routing(
            domain_id=self.domain_id,
            hostname=self.host.hostname,
            version=self._version,
            handshake_hosts=tuple(handshake_hosts),
            services=tuple(self._services()),
            peers=tuple(peers),
            probes=tuple(probes),
            sealed_origins=tuple(self._sealed_origins()),
            callers=tuple(self._callers()),
            instead=self._faults.gateway_answer(),
        )

    def services_at(self, host: str) -> tuple[str, int] | None:
        """Return address and port of the service `host` of this domain that others may reach, or None."""
        found = (item.upstream for item in self._services() if item.external and host in item.hosts)
        return next(((upstream.host, upstream.port) for upstream in found), None)

    def body_key(self, route_name: str, revision: int | None = None) -> tuple[str, str, int]:
        """Return algorithm, token and revision for the bodies of a route; by default of its newest token.

        Raises:
            LookupError: the route is not encrypted or has no such token.
        """
        for route in self._routes:
            algorithm = (route["spec"].get("bodyEncryption") or {}).get("algorithm")
            if route["metadata"]["name"] != route_name or not algorithm:
                continue
            for entry in reversed(handshake.tokens(route)):
                token = self._decrypt(entry["token"])
                if token and revision in (None, entry["revision"]):
                    return algorithm, token, entry["revision"]
        raise LookupError(f"route {route_name} has no token to encrypt with")

    async def run(self, store: Store) -> None:
        """Follow the store until cancelled."""
        self._store = store
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(store))
            group.create_task(self._beat(store))
            group.create_task(self._watch_sources(store))

    async def _follow(self, store: Store) -> None:
        async for _ in changes(store, ROUND):
            try:
                self._routes = await store.list("domainroutes", self.domain_id)
                self._endpoints = await store.list("endpoints", self.domain_id)
                if self._envoy.apply(self.routing()):
                    await self._envoy.settled()
                await self._mark_effective(store)
                self._start_handshakes(store)
            except Exception as err:
                log.warning("controller/domain_route.go:233", f"sync domain routes failed: {err}")
                await asyncio.sleep(1)

    async def _mark_effective(self, store: Store) -> None:
        """Record in the DomainRoutes which tokens this instance accepts."""
        for route in self._routes:
            if route["spec"]["destination"] != self.domain_id:
                continue
            missing = {
                token["revision"]
                for token in handshake.tokens(route)
                if self.host.hostname not in token["effectiveInstances"] and self._decrypt(token["token"])
            }
            if not missing:
                continue

            def mark(current: Object, missing: set[int] = missing) -> None:
                for token in handshake.tokens(current):
                    if token["revision"] in missing and self.host.hostname not in token["effectiveInstances"]:
                        token["effectiveInstances"].append(self.host.hostname)

            await _quietly(mutate(store, "domainroutes", self.domain_id, route["metadata"]["name"], mark))

    def _start_handshakes(self, store: Store) -> None:
        present = {f"{route['metadata']['name']}/{route['metadata']['uid']}": route for route in self._routes}
        for key, task in list(self._shaking.items()):
            if task.done():
                del self._shaking[key]
            elif key not in present:
                task.cancel()
                del self._shaking[key]
        for key, route in present.items():
            if key not in self._shaking and self._needs_handshake(route):
                task = asyncio.create_task(self._handshake(store, route), name=f"handshake {key}")
                self._shaking[key] = task

    def _needs_handshake(self, route: Object) -> bool:
        spec = route["spec"]
        config = spec.get("tokenConfig") or {}
        return (
            spec["source"] == self.domain_id
            and spec["destination"] != self.domain_id
            and spec.get("authenticationType") == "Token"
            and config.get("sourcePublicKey") == self._public_pem
            and bool(config.get("destinationPublicKey"))
            and self._has_way(route)
            and self._token_is_due(route)
        )

    def _has_way(self, route: Object) -> bool:
        """Tell whether a handshake has a destination."""
        if route["spec"].get("transit"):
            return self._leg(route) is not None
        return bool(_http_port(route)) or route["spec"]["destination"] == self.master_id

    def _leg(self, route: Object) -> tuple[Object, str] | None:
        """Return the route to the domain that forwards this one's traffic and its token, or None."""
        transit = route["spec"]["transit"]
        if transit.get("transitMethod") != THIRD_DOMAIN:
            name = f"{route['metadata']['name']} of method {transit.get('transitMethod')}"
            log.error(
                "controller/domain_route.go:233", f"DomainRoute {name}: the stand-in supports {THIRD_DOMAIN} only"
            )
            return None
        third = (transit.get("domain") or {}).get("domainID", "")
        for leg in self._routes:
            spec = leg["spec"]
            direct = spec["source"] == self.domain_id and spec["destination"] == third and not spec.get("transit")
            if direct and (token := self._newest_token(leg)):
                return leg, token
        return None

    def _newest_token(self, route: Object) -> str:
        """Return the newest token in clear, or ""."""
        found = (self._decrypt(entry["token"]) for entry in reversed(handshake.tokens(route)))
        return next((token for token in found if token), "")

    def _token_is_due(self, route: Object) -> bool:
        """Tell whether the route needs a new token: its first, or after the rolling update period."""
        valid = [token for token in handshake.tokens(route) if self._decrypt(token["token"])]
        period = int(route["spec"]["tokenConfig"].get("rollingUpdatePeriod") or 0)
        return not valid or (period > 0 and age(valid[-1]["revisionTime"]) > period)

    async def _handshake(self, store: Store, route: Object) -> None:
        """Retry until the route has a token; cancelled when the route changes or is deleted."""
        name, uid = route["metadata"]["name"], route["metadata"]["uid"]
        pauses = iter(RETRY_PAUSES)
        while True:
            # The listed route may be older than the last handshake.
            try:
                route = await store.get("domainroutes", self.domain_id, name)
            except (StoreError, MasterUnreachable) as err:
                log.warning("controller/handshake.go:318", f"DomainRoute {name}: {err}")
                return
            if route["metadata"]["uid"] != uid or not self._needs_handshake(route):
                return
            spec = route["spec"]
            last = int((handshake.token_status(route).get("revisionToken") or {}).get("revision") or 0)
            log.info(
                "controller/domain_route.go:290",
                f"DomainRoute {self.domain_id}/{name} starts handshake, the last revision is {last}",
            )
            try:
                to = self._target(route)
                method = spec["tokenConfig"]["tokenGenMethod"]
                destination_key = spec["tokenConfig"]["destinationPublicKey"] if method == "RSA-GEN" else ""
                token, revision = await self.client.agree(
                    to.path, to.cluster, to.kuscia_host, destination_key, last, to.headers
                )
                await self.remember_token(store, name, token, revision)
                return
            except NotFound:
                return
            except (PeerError, HandshakeFailed, StoreError, MasterUnreachable, ValueError) as err:
                log.warning("controller/handshake.go:318", f"DomainRoute {name}: handshake fail:{err}")
            await asyncio.sleep(next(pauses, RETRY_PAUSES[-1]))

    async def remember_token(self, store: Store, route_name: str, token: bytes, revision: int) -> None:
        """Store an agreed token in this domain's DomainRoute.

        Raises:
            StoreError: it cannot be written.
        """
        encrypted = handshake.encrypt_token(self._key.public_key(), token)

        def note(current: Object) -> None:
            handshake.add_token(current, encrypted, revision, self.host.hostname, ready=True)
            status = current["status"]
            status["tokenStatus"]["revisionInitializer"] = self.host.hostname
            status["isDestinationAuthorized"] = True
            status["isDestinationUnreachable"] = False

        await mutate(store, "domainroutes", self.domain_id, route_name, note)

    async def _beat(self, store: Store) -> None:
        """Ask each destination every 15 s whether it still accepts the token (Kuscia facts 6.4)."""
        while True:
            await asyncio.sleep(HEARTBEAT)
            sources = [
                route for route in self._routes if route["spec"]["source"] == self.domain_id and handshake.tokens(route)
            ]
            await asyncio.gather(*(_quietly(self._ask(store, route)) for route in sources))

    async def _ask(self, store: Store, route: Object) -> None:
        name = route["metadata"]["name"]
        revision = str(handshake.tokens(route)[-1]["revision"])
        try:
            to = self._target(route)
            asked = {"Kuscia-Token-Revision": revision, **to.headers}
            answer = await self.client.call("GET", to.path, to.cluster, to.kuscia_host, headers=asked)
        except PeerError as err:
            log.warning("controller/domain_route.go:218", str(err))
            await self._note(store, name, lambda status: status.update(isDestinationUnreachable=True))
            return
        state = answer.get("state")
        if state == handshake.READY:
            await self._note(store, name, lambda status: status.update(isDestinationUnreachable=False))
        elif state in (handshake.TOKEN_NOT_FOUND, handshake.NO_AUTHENTICATION):
            log.info(
                "controller/handshake.go:198",
                f"Domainroute {name} found destination token(revsion {revision}) not exist",
            )

            def forget(status: Object) -> None:
                last = (status.get("tokenStatus") or {}).get("revisionToken") or {}
                status["tokenStatus"] = {"revisionToken": {"revision": last.get("revision", 0)}}
                status["isDestinationUnreachable"] = False
                if state == handshake.NO_AUTHENTICATION:
                    status["isDestinationAuthorized"] = False

            await self._note(store, name, forget)
        else:
            log.warning("controller/domain_route.go:218", f"{name} destination answered state {state}")

    async def _watch_sources(self, store: Store) -> None:
        """Record in the DomainRoutes when a source's heartbeat is missing for 30 s, and when it returns."""
        since = time.monotonic()
        while True:
            await asyncio.sleep(5)
            for route in self._routes:
                if route["spec"]["destination"] != self.domain_id or not handshake.tokens(route):
                    continue
                name = route["metadata"]["name"]
                lost = time.monotonic() - self.heard.get(name, since) > HEARTBEAT_LOST
                if lost != bool((route.get("status") or {}).get("heartBeatTimeout")):
                    await _quietly(self._note(store, name, lambda s, lost=lost: _note_beat(s, lost)))

    async def _note(self, store: Store, name: str, change: Any) -> None:
        def apply(current: Object) -> None:
            change(current.setdefault("status", {}))

        await mutate(store, "domainroutes", self.domain_id, name, apply)

    def _target(self, route: Object) -> Target:
        """Return where a handshake with the route's destination goes.

        Raises:
            PeerError: the destination is not reachable yet.
        """
        destination = route["spec"]["destination"]
        if not self._is_master and destination == self.master_id and self._master:
            return Target(self.master_path("/handshake"), MASTER_CLUSTER, "kuscia-handshake.master.svc")
        first, token = route, ""
        if route["spec"].get("transit"):
            leg = self._leg(route)
            if leg is None:
                raise PeerError(f"the route that {route['metadata']['name']} passes through has no token")
            first, token = leg
        port = _http_port(first)
        path = (port.get("pathPrefix") or "").rstrip("/") + "/handshake"
        return Target(path, _cluster_name(first, port), f"kuscia-handshake.{destination}.svc", token)

    def master_path(self, path: str) -> str:
        """Return `path` below the path of the master endpoint."""
        assert self._master
        return self._master.path.rstrip("/") + path

    def _services(self) -> list[Service]:
        found = []
        if self._is_master:
            local = self.host.loopback
            for name, port in (("apiserver", APISERVER_PORT), ("kusciaapi", INTERNAL_API_PORT)):
                hosts = (f"{name}.master.svc", f"{name}.{self.domain_id}.svc")
                upstream = Upstream(f"service-{name}", local, self.host.port(port))
                found.append(Service(upstream, hosts, external=True, internal=False))
        for endpoint in self._endpoints:
            spec = endpoint["spec"]
            if not spec.get("ip") or not spec.get("port"):
                continue
            upstream = Upstream(f"service-{endpoint['metadata']['name']}", spec["ip"], int(spec["port"]))
            external = spec.get("scope", "Cluster") == "Cluster"
            found.append(Service(upstream, (spec["host"],), external))
        return found

    def _peers(self) -> tuple[list[Peer], list[Upstream]]:
        peers, probes = [], []
        if self._master:
            upstream = Upstream(MASTER_CLUSTER, self._master.host, self._master.port, self._master.tls)
            probes.append(upstream)
            token = self._token_for_master()
            if token:
                # Routes to the master of other domains are handled there.
                peers.append(Peer(upstream, ("*.master.svc",), token, self._master.path, forwards=False))
        for route in self._routes:
            spec = route["spec"]
            if spec["source"] != self.domain_id:
                continue
            first, token = route, self._newest_token(route)
            if spec.get("transit"):
                leg = self._leg(route)
                if leg is None or not token:
                    continue
                first, token = leg
            port = _http_port(first)
            if not port or not first["spec"]["endpoint"].get("host"):
                continue
            upstream = Upstream(
                _cluster_name(first, port),
                first["spec"]["endpoint"]["host"],
                int(port["port"]),
                bool(port.get("isTLS")),
            )
            probes.append(upstream)
            if token and spec["destination"] != self.domain_id:
                peers.append(
                    Peer(
                        upstream,
                        (f"*.{spec['destination']}.svc",),
                        token,
                        port.get("pathPrefix") or "",
                        sealed=route["metadata"]["name"] if spec.get("bodyEncryption") else "",
                        name=_cluster_name(route, port),
                    )
                )
        return peers, probes

    def _token_for_master(self) -> str:
        """Return the newest token of the route to the master; before it is known, the one agreed on at the start."""
        name = f"{self.domain_id}-{self.master_id}"
        route = next((route for route in self._routes if route["metadata"]["name"] == name), None)
        return (self._newest_token(route) if route else "") or self._master_token

    def _sealed_origins(self) -> list[tuple[str, str]]:
        return [
            (route["spec"]["source"], route["metadata"]["name"])
            for route in self._routes
            if route["spec"]["destination"] == self.domain_id and route["spec"].get("bodyEncryption")
        ]

    def _callers(self) -> list[tuple[str, tuple[str, ...]]]:
        callers = []
        for route in self._routes:
            spec = route["spec"]
            if spec["destination"] != self.domain_id or spec["source"] == self.domain_id:
                continue
            valid = [self._decrypt(token["token"]) for token in handshake.tokens(route)]
            if any(valid):
                callers.append((spec["source"], tuple(token for token in valid if token)))
        return callers

    def _decrypt(self, encrypted: str) -> str:
        """Return the token in clear, or "" if it was encrypted for a different key."""
        if encrypted not in self._plain:
            try:
                plain = handshake.decrypt_token(self._key, encrypted, handshake.TOKEN_BYTES)
                self._plain[encrypted] = _text(plain)
            except (ValueError, binascii.Error):
                self._plain[encrypted] = ""
        return self._plain[encrypted]


def _http_port(route: Object) -> Object:
    ports: list[Object] = (route["spec"].get("endpoint") or {}).get("ports") or []
    return next((port for port in ports if port.get("protocol", "HTTP") == "HTTP"), {})


def _cluster_name(route: Object, port: Object) -> str:
    spec = route["spec"]
    return f"{spec['source']}-to-{spec['destination']}-{port.get('name') or 'http'}"


def _note_beat(status: Object, lost: bool) -> None:
    status["heartBeatTimeout"] = lost
    if not lost:
        for token in (status.get("tokenStatus") or {}).get("tokens") or []:
            token["heartBeatTime"] = now_rfc3339()


def _text(token: bytes) -> str:
    return binascii.b2a_base64(token, newline=False).decode()


async def _quietly(work: Coroutine[Any, Any, object]) -> None:
    """Run `work` and log failures of the store; the next round retries."""
    try:
        await work
    except NotFound:
        pass
    except Exception as err:
        log.warning("controller/domain_route.go:240", f"update domain route fail, detail -> {err}")
