"""Domains, routes, tables and jobs of a release, as KusciaAPI reports them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kuscia_hooks.core.config.release import Release
from kuscia_hooks.kuscia import jobs as kuscia_jobs
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import expected_fields
from kuscia_hooks.kuscia.batches import query_in_batches

JOBS = 10
"""How many jobs are listed."""
# Values of the JSON output where KusciaAPI has none.
NO_DOMAIN = "no such domain"
NO_ROUTE = "no such route"
NO_HANDSHAKE = "no handshake yet"


def own_domains(config: Release) -> list[str]:
    """Return the domains that `status` and `doctor` show: on a master all of its values, on a lite its own."""
    return [config.domain_id] if config.mode == "lite" else sorted(config.domains)


@expected_fields()
def nodes(api: KusciaAPI, domains: list[str]) -> list[dict[str, str]]:
    """Return the nodes of each domain as the master sees them; a domain without a node has never registered."""

    def ask(names: Sequence[str]) -> dict[str, dict[str, Any]]:
        found = api.call("domain/batchQuery", {"domain_ids": list(names)})["domains"]
        return {str(domain["domain_id"]): domain for domain in found}

    present = query_in_batches(domains, ask)
    rows = []
    for domain in domains:
        if domain not in present:
            rows.append({"domain": domain, "node": "", "status": NO_DOMAIN, "version": "", "heartbeat": ""})
            continue
        for node in present[domain].get("node_statuses") or [{}]:
            rows.append(
                {
                    "domain": domain,
                    "node": node.get("name", ""),
                    "status": node.get("status", "no node" if present[domain].get("cert") else "never registered"),
                    "version": node.get("version", ""),
                    "heartbeat": node.get("last_heartbeat_time", ""),
                }
            )
    return rows


def wanted_routes(config: Release, master: str) -> list[tuple[str, str]]:
    """Return the routes that this node may query: on a master all of its values, on a lite its own.

    Args:
        master: domain ID of the master of a lite; "" if it is not known.
    """
    if config.mode == "master":
        return [(domain, config.domain_id) for domain in sorted(config.domains)] + config.pairs()
    pairs = [pair for other in config.partners for pair in ((config.domain_id, other), (other, config.domain_id))]
    return [(config.domain_id, master), *pairs] if master else pairs


@dataclass(frozen=True)
class RouteState:
    """The state of one route.

    Args:
        endpoint: of the destination; "" if the values do not have it.
        reason: why it is not READY; "" if it is.
    """

    source: str
    destination: str
    endpoint: str
    ready: bool
    reason: str

    @property
    def name(self) -> str:
        return f"{self.source}-{self.destination}"


@expected_fields()
def route_states(api: KusciaAPI, config: Release, pairs: list[tuple[str, str]]) -> list[RouteState]:
    """Return the state of each route.

    Args:
        pairs: source and destination of each route.
    """

    def ask(batch: Sequence[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
        keys = [{"source": source, "destination": destination} for source, destination in batch]
        found = api.call("route/status/batchQuery", {"route_keys": keys})["routes"]
        return {(route["source"], route["destination"]): route["status"] for route in found}

    statuses = query_in_batches(pairs, ask)
    found = []
    for source, destination in pairs:
        status = statuses.get((source, destination))
        ready = status is not None and status["status"] == "Succeeded"
        reason = NO_ROUTE if status is None else status.get("reason") or NO_HANDSHAKE
        neighbor = config.domains.get(destination)
        endpoint = (neighbor and neighbor.endpoint) or ""
        found.append(RouteState(source, destination, endpoint, ready, "" if ready else reason))
    return found


def route_rows(states: list[RouteState]) -> list[dict[str, str]]:
    """Return routes as rows of the output."""
    return [
        {"route": one.name, "endpoint": one.endpoint, "ready": str(one.ready), "reason": one.reason} for one in states
    ]


@expected_fields()
def tables(api: KusciaAPI, domain: str) -> list[dict[str, Any]]:
    """Return the tables that a domain owns, and the domains that each is granted to."""
    listed = api.call("domaindata/list", {"data": {"domain_id": domain}})["domaindata_list"]
    grants = api.call("domaindatagrant/list", {"data": {"domain_id": domain}})["domaindatagrant_list"]
    granted: dict[str, list[str]] = {}
    for grant in grants:
        if grant["data"]["author"] == domain:
            granted.setdefault(grant["data"]["domaindata_id"], []).append(grant["data"]["grant_domain"])
    return [
        {
            "domain": domain,
            "table": table["domaindata_id"],
            "dataSource": table["datasource_id"],
            "columns": len(table.get("columns") or []),
            "grantedTo": ", ".join(sorted(granted.get(table["domaindata_id"], []))),
        }
        for table in sorted(listed, key=lambda table: str(table["domaindata_id"]))
        if table["author"] == domain
    ]


@expected_fields()
def jobs(api: KusciaAPI) -> list[dict[str, str]]:
    """Return the latest jobs."""
    return [
        {
            "job": found["job_id"],
            "state": kuscia_jobs.describe(found["status"]),
            "created": found["status"].get("create_time", ""),
        }
        for found in kuscia_jobs.listed(api)[:JOBS]
    ]
