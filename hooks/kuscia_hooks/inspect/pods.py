"""Findings from the state, the events and the logs of pods and Jobs."""

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from kuscia_hooks.core.text import printable, quoted
from kuscia_hooks.inspect.finding import Finding, match_log
from kuscia_hooks.inspect.known.events import CONSEQUENCES, EVENTS, OTHER_EVENT
from kuscia_hooks.inspect.known.host import HOST
from kuscia_hooks.inspect.known.steps import FIXES
from kuscia_hooks.inspect.report import Report, from_log, from_termination_message
from kuscia_hooks.inspect.snapshot import ContainerState, JobState, PodState, Snapshot, WarningEvent
from kuscia_hooks.inspect.step_runs import INIT_STEPS

_WAITING = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
)
Owner = Literal["node", "step", "extra", "engine"]
"""What a container belongs to, which decides where its resources are set; `extra` is one that the user added."""
# The path of the resources in the values, and how to increase the memory limit.
_RESOURCES: Mapping[Owner, tuple[str, str]] = {
    "node": ("{node}.resources", "set {node}.resources.limits.memory: 8Gi, then {upgrade}"),
    "step": ("{node}.jobs.resources", "set {node}.jobs.resources.limits.memory: 1Gi, then {upgrade}"),
    "extra": (
        "{node}.extraContainers[].resources",
        "set a higher resources.limits.memory of the container in {node}.extraContainers or "
        "{node}.extraInitContainers, then {upgrade}",
    ),
    "engine": (
        "master.appImages.<name>.deployTemplates[].containers[].resources",
        "set a higher resources.limits.memory of the container in master.appImages.<name>.deployTemplates, then "
        "{master_upgrade}",
    ),
}


def owner_names(names: Mapping[str, str], owner: Owner) -> dict[str, str]:
    """Return the names, with those for the resources of an owner."""
    path, more_memory = _RESOURCES[owner]
    return {**names, "resources": path.format_map(names), "more_memory": more_memory.format_map(names)}


def pod_findings(pod: PodState, snapshot: Snapshot, names: Mapping[str, str], owner: Owner) -> list[Finding]:
    """Return what keeps a pod from running, whatever it runs: from its state, else from its newest warning event."""
    found = list(_from_state(pod, names, owner))
    if unbound := _unbound(pod, snapshot):
        found = [event_finding(unbound, names, owner)]
    elif any(finding.id == "image-pull" for finding in found):
        missing = snapshot.newest_warning(pod.namespace, "Pod", pod.name, CONSEQUENCES)
        if missing and missing.reason == "FailedToRetrieveImagePullSecret":
            found.insert(0, event_finding(missing, names, owner))
    elif not found and pod.hanging:
        warning = snapshot.newest_warning(pod.namespace, "Pod", pod.name, CONSEQUENCES)
        if warning:
            found.append(event_finding(warning, names, owner))
    return found


def _unbound(pod: PodState, snapshot: Snapshot) -> WarningEvent | None:
    """Return the newest event about a claim without which the pod cannot be scheduled; None for none."""
    # Otherwise the claim may have got its volume since.
    claims = pod.claims if re.search("volume", pod.unscheduled, re.IGNORECASE) else ()
    events = [snapshot.newest_warning(pod.namespace, "PersistentVolumeClaim", claim, CONSEQUENCES) for claim in claims]
    return max((event for event in events if event), key=lambda event: event.time, default=None)


def _from_state(pod: PodState, names: Mapping[str, str], owner: Owner) -> Iterator[Finding]:
    where = f"{pod.namespace}/{pod.name}"
    if pod.evicted:
        yield _recognized(pod.evicted, _object(names, owner, "pod", pod.namespace, pod.name), where)
    elif pod.unscheduled:
        text = f"FailedScheduling: {pod.unscheduled}"
        yield _recognized(text, _object(names, owner, "pod", pod.namespace, pod.name), where)
    for container in pod.containers:
        of = owner if owner != "node" else _owner(container.name, names)
        about = _object(names, of, "pod", pod.namespace, pod.name)
        if container.waiting in _WAITING:
            yield _recognized(f"{container.waiting}: {container.message}", about, place(pod, container))
        elif _out_of_memory(container):
            cause = "the container exceeded its memory limit"
            yield Finding("out-of-memory", cause, about["more_memory"], place(pod, container))


