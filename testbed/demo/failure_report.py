"""What is needed to understand a failure on the cluster: pods, Jobs, events and logs of every party."""

import subprocess
from collections.abc import Sequence
from typing import Any

from testbed.cluster.kubectl import CommandError, Kubectl

LINES_OF_FAILING = 60
LINES_OF_OTHERS = 20


def failure_report(kubectl: Kubectl, namespaces: Sequence[str]) -> str:
    """Return pods, Jobs, warning events and the end of all logs of the namespaces.

    The logs include those of the previous container where one restarted. Failing pods come first.
    """
    parts = []
    pods: list[dict[str, Any]] = []
    for namespace in namespaces:
        parts += [
            _section(kubectl, f"pods in {namespace}", "get", "pods", "-n", namespace, "-o", "wide"),
            _section(kubectl, f"Jobs in {namespace}", "get", "jobs", "-n", namespace),
            _section(kubectl, f"warnings in {namespace}", "get", "events", "-n", namespace,
                     "--field-selector", "type=Warning", "--sort-by", ".lastTimestamp"),
        ]  # fmt: skip
        try:
            pods += kubectl.get("pods", "-n", namespace)["items"]
        except (CommandError, subprocess.TimeoutExpired) as error:
            parts.append(str(error))
    for pod in sorted(pods, key=lambda pod: not problem(pod)):
        parts += _logs(kubectl, pod)
    return "\n".join(parts)


def problem(pod: dict[str, Any]) -> str:
    """Return the problem of a pod; "" if it is ready or has succeeded."""
    status = pod["status"]
    if status["phase"] == "Succeeded":
        return ""
    if status["phase"] == "Failed":
        return f"Failed {status.get('reason', '')}".strip()
    containers = _containers(pod)
    for container in containers:
        state = container["state"]
        if "waiting" in state:
            return f"{container['name']}: {state['waiting'].get('reason', 'waiting')}"
        if "running" in state and not container["ready"]:
            return f"{container['name']}: not ready"
    return "" if containers else f"{status['phase']}: not scheduled"


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    status = pod["status"]
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def _logs(kubectl: Kubectl, pod: dict[str, Any]) -> list[str]:
    """Return the logs of a pod's containers that have started."""
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    wrong = problem(pod)
    tail = f"--tail={LINES_OF_FAILING if wrong else LINES_OF_OTHERS}"
    parts = [f"--- {namespace}/{name}: {wrong}"] if wrong else []
    for container in _containers(pod):
        command = ("logs", "-n", namespace, name, "-c", container["name"], "--timestamps", tail)
        title = f"log of {namespace}/{name}, {container['name']}"
        if container["restartCount"]:
            parts.append(_section(kubectl, f"{title}, previous container", *command, "--previous"))
        if "waiting" not in container["state"]:
            parts.append(_section(kubectl, title, *command))
    return parts


def _section(kubectl: Kubectl, title: str, *args: str) -> str:
    """Return the output of kubectl, or its error, below a title."""
    try:
        text = kubectl.run(*args)
    except (CommandError, subprocess.TimeoutExpired) as error:
        text = str(error)
    return f"--- {title}\n{text.rstrip()}"
