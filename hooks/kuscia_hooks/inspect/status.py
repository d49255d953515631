"""`status`: pods, runs of the steps, domains, routes, tables and jobs of a release."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from kuscia_hooks.cluster import ledger
from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config.release import Release
from kuscia_hooks.core.text import printable, printable_lines, quoted
from kuscia_hooks.inspect import kuscia_state, output
from kuscia_hooks.inspect.known.commands import UPGRADE
from kuscia_hooks.inspect.parts import Part, Parts
from kuscia_hooks.inspect.step_runs import component, step_runs
from kuscia_hooks.kuscia import gateway
from kuscia_hooks.kuscia.api import KusciaAPI

# Kinds of the ledger of a master whose key in `master.prune` and `master.adopt` differs.
_BLOCKS = {"tokens": "domains"}
SCHEMA = 1
"""Version of the JSON output; it changes when a field is removed or gets another meaning."""
_HEADS = {
    "pods": ("name", "step", "ready", "phase", "restarts", "started"),
    "steps": ("step", "name", "state", "started", "seconds"),
    "domains": ("domain", "node", "status", "version", "heartbeat"),
    "routes": ("route", "endpoint", "ready", "reason"),
    "leftAlone": ("kind", "object", "state"),
    "tables": ("domain", "table", "dataSource", "columns", "grantedTo"),
    "jobs": ("job", "state", "created"),
}


ROWS = 50
"""Rows of a table for a person; rows that need attention come first if there are more."""
UNREAD = 10
"""Parts that could not be read for a person; on a master, one failure can affect the tables of every domain."""
_IN_ORDER = {"steps": ("state", "Succeeded"), "domains": ("status", "Ready"), "routes": ("ready", "True")}
"""The column and the value of rows that need no attention."""


def selector(config: Release) -> str:
    """Return the label selector for the objects of the release that belong to this domain."""
    return f"app.kubernetes.io/instance={config.release},kuscia-chart/domain={config.domain_id}"


def master_of(config: Release, parts: Parts) -> Part[str]:
    """Start reading the domain ID of the master of a lite; "" for a master."""

    def ask() -> str:
        return gateway.master_id(config.master.endpoint, config.domain_id) if config.master else ""

    return parts.start("route to the master", ask)


def collect(config: Release, kube: Kube, open_api: Callable[[], KusciaAPI]) -> dict[str, Any]:
    """Return the state of a release. A part that cannot be read is left out and listed under `unknown`.

    Args:
        open_api: returns KusciaAPI of the node; raises StepError if it cannot be used.
    """
    parts = Parts()
    # Without the pod that runs `status`.
    labels = f"{selector(config)},app.kubernetes.io/component!=doctor"
    pods = parts.start("pods", lambda: kube.pods(config.namespace, labels))
    jobs = parts.start("Jobs", lambda: kube.jobs(config.namespace, labels))
    reports = parts.start("ledger", lambda: ledger.reports(kube, config.namespace, config.ledger))
    api = parts.start("KusciaAPI", open_api)
    master = master_of(config, parts)
    domains = kuscia_state.own_domains(config)
    version = parts.start("version", lambda: api.get().version())
    nodes = parts.start("domains", lambda: kuscia_state.nodes(api.get(), domains))
    routes = parts.start(
        "routes",
        lambda: kuscia_state.route_states(api.get(), config, kuscia_state.wanted_routes(config, master.get_or(""))),
    )
    tables = [parts.start(f"tables of {one}", partial(_tables, api, one)) for one in domains]
    latest = parts.start("jobs", lambda: kuscia_state.jobs(api.get()))

    found: dict[str, Any] = {
        "schema": SCHEMA,
        "domain": config.domain_id,
        "mode": config.mode,
        "release": config.release,
        "namespace": config.namespace,
        "gateway": config.gateway,
        "pods": pod_rows(pods.get_or([])),
        "steps": step_runs(jobs.get_or([]), pods.get_or([]), config.mode),
        "leftAlone": left_alone(config, reports.get_or({})),
    }
    if not api.problem():
        found |= {
            "version": version.get_or(""),
            "domains": nodes.get_or([]),
            "routes": kuscia_state.route_rows(routes.get_or([])),
            "tables": [row for table in tables for row in table.get_or([])],
            "jobs": latest.get_or([]),
        }
    found["unknown"] = parts.unread()
    return found


def _tables(api: Part[KusciaAPI], domain: str) -> list[dict[str, Any]]:
    return kuscia_state.tables(api.get(), domain)


def left_alone(config: Release, reports: Mapping[str, ledger.Report]) -> list[dict[str, str]]:
    """Return the objects that the last runs of the steps left alone, each with the value that changes that.

    `foreign` objects were not created by this release and differ from its values; `leftover` objects were created by it
    and are no longer in its values (docs/adr/0012).
    """
    upgrade = UPGRADE.format(release=quoted(config.release), namespace=quoted(config.namespace))
    rows = []
    for kind, report in sorted(reports.items()):
        for state, action, names in (("foreign", "adopt", report.foreign), ("leftover", "prune", report.leftover)):
            value = f"master.{action}.{_BLOCKS.get(kind, kind)}" if config.mode == "master" else f"lite.data.{action}"
            fix = f"set {value}: true, then {upgrade}"
            rows += [{"kind": kind, "object": name, "state": state, "fix": fix} for name in names]
    return rows


def pod_rows(pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the pods as rows, the Kuscia pod first."""
    rows = []
    for pod in pods:
        status = pod["status"]
        containers = status.get("containerStatuses") or []
        rows.append(
            {
                "name": pod["metadata"]["name"],
                "step": component(pod),
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


def _table(part: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    if len(rows) <= ROWS:
        return output.as_table(part, columns, rows)
    if part in _IN_ORDER:
        column, value = _IN_ORDER[part]
        rows = sorted(rows, key=lambda row: row[column] == value)
    return output.as_table(part, columns, rows[:ROWS], len(rows) - ROWS)


def as_text(found: dict[str, Any]) -> str:
    """Return the result of `collect` for a person."""
    version = f", Kuscia {found['version']}" if found.get("version") else ""
    heading = f"{found['mode']} {found['domain']}: release {found['release']} in {found['namespace']}{version}"
    # KusciaAPI determines the version.
    parts = [printable_lines(f"{heading}\ngateway {found['gateway']}")]
    parts += [_table(part, columns, found[part]) for part, columns in _HEADS.items() if part in found]
    # One value changes all objects of a kind.
    fixes = {f"{row['state']} {row['kind']}: {row['fix']}": None for row in found["leftAlone"]}
    if fixes:
        parts.append("\n".join(["to adopt or delete them", *(f"  {printable(text)}" for text in fixes)]))
    if found["unknown"]:
        unread = [f"  {printable_lines(text)}" for text in found["unknown"]]
        more = [f"  and {len(unread) - UNREAD} more: --output json"] if len(unread) > UNREAD else []
        parts.append("\n".join(["could not be read", *unread[:UNREAD], *more]))
    return "\n\n".join(parts)
