"""`status`: what runs, on one screen or as one JSON object."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Release
from kuscia_hooks.core.errors import StepError
from kuscia_hooks.kuscia import gateway
from kuscia_hooks.kuscia import jobs as kuscia_jobs
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import Missing
from kuscia_hooks.kuscia.routes import STATUS_BATCH

T = TypeVar("T")
JOBS = 10
_HEADS = {
    "pods": ("name", "step", "ready", "phase", "restarts", "started"),
    "domains": ("domain", "node", "status", "version", "heartbeat"),
    "routes": ("route", "endpoint", "ready", "reason"),
    "tables": ("domain", "table", "dataSource", "columns", "grantedTo"),
    "jobs": ("job", "state", "created"),
}


class Look:
    """Reads part after part; one that cannot be read is noted in `unread`, with the reason."""

    def __init__(self) -> None:
        self.unread: list[str] = []

    def one(self, part: str, ask: Callable[[], T]) -> T | None:
        """What `ask` returns; None when it raises StepError."""
        try:
            return ask()
        except StepError as error:
            self.unread.append(f"{part}: {error}")
            return None

    def rows(self, part: str, ask: Callable[[], list[T]]) -> list[T]:
        """As `one`, with an empty list."""
        return self.one(part, ask) or []


def collect(config: Release, kube: Kube, open_api: Callable[[], KusciaAPI]) -> dict[str, Any]:
    """What there is to show. A part that cannot be read is left out and named under `unknown`.

    Args:
        open_api: the node's KusciaAPI; raises StepError while it does not serve.
    """
    look = Look()
    found: dict[str, Any] = {
        "domain": config.domain_id,
        "mode": config.mode,
        "release": config.release,
        "namespace": config.namespace,
        "gateway": config.gateway,
    }
    found["pods"] = look.rows("pods", lambda: pods(config, kube))
    api = look.one("KusciaAPI", open_api)
    if api is not None:
        domains = [config.domain_id] if config.mode == "lite" else sorted(config.domains)
        found["version"] = look.one("version", api.version) or ""
        found["domains"] = look.rows("domains", lambda: nodes(api, domains))
        pairs = wanted_routes(config, look)
        found["routes"] = look.rows("routes", lambda: routes(api, pairs, endpoints(config)))
        found["tables"] = [
            row for domain in domains for row in look.rows(f"tables of {domain}", partial(tables, api, domain))
        ]
        found["jobs"] = look.rows("jobs", lambda: jobs(api))
    found["unknown"] = look.unread
    return found


def pods(config: Release, kube: Kube) -> list[dict[str, Any]]:
    """The release's pods of this domain."""
    labels = f"app.kubernetes.io/instance={config.release},kuscia-chart/domain={config.domain_id}"
    rows = []
    # Without the pod that looks.
    for pod in kube.pods(config.namespace, f"{labels},app.kubernetes.io/component!=doctor"):
        status = pod["status"]
        containers = status.get("containerStatuses") or []
        rows.append(
            {
                "name": pod["metadata"]["name"],
                "step": pod["metadata"]["labels"]["app.kubernetes.io/component"],
                "ready": f"{sum(one['ready'] for one in containers)}/{len(pod['spec']['containers'])}",
                "phase": phase(pod),
                "restarts": sum(one["restartCount"] for one in containers),
                "started": status.get("startTime", ""),
            }
        )
    return sorted(rows, key=lambda row: (row["step"] not in ("master", "lite"), row["name"]))


def phase(pod: dict[str, Any]) -> str:
    """A pod's phase, or what keeps it from running."""
    status = pod["status"]
    for kind, prefix in (("initContainerStatuses", "Init: "), ("containerStatuses", "")):
        for container in status.get(kind) or []:
            state = container["state"]
            if "waiting" in state and state["waiting"].get("reason", "PodInitializing") != "PodInitializing":
                return f"{prefix}{state['waiting']['reason']}"
            if prefix and "running" in state:
                return f"{prefix}{container['name']}"
    return str(status.get("reason") or status["phase"])


