"""Engines for tests of how engines are run: they do nothing."""

from typing import Any

SAYS = "the engine is up"


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
