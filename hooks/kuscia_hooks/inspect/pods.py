"""Findings from the state and the log of a pod."""

from collections.abc import Iterator, Mapping

from kuscia_hooks.core.text import printable, quoted
from kuscia_hooks.inspect.finding import Finding
from kuscia_hooks.inspect.known.steps import FIXES
from kuscia_hooks.inspect.report import Report, from_log, from_termination_message
from kuscia_hooks.inspect.snapshot import ContainerState, PodState, Snapshot

_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_CREATE = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")


def pod_findings(pod: PodState, snapshot: Snapshot, names: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what keeps a pod from running, whatever it runs."""
    describe = f"kubectl describe pod {quoted(pod.name)} -n {quoted(pod.namespace)}"
    if pod.unscheduled:
        yield Finding(
            "pod-unscheduled",
            f"the pod cannot be scheduled: {printable(pod.unscheduled)}",
            f"{describe}   # add capacity or the missing volume, or reduce the requests",
            f"{pod.namespace}/{pod.name}",
        )
    for container in pod.containers:
        where = place(pod, container)
        if container.waiting in _IMAGE:
            yield Finding(
                "image-pull",
                f"the image cannot be pulled: {printable(container.message)}",
                f"{describe}   # fix the image name, or the registry login (global.kuscia.imagePullSecrets; for engine "
                "pods the default ServiceAccount of their namespace)",
                where,
            )
        elif container.waiting in _CREATE:
            yield Finding(
                "container-create",
                f"the container cannot be created: {printable(container.message)}",
                describe,
                where,
            )
        elif container.end_reason == "OOMKilled" and not container.ready:
            yield Finding(
                "out-of-memory",
                "the container exceeded its memory limit",
                f"{names['upgrade']} --set {names['node']}.resources.limits.memory=8Gi",
                where,
            )
        elif container.name == "prepare" and not container.ready:
            yield from step_findings(pod, container, names)
    if not pod.containers and not pod.unscheduled:
        for warning in snapshot.warnings:
            if warning.about == pod.name:
                where = f"event {warning.reason} of {pod.namespace}/{pod.name}"
                yield Finding("pod-warning", printable(warning.message), describe, where)


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
    if not reports and container.end_code is not None:
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
