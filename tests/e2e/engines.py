"""Engines that do nothing, and the logs of all engine pods."""

import subprocess
from typing import Any

from testbed.cluster.kubectl import CommandError, Kubectl

SAYS = "the engine is up"
# Label of engine pods (recording runk-task-pod.yaml).
DOMAIN = "kuscia.secretflow/namespace"


def last_words(kubectl: Kubectl, lines: int = 60) -> str:
    """Return all engine pods of the cluster with the last lines of their logs, or the error."""
    try:
        pods = kubectl.get("pods", "-A", "-l", DOMAIN)["items"]
    except (CommandError, subprocess.TimeoutExpired) as error:
        return str(error)
    words = []
    for pod in pods:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        words.append(f"{namespace}/{name}: {pod['status']['phase']}")
        try:
            words.append(kubectl.run("logs", name, "-n", namespace, "--tail", str(lines)))
        except (CommandError, subprocess.TimeoutExpired) as error:
            words.append(str(error))
    return "\n".join(words) or "no engine pods"


def sleeper(ref: str, **container: Any) -> dict[str, Any]:
    """Return values of an AppImage whose engine prints SAYS and then sleeps for ten minutes.

    Args:
        ref: complete reference of the image, by tag or by tag and digest.
        container: additional fields of the container.
    """
    at = ref.index(":", ref.rindex("/"))
    name, tag = ref[:at], ref[at + 1 :]
    given = {
        "name": "sleeper",
        "command": ["sh", "-c"],
        "args": [f"echo {SAYS}; exec sleep 600"],
        "ports": [{"name": "nothing", "protocol": "HTTP", "scope": "Cluster"}],
        **container,
    }
    template = {"name": "sleeper", "replicas": 1, "restart_policy": "Never", "containers": [given]}
    return {"image": {"name": name, "tag": tag}, "deployTemplates": [template]}
