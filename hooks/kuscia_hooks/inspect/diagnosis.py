"""What is wrong with a release. Pure: a snapshot in, findings out."""

from collections.abc import Iterator

from kuscia_hooks.core.config import Database, Release
from kuscia_hooks.inspect.finding import Finding, match_log
from kuscia_hooks.inspect.known.commands import MASTER_UPGRADE, RESTART, UPGRADE
from kuscia_hooks.inspect.known.engines import ENGINE
from kuscia_hooks.inspect.known.kuscia import KUSCIA
from kuscia_hooks.inspect.known.routes import ROUTE_REASONS
from kuscia_hooks.inspect.known.steps import STEP
from kuscia_hooks.inspect.pods import pod_findings, step_findings
from kuscia_hooks.inspect.snapshot import Snapshot


def judge(config: Release, snapshot: Snapshot) -> list[Finding]:
    """The causes that the snapshot gives away; those that others follow from come first."""
    names = _names(config, snapshot)
    found = [
        *_node(config, snapshot, names),
        *_steps(snapshot, names),
        *_changed(snapshot, names),
        *_gateways(config, snapshot, names),
        *_api(config, snapshot, names),
        *_database(snapshot, names),
        *_engines(config, snapshot, names),
    ]
    unique: dict[tuple[str, str], Finding] = {}
    for finding in found:
        unique.setdefault((finding.name, finding.cause), finding)
    return list(unique.values())


def _names(config: Release, snapshot: Snapshot) -> dict[str, str]:
    store = config.datastore if isinstance(config.datastore, Database) else None
    names = {
        "release": config.release,
        "namespace": config.namespace,
        "fullname": config.fullname,
        "node": config.mode,
        "domain": config.domain_id,
        "gateway": config.gateway,
        "key_secret": config.key_secret.name,
        "engines": (config.engines and config.engines.namespace) or config.namespace,
        "pod": snapshot.node.name if snapshot.node else "",
        "db_secret": store.password_secret.name if store else "",
        "db_user": store.user if store else "",
        "db_host": store.host if store else "",
        "db_name": store.database if store else "",
        "value": "",
        "endpoint": config.master.endpoint if config.master else config.gateway,
    }
    names["upgrade"] = UPGRADE.format_map(names)
    names["master_upgrade"] = MASTER_UPGRADE if config.mode == "lite" else names["upgrade"]
    names["restart"] = RESTART.format_map(names)
    return names


def _node(config: Release, snapshot: Snapshot, names: dict[str, str]) -> Iterator[Finding]:
    node = snapshot.node
    if node is None:
        about = [one for one in snapshot.warnings if one.about.startswith(config.fullname)]
        for warning in about:
            yield Finding(
                "pod-refused",
                f"the cluster makes no pod: {warning.message}",
                f"kubectl describe replicaset -n {config.namespace} -l app.kubernetes.io/component={config.mode}",
                f"event {warning.reason} of {warning.namespace}/{warning.about}",
            )
        if not about:
            yield Finding(
                "no-pod",
                f"there is no pod of {config.fullname}",
                f"kubectl scale deployment/{config.fullname} -n {config.namespace} --replicas=1",
                f"no pod in {config.namespace}",
            )
        return
    general = list(pod_findings(node, snapshot, names))
    yield from general
    for container in node.containers:
        if container.name != config.mode or container.ready or general:
            continue
        where = f"{node.namespace}/{node.name}, container {container.name}"
        finding = match_log(container.log, KUSCIA, names, where) or match_log(container.previous, KUSCIA, names, where)
        if finding:
            yield finding
        elif container.end_code is not None:
            yield Finding(
                "unknown-end",
                f"Kuscia ended with exit code {container.end_code} for a reason that is not among the known ones",
                f"kubectl logs {node.name} -n {node.namespace} -c {container.name} --previous",
                f"{where}: {_last_line(container.previous or container.log)}",
            )


def _steps(snapshot: Snapshot, names: dict[str, str]) -> Iterator[Finding]:
    for pod in snapshot.steps:
        yield from pod_findings(pod, snapshot, names)
        for container in pod.containers:
            where = f"{pod.namespace}/{pod.name}, container {container.name}"
            yield from step_findings(container, where, names)


def _changed(snapshot: Snapshot, names: dict[str, str]) -> Iterator[Finding]:
    before, now = snapshot.started_with, snapshot.present
    if not before or not now:
        return
    changed = [
        entry for entry, mark in now.get("secrets", {}).items() if before.get("secrets", {}).get(entry, mark) != mark
    ]
    key = next((entry for entry in changed if entry.startswith(f"{names['key_secret']}/")), None)
    if key:
        # Every mark is made with the key, so with another one nothing can be said about the others.
        changed = [key]
    for entry in changed:
        yield Finding(
            "secret-changed",
            f"Secret {names['namespace']}/{entry.partition('/')[0]} was changed after the pod started, which goes on "
            "with the former value",
            names["restart"],
            f"key {entry.partition('/')[2]} is not what prepare read",
        )
    served, is_now = before.get("dnsServers") or [], now.get("dnsServers") or []
    if served and is_now and served != is_now:
        yield Finding(
            "stale-dns",
            f"engine pods ask {', '.join(served)} for names, but the Service has the address {', '.join(is_now)} now",
            names["restart"],
            f"Service {names['namespace']}/{names['fullname']}",
        )


