"""ClusterDomainRoutes: request bodies, and the difference to those in Kuscia."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kuscia_hooks.core.config.common import split_endpoint
from kuscia_hooks.core.config.domains import Domains, Route
from kuscia_hooks.core.plan import Plan, plan_owned


@dataclass(frozen=True)
class RouteKey:
    source: str
    destination: str

    def __str__(self) -> str:
        return f"{self.source}-{self.destination}"

    @property
    def entry(self) -> str:
        """Key in the ledger. Unlike the name, it is unambiguous."""
        return f"{self.source}/{self.destination}"

    @classmethod
    def of_entry(cls, entry: str) -> "RouteKey":
        return cls(*entry.split("/", 1))

    def body(self) -> dict[str, str]:
        return {"source": self.source, "destination": self.destination}


def wanted_routes(config: Domains) -> dict[RouteKey, dict[str, Any]]:
    """Return the body of `route/create` for every route of the values."""
    endpoints = {name: _endpoint(domain.endpoint) for name, domain in config.domains.items() if domain.endpoint}
    return {RouteKey(r.source, r.destination): _create_body(r, endpoints.get(r.destination)) for r in config.listed()}


def _endpoint(url: str) -> dict[str, Any]:
    parts = split_endpoint(url)
    tls = parts.scheme == "https"
    port = {
        "name": "http",
        "port": parts.port or (443 if tls else 80),
        "protocol": "HTTP",
        "isTLS": tls,
        "path_prefix": parts.path.rstrip("/"),
    }
    return {"host": parts.hostname, "ports": [port]}


def _create_body(route: Route, endpoint: dict[str, Any] | None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "source": route.source,
        "destination": route.destination,
        "authentication_type": "Token",
        "token_config": {
            "token_gen_method": route.token_config.token_gen_method,
            "rolling_update_period": route.token_config.rolling_update_period,
        },
    }
    if endpoint:
        body["endpoint"] = endpoint
    if route.transit:
        body["transit"] = {"transit_method": "THIRD-DOMAIN", "domain": {"domain_id": route.transit}}
    if route.body_encryption:
        body["body_encryption"] = {"algorithm": route.body_encryption}
    return body


def normal_route(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a route in a canonical form, from a `route/create` body or a `route/query` answer."""
    endpoint = data.get("endpoint") or {}
    token = data.get("token_config") or {}
    transit = data.get("transit") or {}
    encryption = data.get("body_encryption") or {}
    return {
        "authentication_type": data.get("authentication_type"),
        "host": endpoint.get("host") or "",
        "ports": [
            [port.get("port"), bool(port.get("isTLS")), (port.get("path_prefix") or "").rstrip("/")]
            for port in endpoint.get("ports") or []
        ],
        "token_gen_method": token.get("token_gen_method") or "",
        "rolling_update_period": int(token.get("rolling_update_period") or 0),
        "transit": ((transit.get("domain") or {}).get("domain_id")) or "",
        "body_encryption": encryption.get("algorithm") or "",
    }


def same_route(body: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Return whether a route has the content of a `route/create` body.

    The ends are compared too: `a` to `b-c` and `a-b` to `c` have one name in Kuscia (Kuscia facts 6.2), so that a query
    for one of them returns the other.
    """
    ends = all(found.get(end) == body[end] for end in ("source", "destination"))
    return ends and normal_route(found) == normal_route(body)


def create_body(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of `route/create` that restores a route, from a `route/query` answer."""
    token = found.get("token_config") or {}
    optional = ("endpoint", "transit", "body_encryption", "mtls_config")
    return {
        "source": found["source"],
        "destination": found["destination"],
        "authentication_type": found.get("authentication_type"),
        "token_config": {
            "token_gen_method": token.get("token_gen_method") or "",
            "rolling_update_period": int(token.get("rolling_update_period") or 0),
        },
        **{field: found[field] for field in optional if found.get(field)},
    }


def plan_routes(
    wanted: Mapping[RouteKey, Mapping[str, Any]],
    present: Mapping[RouteKey, bool | None],
    ledger: Collection[str],
    *,
    adopt: bool = False,
    prune: bool = False,
) -> Plan:
    """Return the plan for routes; see `plan_owned`.

    Args:
        wanted: request bodies.
        present: whether a route that was read is as wanted; None if it does not exist.
        ledger: `<source>/<destination>` of the routes that this release created.
        adopt: take over foreign routes.
        prune: delete routes that are not wanted.
    """
    plan = plan_owned(
        "DomainRoute",
        {key.entry: body for key, body in wanted.items()},
        {key.entry: same for key, same in present.items()},
        ledger,
        lambda _, same: same,
        adopt=adopt,
        prune=prune,
        # KusciaAPI cannot update a route (Kuscia facts 0.15).
        replace="recreate",
    )
    actions = tuple(replace(action, name=_name(action.entry)) for action in plan.actions)
    foreign, leftover = (tuple(map(_name, entries)) for entries in (plan.foreign, plan.leftover))
    return replace(plan, actions=actions, foreign=foreign, leftover=leftover)


def _name(entry: str) -> str:
    return str(RouteKey.of_entry(entry))
