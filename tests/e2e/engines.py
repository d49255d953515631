"""Engines for tests of how engines are run, which do nothing, and what engines of any test said."""

import subprocess
from typing import Any

from testbed.cluster.kubectl import CommandError, Kubectl

SAYS = "the engine is up"
# Of an engine's pod (recording runk-task-pod.yaml).
DOMAIN = "kuscia.secretflow/namespace"


def last_words(kubectl: Kubectl, lines: int = 60) -> str:
    """Every engine's pod on the cluster with the last lines of its log, or why they cannot be had."""
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
    return "\n".join(words) or "no pods of engines"


def sleeper(ref: str, **container: Any) -> dict[str, Any]:
    """Values of an AppImage whose engine says so, and then does nothing for ten minutes.

    Args:
        ref: complete reference of its image, by tag or by tag and digest.
        container: on top of its container.
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
