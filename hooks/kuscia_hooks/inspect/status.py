"""`status`: pods, domains, routes, tables and jobs of a release, as tables or as one JSON object."""

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Release
from kuscia_hooks.core.errors import StepError
from kuscia_hooks.core.text import printable
from kuscia_hooks.kuscia import gateway
from kuscia_hooks.kuscia import jobs as kuscia_jobs
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import Missing
from kuscia_hooks.kuscia.routes import STATUS_BATCH

T = TypeVar("T")
JOBS = 10
"""How many jobs are listed."""
# Values of the JSON output where KusciaAPI has none.
NO_DOMAIN = "no such domain"
NO_ROUTE = "no such route"
NO_HANDSHAKE = "no handshake yet"
_HEADS = {
    "pods": ("name", "step", "ready", "phase", "restarts", "started"),
    "domains": ("domain", "node", "status", "version", "heartbeat"),
    "routes": ("route", "endpoint", "ready", "reason"),
    "tables": ("domain", "table", "dataSource", "columns", "grantedTo"),
    "jobs": ("job", "state", "created"),
}


_STYLES = {"Ready": "green", "Running": "green", "True": "green", "Succeeded": "green"} | dict.fromkeys(
    ("NotReady", "Failed", "False", "CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "Error"), "red"
)


class PartReader:
    """Reads the parts of a release. A part that cannot be read is added to `unread`, with the reason."""

    def __init__(self) -> None:
        self.unread: list[str] = []

    def one(self, part: str, ask: Callable[[], T]) -> T | None:
        """Return what `ask` returns, or None if it raises StepError."""
        try:
            return ask()
        except StepError as error:
            self.unread.append(f"{part}: {error}")
            return None

    def rows(self, part: str, ask: Callable[[], list[T]]) -> list[T]:
        """Return what `ask` returns, or an empty list if it raises StepError."""
        return self.one(part, ask) or []


def collect(config: Release, kube: Kube, open_api: Callable[[], KusciaAPI]) -> dict[str, Any]:
    """Return the state of a release. A part that cannot be read is left out and listed under `unknown`.

    Args:
        open_api: returns KusciaAPI of the node; raises StepError if it cannot be used.
    """
    reader = PartReader()
    found: dict[str, Any] = {
        "domain": config.domain_id,
        "mode": config.mode,
        "release": config.release,
        "namespace": config.namespace,
        "gateway": config.gateway,
    }
    found["pods"] = reader.rows("pods", lambda: pods(config, kube))
    api = reader.one("KusciaAPI", open_api)
    if api is not None:
        domains = [config.domain_id] if config.mode == "lite" else sorted(config.domains)
        found["version"] = reader.one("version", api.version) or ""
        found["domains"] = reader.rows("domains", lambda: nodes(api, domains))
        pairs = wanted_routes(config, reader)
        found["routes"] = reader.rows("routes", lambda: routes(api, pairs, endpoints(config)))
        found["tables"] = [
            row for domain in domains for row in reader.rows(f"tables of {domain}", partial(tables, api, domain))
        ]
        found["jobs"] = reader.rows("jobs", lambda: jobs(api))
    found["unknown"] = reader.unread
    return found


def pods(config: Release, kube: Kube) -> list[dict[str, Any]]:
    """Return the pods of the release for this domain, without the pod that runs `status`."""
    labels = f"app.kubernetes.io/instance={config.release},kuscia-chart/domain={config.domain_id}"
    rows = []
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
    """Return the phase of a pod, or what keeps it from running."""
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
    """Return the nodes of each domain as the master sees them; a domain without a node has never registered."""
    rows = []
    for domain in domains:
        try:
            found = api.call("domain/query", {"domain_id": domain})
        except Missing:
            rows.append({"domain": domain, "node": "", "status": NO_DOMAIN, "version": "", "heartbeat": ""})
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


def wanted_routes(config: Release, reader: PartReader) -> list[tuple[str, str]]:
    """Return the routes that this node may query: on a master all of its values, on a lite its own."""
    if config.mode == "master":
        return [(domain, config.domain_id) for domain in sorted(config.domains)] + list(config.routes)
    pairs = [pair for other in config.partners for pair in ((config.domain_id, other), (other, config.domain_id))]
    if config.master is not None:
        endpoint = config.master.endpoint
        master = reader.one("route to the master", lambda: gateway.master_id(endpoint, config.domain_id))
        if master:
            pairs.insert(0, (config.domain_id, master))
    return pairs


def endpoints(config: Release) -> dict[str, str]:
    """Return the endpoint of each domain in the values; "" if it has none."""
    return {domain: neighbor.endpoint or "" for domain, neighbor in config.domains.items()}


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


def route_states(api: KusciaAPI, pairs: list[tuple[str, str]], where: dict[str, str]) -> list[RouteState]:
    """Return the state of each route.

    Args:
        pairs: source and destination of each route.
        where: endpoints by domain.
    """
    found = []
    for begin in range(0, len(pairs), STATUS_BATCH):
        for (source, destination), status in _statuses(api, pairs[begin : begin + STATUS_BATCH]):
            ready = status is not None and status["status"] == "Succeeded"
            reason = NO_ROUTE if status is None else status.get("reason") or NO_HANDSHAKE
            found.append(RouteState(source, destination, where.get(destination, ""), ready, "" if ready else reason))
    return found


def routes(api: KusciaAPI, pairs: list[tuple[str, str]], where: dict[str, str]) -> list[dict[str, str]]:
    """Return the rows of `route_states`."""
    return [
        {"route": one.name, "endpoint": one.endpoint, "ready": str(one.ready), "reason": one.reason}
        for one in route_states(api, pairs, where)
    ]


def _statuses(api: KusciaAPI, pairs: list[tuple[str, str]]) -> list[tuple[tuple[str, str], dict[str, Any] | None]]:
    # A missing route fails the whole batch (Kuscia facts 7.4); then each is queried alone.
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


def as_text(found: dict[str, Any]) -> str:
    """Return the result of `collect` for a person: colored tables on a terminal, plain lines elsewhere."""
    version = f", Kuscia {found['version']}" if found.get("version") else ""
    parts = [
        f"{found['mode']} {found['domain']}: release {found['release']} in {found['namespace']}{version}\n"
        f"gateway {found['gateway']}"
    ]
    table = _terminal_table if sys.stdout.isatty() else _plain_table
    for part, columns in _HEADS.items():
        if part in found:
            rows = [[printable(row[column]) or "-" for column in columns] for row in found[part]]
            head = [_words(column) for column in columns]
            parts.append(table(part, head, rows) if rows else f"{part}: none")
    if found["unknown"]:
        parts.append("\n".join(["could not be read", *(f"  {text}" for text in found["unknown"])]))
    return "\n\n".join(parts)


def as_json(found: dict[str, Any]) -> str:
    """Return the result of `collect` as one line of JSON."""
    return json.dumps(found, ensure_ascii=False)


def _words(column: str) -> str:
    return "".join(f" {letter}" if letter.isupper() else letter for letter in column).upper()


def _plain_table(title: str, head: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    return "\n".join([title, *(f"  {line}".rstrip() for line in lines)])


def _terminal_table(title: str, head: list[str], rows: list[list[str]]) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*head, title=title, title_justify="left", box=box.SIMPLE)
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    # The terminal gives its width; the text itself is printed by the log, which masks secrets.
    console = Console(file=io.StringIO(), force_terminal=True, width=Console().width)
    with console.capture() as printed:
        console.print(table)
    return printed.get().rstrip()
