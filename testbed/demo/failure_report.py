"""What a person wants to see when a step on the cluster fails."""

from typing import Any

from testbed.cluster.kubectl import CommandError, Kubectl

LOG_LINES = 40


def failing_pods(kubectl: Kubectl, namespaces: list[str]) -> list[tuple[str, str, str]]:
    """(namespace, pod, what is wrong) of every pod that neither runs well nor has succeeded."""
    found = []
    for namespace in namespaces:
        for pod in kubectl.get("pods", "-n", namespace)["items"]:
            problem = _problem(pod)
            if problem:
                found.append((namespace, pod["metadata"]["name"], problem))
    return found


def failure_report(kubectl: Kubectl, namespaces: list[str]) -> str:
    """Pods, and for each failing one its events and the end of its logs."""
    lines: list[str] = []
    for namespace in namespaces:
        lines += [f"--- pods in {namespace}", _try(kubectl, "get", "pods", "-n", namespace, "-o", "wide")]
    for namespace, pod, problem in failing_pods(kubectl, namespaces):
        lines += [
            f"--- {namespace}/{pod}: {problem}",
            _try(kubectl, "get", "events", "-n", namespace, "--field-selector", f"involvedObject.name={pod}"),
            f"--- log of {namespace}/{pod}",
            _try(kubectl, "logs", "-n", namespace, pod, "--all-containers", "--prefix", f"--tail={LOG_LINES}"),
        ]
    return "\n".join(line.rstrip() for line in lines)


def _problem(pod: dict[str, Any]) -> str:
    status = pod["status"]
    if status["phase"] == "Succeeded":
        return ""
    if status["phase"] == "Failed":
        return f"Failed {status.get('reason', '')}".strip()
    containers = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
    for container in containers:
        state = container["state"]
        if "waiting" in state:
            return f"{container['name']}: {state['waiting'].get('reason', 'waiting')}"
        if "running" in state and not container["ready"]:
            return f"{container['name']}: not ready"
    return "" if containers else f"{status['phase']}: not scheduled"


def _try(kubectl: Kubectl, *args: str) -> str:
    try:
        return kubectl.run(*args)
    except CommandError as error:
        return str(error)
