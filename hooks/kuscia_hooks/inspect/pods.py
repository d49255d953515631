"""What the state and the log of a pod say about its failure."""

import re
from collections.abc import Iterator

from kuscia_hooks.inspect.finding import Finding, match_log
from kuscia_hooks.inspect.known.steps import STEP
from kuscia_hooks.inspect.snapshot import ContainerState, PodState, Snapshot


def pod_findings(pod: PodState, snapshot: Snapshot, names: dict[str, str]) -> Iterator[Finding]:
    """What keeps any pod from running, whatever is in it."""
    describe = f"kubectl describe pod {pod.name} -n {pod.namespace}"
    if pod.unscheduled:
        yield Finding(
            "unscheduled",
            f"no node takes the pod: {pod.unscheduled}",
            f"{describe}   # more capacity, smaller requests, or the missing volume",
            f"{pod.namespace}/{pod.name}",
        )
    for container in pod.containers:
        where = f"{pod.namespace}/{pod.name}, container {container.name}"
        if container.waiting in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"):
            yield Finding(
                "image",
                f"the image cannot be pulled: {container.message}",
                f"{describe}   # mend its name, or make the registry's pull secret known "
                "(global.kuscia.imagePullSecrets; engine pods: the default ServiceAccount of their namespace)",
                where,
            )
        elif container.waiting in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
            yield Finding("container", f"the container cannot be made: {container.message}", describe, where)
        elif container.end_reason == "OOMKilled" and not container.ready:
            yield Finding(
                "out-of-memory",
                "the container needed more memory than its limit",
                f"{names['upgrade']} --set {names['node']}.resources.limits.memory=8Gi",
                where,
            )
        elif container.name == "prepare" and container.running:
            yield from step_findings(container, where, names)
    if not pod.containers and not pod.unscheduled:
        for warning in snapshot.warnings:
            if warning.about == pod.name:
                yield Finding("pod", warning.message, describe, f"event {warning.reason} of {pod.namespace}/{pod.name}")


_SAID = re.compile(r"^(?:waiting for .*? \(\d[^)]* s\): |ERROR \w+ needs a human: |ERROR \w+: )", re.MULTILINE)
_SEE = re.compile(r"^ +see: (?P<command>.*)$", re.MULTILINE)


def step_findings(container: ContainerState, where: str, names: dict[str, str]) -> Iterator[Finding]:
    """The last that a step said about what it lacks; its own words are the cause."""
    said = list(_SAID.finditer(container.log))
    if not said:
        return
    text = container.log[said[-1].end() :]
    end = re.search(r"^\S", text.partition("\n")[2], re.MULTILINE)
    if end:
        text = text[: len(text.partition("\n")[0]) + 1 + end.start()]
    see = _SEE.search(text)
    message = text[: see.start()].strip() if see else text.strip()
    finding = match_log(message, STEP, {**names, "line": message}, where)
    if finding:
        yield finding
    else:
        yield Finding(
            "step-waits",
            message,
            see["command"] if see else f"kubectl logs -n {names['namespace']} {where}",
            where,
        )