def _owner(container: str, names: Mapping[str, str]) -> Owner:
    """Return what a container of the Kuscia pod belongs to."""
    if container == names["node"]:
        return "node"
    return "step" if container in INIT_STEPS else "extra"


def _out_of_memory(container: ContainerState) -> bool:
    return container.end_reason == "OOMKilled" and not container.ready


def explained(container: ContainerState) -> bool:
    """Return whether the state of a container tells why it does not run; then its log tells nothing more."""
    return container.waiting in _WAITING or _out_of_memory(container)


def job_findings(job: JobState, snapshot: Snapshot, names: Mapping[str, str]) -> Iterator[Finding]:
    """Yield why a Job has no pod, if its state or an event tells."""
    where = f"Job {job.namespace}/{job.name}"
    about = f"{quoted(job.name)} -n {quoted(job.namespace)}"
    warning = snapshot.newest_warning(job.namespace, "Job", job.name, CONSEQUENCES)
    if warning:
        yield event_finding(warning, names, "step")
    elif job.failed:
        cause = f"the step {job.step} failed, and its pod was deleted: {job.failed}"
        fix = f"kubectl describe job {about}   # then {names['upgrade']}, which runs the step again"
        yield Finding("job-failed", cause, fix, where)
    elif job.suspended:
        cause = f"the Job of the step {job.step} is suspended, for example by a queue"
        fix = f'kubectl patch job {about} --type merge -p \'{{"spec": {{"suspend": false}}}}\''
        yield Finding("job-suspended", cause, fix, where)


def event_finding(warning: WarningEvent, names: Mapping[str, str], owner: Owner) -> Finding:
    """Return the finding of a warning event."""
    about = _object(names, owner, warning.kind.lower(), warning.namespace, warning.about)
    where = f"event {warning.reason} of {warning.namespace}/{warning.about}"
    return _recognized(f"{warning.reason}: {warning.message}", about, where)


def _object(names: Mapping[str, str], owner: Owner, kind: str, namespace: str, name: str) -> dict[str, str]:
    about = {"kind": quoted(kind), "object": quoted(name), "object_namespace": quoted(namespace)}
    return {**owner_names(names, owner), **about}


def _recognized(text: str, names: Mapping[str, str], where: str) -> Finding:
    """Return the finding of a text `<reason>: <message>`."""
    message = {"message": printable(text.partition(": ")[2])}
    finding = match_log(text, EVENTS, {**names, **message}, where)
    return finding or Finding(OTHER_EVENT.id, printable(text), OTHER_EVENT.fix.format_map(names), where)


def host_finding(pod: PodState, container: ContainerState, names: Mapping[str, str], owner: Owner) -> Finding | None:
    """Return the finding for a container that failed because of its node, its image or its limits; None for none."""
    about = {**owner_names(names, owner), "pod": quoted(pod.name), "namespace": quoted(pod.namespace)}
    texts = (container.log, container.previous, container.termination, container.message)
    return next((one for one in (match_log(text, HOST, about, place(pod, container)) for text in texts) if one), None)


def place(pod: PodState, container: ContainerState) -> str:
    """Return the name of a container for a person."""
    return f"{pod.namespace}/{pod.name}, container {container.name}"


def step_findings(pod: PodState, container: ContainerState, names: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the errors that a step reported last; nothing once it has succeeded."""
    if container.end_code == 0 and not container.running:
        return
    where = place(pod, container)
    show = f"kubectl logs {quoted(pod.name)} -n {quoted(pod.namespace)} -c {quoted(container.name)}"
    reports = from_log(container.log) or from_termination_message(container.termination)
    for report in reports:
        yield report_finding(report, names, where, show)
    known = None if reports else host_finding(pod, container, names, "step")
    if known:
        yield known
    elif not reports and container.end_code is not None:
        cause = f"the step exited with code {container.end_code} and reported no error"
        yield Finding("step-failed", cause, show, f"{where}: {last_line(container.log)}")


def report_finding(report: Report, names: Mapping[str, str], where: str, show: str) -> Finding:
    """Return an error of a step as a finding, with the fix for this release where there is one.

    Args:
        show: command for an error without any fix.
    """
    template = FIXES.get(report.id)
    fix = template.format_map(names) if template else report.fix or report.see or show
    return Finding(report.id, report.message, fix, where)


def last_line(log: str) -> str:
    """Return the last line of a log that is not empty."""
    lines = [line for line in log.splitlines() if line.strip()]
    return printable(lines[-1]) if lines else "the log is empty"
