"""ClusterDomainRoutes: request bodies, and the difference to those in Kuscia."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from kuscia_hooks.core.config import Route, Routes, split_endpoint
from kuscia_hooks.core.plan import Action, Plan

# Number of statuses that a busy master returns within one or two seconds (Kuscia facts 16.3).
STATUS_BATCH = 100


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


def wanted_routes(config: Routes) -> dict[RouteKey, dict[str, Any]]:
    """Return the body of `route/create` for every route of the values."""
    if isinstance(config.routes, str):
        routes = [
            Route(source=source, destination=destination)
            for source, destination in permutations(config.domains, 2)
            if config.domains[destination].endpoint
        ]
    else:
        routes = config.routes
    return {RouteKey(r.source, r.destination): _create_body(config, r) for r in routes}


def _create_body(config: Routes, route: Route) -> dict[str, Any]:
    body: dict[str, Any] = {
        "source": route.source,
        "destination": route.destination,
        "authentication_type": "Token",
        "token_config": {
            "token_gen_method": route.token_config.token_gen_method,
            "rolling_update_period": route.token_config.rolling_update_period,
        },
    }
    endpoint = config.domains[route.destination].endpoint
    if endpoint:
        parts = split_endpoint(endpoint)
        tls = parts.scheme == "https"
        port = {
            "name": "http",
            "port": parts.port or (443 if tls else 80),
            "protocol": "HTTP",
            "isTLS": tls,
            "path_prefix": parts.path.rstrip("/"),
        }
        body["endpoint"] = {"host": parts.hostname, "ports": [port]}
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


def plan_routes(
    wanted: Mapping[RouteKey, Mapping[str, Any]],
    ledger: Mapping[str, str],
    present: Mapping[RouteKey, Mapping[str, Any] | None],
) -> Plan:
    """Return the plan for routes.

    Args:
        wanted: request bodies.
        ledger: `<source>/<destination>` to hash of the route that this release applied.
        present: routes read from Kuscia; None if a route does not exist. A route that was not read is assumed to be as
            in the ledger, and absent if the ledger does not have it.
    """
    actions: list[Action] = []
    for key, body in wanted.items():
        name = str(key)
        if key in present:
            found = present[key]
            if found is None:
                actions.append(Action("create", "DomainRoute", name, payload=(key, body)))
            elif normal_route(found) != normal_route(body):
                # KusciaAPI cannot update a route (Kuscia facts 0.15).
                actions.append(Action("recreate", "DomainRoute", name, "changed", payload=(key, body)))
        elif key.entry not in ledger:
            actions.append(Action("create", "DomainRoute", name, payload=(key, body)))
    gone = [key for key in map(RouteKey.of_entry, ledger) if key not in wanted]
    actions += [
        Action("delete", "DomainRoute", str(key), "no longer in the values", payload=(key, None)) for key in gone
    ]
    changes = sum(action.verb != "delete" for action in actions)
    return Plan(tuple(actions), unchanged=len(wanted) - changes)