def _gateways(config: Release, snapshot: Snapshot, names: dict[str, str]) -> Iterator[Finding]:
    for probe in snapshot.probes:
        if not probe.problem:
            continue
        values = {**names, "endpoint": probe.endpoint}
        finding = match_log(probe.problem, STEP, values, f"gateway of {probe.of}")
        if finding is None:
            finding = Finding("gateway", probe.problem, f"curl -kv {probe.endpoint}/", f"gateway of {probe.of}")
        cure = finding.cure
        if probe.of in config.domains:
            neighbour = config.domains[probe.of]
            place = neighbour.namespace or f"<{probe.of}'s namespace>"
            cure = cure.replace("lite.master.endpoint=", f"master.domains.{probe.of}.endpoint=")
            cure = cure.replace("<the master's namespace>", place)
        yield Finding(finding.name, finding.cause, cure, finding.seen)
    if snapshot.known is False:
        text = f"the master's release has to name it under master.domains.{config.domain_id}"
        finding = match_log(text, STEP, names, "the master's handshake")
        if finding:
            yield Finding(
                finding.name, f"the master does not know domain {config.domain_id}: {text}", finding.cure, finding.seen
            )


def _api(config: Release, snapshot: Snapshot, names: dict[str, str]) -> Iterator[Finding]:
    if snapshot.api:
        other_key = "refused the token" in snapshot.api or "another identity" in snapshot.api
        yield Finding(
            "api",
            snapshot.api,
            names["restart"] if other_key else f"kubectl get networkpolicy,pods -n {config.namespace}",
            f"KusciaAPI {config.api.endpoint}",
        )
    down = set()
    for row in snapshot.domains:
        if row["status"] == "Ready":
            continue
        neighbour = config.domains.get(row["domain"])
        place = (neighbour.namespace if neighbour else None) or f"<{row['domain']}'s namespace>"
        place = config.namespace if config.mode == "lite" else place
        down.add(row["domain"])
        if any(other["domain"] == row["domain"] and other["status"] == "Ready" for other in snapshot.domains):
            continue
        register = f"kubectl logs -n {config.namespace} -l app.kubernetes.io/component=register --tail 20"
        missing = row["status"] == "no such domain"
        yield Finding(
            "no-such-domain" if missing else "node-not-ready",
            f"domain {row['domain']}: {row['status']}" + (f" (node {row['node']})" if row["node"] else ""),
            register if missing else f"kubectl kuscia doctor -n {place}   # its pod is down, or far from the master",
            f"KusciaAPI {config.api.endpoint}",
        )
    for route in snapshot.routes:
        if route["ready"] == "True":
            continue
        source, _, destination = route["route"].partition("-")
        name, text = next(
            ((name, text) for name, reason, text in ROUTE_REASONS if reason in route["reason"]),
            ("route", route["reason"]),
        )
        cure = f"curl -kv {route['endpoint']}/   # from {source}'s namespace" if route["endpoint"] else ""
        if name == "route-missing":
            cure = (
                f"kubectl logs -n {config.namespace} -l app.kubernetes.io/component=routes --tail 20"
                f"   # then: {names['upgrade']} --set master.jobs.runId=$(date +%s)"
            )
        yield Finding(
            name,
            f"route {route['route']} is not READY: {text}",
            cure or f"kubectl kuscia doctor -n <the namespace of {destination}, and of {source}>",
            f"{route['route']}: {route['reason']}",
        )


def _database(snapshot: Snapshot, names: dict[str, str]) -> Iterator[Finding]:
    for text in snapshot.database:
        yield match_log(text, STEP, names, "database") or Finding(
            "database", text, f"kubectl get secret {names['db_secret']} -n {names['namespace']}", "database"
        )


def _engines(config: Release, snapshot: Snapshot, names: dict[str, str]) -> Iterator[Finding]:
    for pod in snapshot.engines:
        yield from pod_findings(pod, snapshot, names)
        for container in pod.containers:
            where = f"{pod.namespace}/{pod.name}, container {container.name}"
            finding = match_log(container.log, ENGINE, names, where)
            if finding:
                yield finding
    if snapshot.node is None and snapshot.engines:
        pods = " ".join(pod.name for pod in snapshot.engines)
        yield Finding(
            "engines-left-behind",
            f"engine pods are there without their lite: {pods}",
            f"kubectl delete pod {pods} -n {names['engines']}",
            f"{names['engines']}",
        )


def _last_line(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def describe(findings: list[Finding], domain: str, unread: tuple[str, ...]) -> list[str]:
    """What `doctor` prints, line by line."""
    lines = [f"{domain}: {_count(len(findings), 'cause')} found" if findings else f"{domain}: nothing found"]
    for number, finding in enumerate(findings, 1):
        lines += [f"{number}. {finding.cause}", f"   cure: {finding.cure}", f"   seen: {finding.seen}"]
    lines += [f"not looked at: {text}" for text in unread]
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