def nodes(api: KusciaAPI, domains: list[str]) -> list[dict[str, str]]:
    """Each domain's nodes as the master sees them; a domain without one has never registered."""
    rows = []
    for domain in domains:
        try:
            found = api.call("domain/query", {"domain_id": domain})
        except Missing:
            rows.append({"domain": domain, "node": "", "status": "no such domain", "version": "", "heartbeat": ""})
            continue
        for node in found.get("node_statuses") or [{}]:
            rows.append(
                {
                    "domain": domain,
                    "node": node.get("name", ""),
                    "status": node.get("status", "no node" if found.get("cert") else "never registered"),
                    "version": node.get("version", ""),
                    "heartbeat": node.get("last_heartbeat_time", ""),
                }
            )
    return rows


def wanted_routes(config: Release, look: Look) -> list[tuple[str, str]]:
    """The routes that this node may ask for: on a master all of its values, on a lite those from and to it."""
    if config.mode == "master":
        return [(domain, config.domain_id) for domain in sorted(config.domains)] + list(config.routes)
    pairs = [pair for other in config.partners for pair in ((config.domain_id, other), (other, config.domain_id))]
    if config.master is not None:
        endpoint = config.master.endpoint
        master = look.one("route to the master", lambda: gateway.master_id(endpoint, config.domain_id))
        if master:
            pairs.insert(0, (config.domain_id, master))
    return pairs


def endpoints(config: Release) -> dict[str, str]:
    """Where each domain is reached, as far as the values say."""
    return {domain: neighbour.endpoint or "" for domain, neighbour in config.domains.items()}


def routes(api: KusciaAPI, pairs: list[tuple[str, str]], where: dict[str, str]) -> list[dict[str, str]]:
    """Each route's readiness, and the reason where it is not READY."""
    rows = []
    for begin in range(0, len(pairs), STATUS_BATCH):
        for (source, destination), status in _statuses(api, pairs[begin : begin + STATUS_BATCH]):
            ready = status is not None and status["status"] == "Succeeded"
            reason = "no such route" if status is None else status.get("reason") or "no handshake yet"
            rows.append(
                {
                    "route": f"{source}-{destination}",
                    "endpoint": where.get(destination, ""),
                    "ready": str(ready),
                    "reason": "" if ready else reason,
                }
            )
    return rows


def _statuses(api: KusciaAPI, pairs: list[tuple[str, str]]) -> list[tuple[tuple[str, str], dict[str, Any] | None]]:
    # One that is missing fails the whole batch (Kuscia facts 7.4): then each is asked for alone.
    keys = [{"source": source, "destination": destination} for source, destination in pairs]
    if not keys:
        return []
    try:
        found = api.call("route/status/batchQuery", {"route_keys": keys})["routes"]
    except Missing:
        if len(pairs) == 1:
            return [(pairs[0], None)]
        return [row for pair in pairs for row in _statuses(api, [pair])]
    statuses = {(route["source"], route["destination"]): route["status"] for route in found}
    return [(pair, statuses.get(pair)) for pair in pairs]


def tables(api: KusciaAPI, domain: str) -> list[dict[str, Any]]:
    """The tables that a domain owns, and to whom each is granted."""
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


def jobs(api: KusciaAPI) -> list[dict[str, str]]:
    """The latest jobs."""
    return [
        {
            "job": found["job_id"],
            "state": kuscia_jobs.describe(found["status"]),
            "created": found["status"].get("create_time", ""),
        }
        for found in kuscia_jobs.listed(api)[:JOBS]
    ]


def screen(found: dict[str, Any]) -> str:
    """What `collect` found, as a person reads it."""
    version = f", Kuscia {found['version']}" if found.get("version") else ""
    parts = [
        f"{found['mode']} {found['domain']}: release {found['release']} in {found['namespace']}{version}\n"
        f"gateway {found['gateway']}"
    ]
    for part, head in _HEADS.items():
        if part in found:
            rows = [[str(row[column]) or "-" for column in head] for row in found[part]]
            parts.append(_table(part, [_words(column) for column in head], rows))
    if found["unknown"]:
        parts.append("\n".join(["not known", *(f"  {text}" for text in found["unknown"])]))
    return "\n\n".join(parts)


def as_json(found: dict[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False)


def _words(column: str) -> str:
    return "".join(f" {letter}" if letter.isupper() else letter for letter in column).upper()


def _table(title: str, head: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return f"{title}: none"
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    return "\n".join([title, *(f"  {line}".rstrip() for line in lines)])
