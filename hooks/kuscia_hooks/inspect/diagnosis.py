"""Derives the causes of failure from a snapshot of a release, without I/O."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from kuscia_hooks.core.catalog import CATALOG
from kuscia_hooks.core.config.release import Release
from kuscia_hooks.core.text import printable, printable_lines, quoted, shortened
from kuscia_hooks.inspect.finding import Finding, match_log
from kuscia_hooks.inspect.known.engines import CONNECTION_LOST, ENGINE, JOB, NO_ROOM
from kuscia_hooks.inspect.known.events import CONSEQUENCES
from kuscia_hooks.inspect.known.kuscia import KUSCIA
from kuscia_hooks.inspect.known.routes import ROUTE_REASONS
from kuscia_hooks.inspect.known.steps import FIXES
from kuscia_hooks.inspect.kuscia_state import NO_DOMAIN, RouteState
from kuscia_hooks.inspect.masking import without_secrets
from kuscia_hooks.inspect.names import namespace_of, peer_names, release_names
from kuscia_hooks.inspect.pods import (
    event_finding,
    explained,
    host_finding,
    job_findings,
    last_line,
    owner_names,
    place,
    pod_findings,
    report_finding,
    step_findings,
)
from kuscia_hooks.inspect.snapshot import MASTER, ContainerState, EngineJob, PodState, Probe, Snapshot
from kuscia_hooks.inspect.step_runs import INIT_STEPS
from kuscia_hooks.kuscia import jobs, kernel

# How long an engine may wait for its pod, and Kuscia may start, before that is a finding, and how long the failure of a
# job remains one.
_SLOW_START = 60.0
# A lite waits up to five minutes for its master.
_SLOW_KUSCIA = 300.0
_RECENT = 3600.0

# Findings with one ID for a person: in a network of a hundred parties, one cause can affect thousands of routes.
_ALIKE = 5
# A line of a log can have a megabyte; the bundle has all of it.
_LONGEST = 2000
# Settings that work, and may cause failures later.
_WARNINGS = {entry.id for entry in CATALOG.values() if entry.warning}


def diagnose(config: Release, snapshot: Snapshot) -> list[Finding]:
    """Return the causes of failure that a snapshot shows; root causes come first."""
    names = release_names(config, snapshot.node.name if snapshot.node else "")
    held = pod_findings(snapshot.node, snapshot, names, "node") if snapshot.node else []
    found = [
        *(held if snapshot.node else _no_node(config, snapshot, names)),
        *_not_started(snapshot, names),
        *_node(config, snapshot, names),
        *_database(snapshot, names),
        *_steps(snapshot, names),
        *_changed(snapshot, names),
        *_gateways(config, snapshot, names),
        *_api(config, snapshot, names),
        *_domains(config, snapshot),
        *_routes(config, snapshot, names),
        *_engines(snapshot, names),
        *_latest_job(config, snapshot, names),
    ]
    if snapshot.known is False and not any(finding.id == "unknown-domain" for finding in found):
        cause = f"the master has no domain {config.domain_id}"
        fix = FIXES["unknown-domain"].format_map(names)
        found.insert(0, Finding("unknown-domain", cause, fix, "handshake of the master"))
    found.sort(key=lambda finding: finding.id in _WARNINGS)
    unique: dict[tuple[str, str], Finding] = {}
    for finding in map(_shown, found):
        unique.setdefault((finding.id, finding.cause), finding)
    return list(unique.values())


def _shown(finding: Finding) -> Finding:
    """Return a finding without control characters and secrets: its texts come from logs, events and servers."""
    return replace(
        finding,
        cause=shortened(printable_lines(without_secrets(finding.cause)), _LONGEST),
        fix=printable(finding.fix),
        seen=shortened(printable(without_secrets(finding.seen)), _LONGEST),
    )


def _not_started(snapshot: Snapshot, names: dict[str, str]) -> Iterator[Finding]:
    """Yield what keeps Jobs, steps and engines from starting: the cause of what is missing elsewhere."""
    for job in snapshot.jobs:
        yield from job_findings(job, snapshot, names)
    for pod in snapshot.steps:
        yield from pod_findings(pod, snapshot, names, "step")
    for pod in snapshot.engines:
        yield from pod_findings(pod, snapshot, names, "engine")


def _node(config: Release, snapshot: Snapshot, names: dict[str, str]) -> Iterator[Finding]:
    """Yield the causes in the logs and the probes of the Kuscia pod."""
    node = snapshot.node
    if node is None or node.evicted or node.unscheduled:
        return
    if node.lost:
        yield Finding(
            "host-not-ready",
            f"the node that runs pod {node.name} does not report to Kubernetes, so the pod gets no requests",
            f"kubectl get pod {quoted(node.name)} -n {quoted(node.namespace)} -o wide   # shows its node; then: "
            "kubectl describe node <node>",
            f"{node.namespace}/{node.name}",
        )
    for container in node.containers:
        if container.ready or explained(container):
            continue
        if container.name in INIT_STEPS:
            yield from step_findings(node, container, names)
            continue
        if container.name != config.mode:
            yield from _extra(node, container, names)
            continue
        where = place(node, container)
        finding = (
            host_finding(node, container, names, "node")
            or match_log(container.log, KUSCIA, names, where)
            or match_log(container.previous, KUSCIA, names, where)
        )
        probe = _probe_finding(node, container, snapshot, names)
        if finding or probe:
            yield from filter(None, [finding or probe])
        elif container.end_code is not None:
            yield Finding(
                "unknown-exit",
                f"Kuscia exited with code {container.end_code} for an unknown reason",
                f"kubectl logs {quoted(node.name)} -n {quoted(node.namespace)} -c {container.name} --previous",
                f"{where}: {last_line(container.previous or container.log)}",
            )


def _extra(node: PodState, container: ContainerState, names: dict[str, str]) -> Iterator[Finding]:
    """Yield why a container that the user added keeps the Kuscia pod from being ready."""
    if not container.end_code and container.waiting != "CrashLoopBackOff":
        return
    known = host_finding(node, container, names, "extra")
    yield known or Finding(
        "container-failed",
        f"container {container.name} of the Kuscia pod exited with code {container.end_code}",
        f"kubectl logs {quoted(node.name)} -n {quoted(node.namespace)} -c {quoted(container.name)} --previous",
        f"{place(node, container)}: {last_line(container.previous or container.log)}",
    )


def _probe_finding(
    node: PodState, container: ContainerState, snapshot: Snapshot, names: dict[str, str]
) -> Finding | None:
    """Return the finding for Kuscia that a probe stops or keeps from being ready; None for none."""
    failed = [
        one
        for one in snapshot.warnings
        if (one.namespace, one.kind, one.about, one.reason) == (node.namespace, "Pod", node.name, "Unhealthy")
    ]
    last = max(failed, key=lambda one: one.time, default=None)
    stops = last is not None and not last.message.startswith("Readiness")
    show = f"kubectl logs {quoted(node.name)} -n {quoted(node.namespace)} -c {quoted(container.name)} --tail 50"
    if last and stops and container.end_code is not None:
        cause = f"Kubernetes restarts Kuscia, because it does not answer in time: {last.message}"
        fix = f"{show} --previous   # or allow more time in {names['node']}.probes, then {names['upgrade']}"
        return Finding("probe-failed", cause, fix, place(node, container))
    if container.running and (container.seconds or 0) > _SLOW_KUSCIA:
        cause = f"Kuscia has been running for {container.seconds:.0f} s and is not ready"
        return Finding("not-ready", cause + (f": {last.message}" if last else ""), show, place(node, container))
    return None


def _no_node(config: Release, snapshot: Snapshot, names: dict[str, str]) -> Iterator[Finding]:
    """Yield why the Kuscia pod does not exist: the newest event of its ReplicaSets."""
    if not snapshot.pods_read:
        return
    # A Deployment appends a hash without dashes; other Deployments can have a longer name.
    set_of = re.compile(rf"{re.escape(config.fullname)}-[a-z0-9]+")
    of_sets = [
        one
        for one in snapshot.warnings
        if one.kind == "ReplicaSet" and set_of.fullmatch(one.about) and one.reason not in CONSEQUENCES
    ]
    if of_sets:
        yield event_finding(max(of_sets, key=lambda one: one.time), names, "node")
    else:
        yield Finding(
            "no-pod",
            f"Deployment {config.fullname} has no pod",
            f"kubectl scale deployment/{names['fullname']} -n {names['namespace']} --replicas=1",
            f"namespace {config.namespace}",
        )


def _steps(snapshot: Snapshot, names: dict[str, str]) -> Iterator[Finding]:
    for pod in snapshot.steps:
        for container in pod.containers:
            if container.end_reason != "OOMKilled":
                yield from step_findings(pod, container, names)


def _changed(snapshot: Snapshot, names: dict[str, str]) -> Iterator[Finding]:
    before, now = snapshot.started_with, snapshot.present
    if not before or not now:
        return
    changed = [
        entry for entry, mark in now.get("secrets", {}).items() if before.get("secrets", {}).get(entry, mark) != mark
    ]
    key = next((entry for entry in changed if entry.startswith(f"{names['key_secret']}/")), None)
    if key:
        # Every mark is made with the domain key, so a new key changes the marks of unchanged Secrets too.
        changed = [key]
    for entry in changed:
        yield Finding(
            "secret-changed",
            f"Secret {names['namespace']}/{entry.partition('/')[0]} changed after the pod started; the pod still uses "
            "the old value",
            names["restart"],
            f"key {entry.partition('/')[2]} differs from the value that prepare read",
        )
    served, is_now = before.get("dnsServers") or [], now.get("dnsServers") or []
    if served and is_now and served != is_now:
        yield Finding(
            "dns-service-recreated",
            f"engine pods use DNS server {', '.join(served)}, but the Service now has address {', '.join(is_now)}",
            names["restart"],
            f"Service {names['namespace']}/{names['fullname']}",
        )


def _gateways(config: Release, snapshot: Snapshot, names: dict[str, str]) -> Iterator[Finding]:
    for probe in snapshot.probes:
        for report in probe.problems:
            show = f"curl -kv {quoted(probe.endpoint + '/')}"
            finding = report_finding(report, peer_names(config, probe.of, probe.endpoint, names), _gateway(probe), show)
            if probe.of == config.domain_id:
                # The fixes by ID change endpoints in the values; the endpoint of this gateway is not one of them.
                finding = Finding(report.id, report.message, report.see or show, _gateway(probe))
            yield finding


def _gateway(probe: Probe) -> str:
    return "gateway of the master" if probe.of == MASTER else f"gateway of {probe.of}"


def _api(config: Release, snapshot: Snapshot, names: dict[str, str]) -> Iterator[Finding]:
    show = f"kubectl get pods -n {names['namespace']}"
    for report in snapshot.api:
        yield report_finding(report, names, f"KusciaAPI {config.api.endpoint}", show)


def _domains(config: Release, snapshot: Snapshot) -> Iterator[Finding]:
    ready = {row["domain"] for row in snapshot.domains if row["status"] == "Ready"}
    namespace = quoted(config.namespace)
    for row in snapshot.domains:
        domain = row["domain"]
        # A pod that was replaced leaves its node behind.
        if domain in ready:
            continue
        missing = row["status"] == NO_DOMAIN
        register = f"kubectl logs -n {namespace} -l app.kubernetes.io/component=register --tail 20"
        inspect = (
            f"kubectl kuscia doctor -n {namespace_of(config, domain)}   # is its pod running, can it reach the master?"
        )
        yield Finding(
            "domain-not-found" if missing else "node-not-ready",
            f"domain {domain}: {row['status']}" + (f" (node {row['node']})" if row["node"] else ""),
            register if missing else inspect,
            f"KusciaAPI {config.api.endpoint}",
        )


def _routes(config: Release, snapshot: Snapshot, names: dict[str, str]) -> Iterator[Finding]:
    for route in snapshot.routes:
        if route.ready:
            continue
        known = next((one for one in ROUTE_REASONS if one.text in route.reason), None)
        yield Finding(
            known.id if known else "route-not-ready",
            f"route {route.name} is not READY: {known.cause if known else printable(route.reason)}",
            _route_fix(config, route, names, missing=known is not None and known.id == "route-missing"),
            f"{route.name}: {printable(route.reason)}",
        )


def _route_fix(config: Release, route: RouteState, names: dict[str, str], missing: bool) -> str:
    source, destination = (namespace_of(config, domain) for domain in (route.source, route.destination))
    if missing and config.mode == "master":
        return (
            f"kubectl logs -n {names['namespace']} -l app.kubernetes.io/component=routes --tail 20"
            f"   # then set master.jobs.runId to a new text, and {names['upgrade']}"
        )
    if missing:
        return (
            f"set master.jobs.runId to a new text, then {names['master_upgrade']}   # by the operator of the master, "
            "whose release creates the routes"
        )
    if route.endpoint:
        return f"curl -kv {quoted(route.endpoint + '/')}   # run it in a pod of {source}"
    return f"kubectl kuscia doctor -n {destination}   # and: kubectl kuscia doctor -n {source}"


def _database(snapshot: Snapshot, names: dict[str, str]) -> Iterator[Finding]:
    show = f"kubectl get secret {names['db_secret']} -n {names['namespace']}"
    for report in snapshot.database:
        yield report_finding(report, names, "database", show)


def _engines(snapshot: Snapshot, names: dict[str, str]) -> Iterator[Finding]:
    for pod in snapshot.engines:
        for container in pod.containers:
            finding = match_log(container.log, ENGINE, names, place(pod, container))
            if finding is None and container.end_code:
                finding = host_finding(pod, container, names, "engine")
            if finding:
                yield finding
            elif CONNECTION_LOST.search(container.log):
                yield from _kernel(snapshot, names, place(pod, container))
    if snapshot.node is None and snapshot.pods_read and snapshot.engines:
        pods = " ".join(quoted(pod.name) for pod in snapshot.engines)
        yield Finding(
            "engine-pods-without-lite",
            f"engine pods run although their lite has no pod: {pods}",
            f"kubectl delete pods {pods} -n {names['engines']}",
            f"namespace {names['engines']}",
        )


def _kernel(snapshot: Snapshot, names: dict[str, str], where: str) -> Iterator[Finding]:
    """Yield the kernel parameters that Kuscia does not recommend, where connections break (Kuscia facts 12.6)."""
    unmet = kernel.unmet((snapshot.started_with or {}).get("kernel") or {})
    if unmet:
        yield Finding(
            "kernel-parameters",
            f"engines lose connections, and kernel parameters are not as Kuscia recommends: {', '.join(unmet)}",
            "scripts/deploy/set_kernel_params.sh   # of Kuscia, on the node; parameters of the pod itself: "
            f"securityContext.sysctls in {names['node']}.podSecurityContext",
            where,
        )


def _latest_job(config: Release, snapshot: Snapshot, names: dict[str, str]) -> Iterator[Finding]:
    """Yield why the engines of the latest job did not start or failed."""
    job = snapshot.latest_job
    if job is None or job.status["state"] == "Succeeded":
        return
    if jobs.ended(job.status) and (job.age or 0) > _RECENT:
        return
    where = f"KusciaJob {printable(job.job_id)}"
    reasons = printable(jobs.reasons(job.status))
    starting = not jobs.ended(job.status) and (job.age is None or job.age < _SLOW_START)
    finding = match_log(reasons, JOB, owner_names(names, "engine"), where)
    if finding and not (starting and finding.id == NO_ROOM):
        yield replace(finding, cause=finding.cause + _amounts(config, job)) if finding.id == NO_ROOM else finding
    elif CONNECTION_LOST.search(reasons):
        yield from _kernel(snapshot, names, where)
    elif not starting and not jobs.ended(job.status):
        waiting = _waiting(job.status, "" if config.mode == "master" else config.domain_id)
        if waiting and not (config.mode == "lite" and snapshot.engines):
            yield Finding(NO_ROOM, waiting + _amounts(config, job), names["more_room"], where)


def _waiting(status: Mapping[str, Any], domain: str) -> str:
    """Return which engines of a job have no pod; "" for none.

    While a domain has no room, Kuscia creates no pod of the task for any domain, and reports no party and no reason.

    Args:
        domain: only this one matters; "" for all.
    """
    for task in status.get("tasks") or []:
        if task.get("state") != "Pending" or not task.get("create_time"):
            continue
        parties = task.get("parties") or []
        if not parties:
            return (
                f"task {task['task_id']} waits: a domain has no room for its engine, no node that is Ready, or no route"
            )
        waiting = sorted(
            party["domain_id"]
            for party in parties
            if party.get("state") == "Pending" and domain in ("", party["domain_id"])
        )
        if waiting:
            return f"no engine pod was created for {', '.join(waiting)}"
    return ""


def _amounts(config: Release, job: EngineJob) -> str:
    """Return what is requested and what is offered, as far as it is known."""
    texts = [f"AppImage {printable(name)} requests {text}" for name, text in sorted(job.requests.items()) if text]
    capacity = config.engines.capacity if config.engines else {}
    if capacity:
        offered = ", ".join(f"{name} {amount}" for name, amount in sorted(capacity.items()))
        texts.append(f"the capacity of {config.domain_id} is {offered}")
    return f" ({'; '.join(texts)})" if texts else ""


def describe(findings: list[Finding], domain: str, unread: tuple[str, ...]) -> list[str]:
    """Return the lines that `doctor` prints.

    Args:
        unread: what could not be checked, each with the reason.
    """
    nothing = "nothing found" + (" in what could be checked" if unread else "")
    lines = [f"{domain}: {_count(len(findings), 'cause')} found" if findings else f"{domain}: {nothing}"]
    shown = Counter[str]()
    for number, finding in enumerate(findings, 1):
        shown[finding.id] += 1
        if shown[finding.id] > _ALIKE:
            continue
        cause = finding.cause.replace("\n", "\n   ")
        lines += [f"{number}. [{finding.id}] {cause}", f"   fix: {finding.fix}", f"   seen: {finding.seen}"]
    more = {error_id: count - _ALIKE for error_id, count in shown.items() if count > _ALIKE}
    lines += [f"and {count} more [{error_id}]: --output json" for error_id, count in more.items()]
    lines += [f"not checked: {text}" for text in unread]
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
