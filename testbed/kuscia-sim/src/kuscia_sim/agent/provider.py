"""What the agent asks of the thing that runs engines: RunK (pods in a host cluster) or RunP (processes)."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any, Protocol

from kuscia_sim.state.store import Object


@dataclasses.dataclass
class EngineFiles:
    """What an engine finds beside its image: rendered template files and PEM files, by file name."""

    config: dict[str, str]
    certs: dict[str, str]


class PodDenied(Exception):
    """The host refuses this engine for good; str() says why."""


class HostUnreachable(Exception):
    """The host does not let engines be looked after just now; str() says why."""


class Provider(Protocol):
    """Runs pods of this domain. All methods may raise the host's errors; the agent logs and tries again."""

    async def start(self) -> None:
        """Checks that engines can be run at all. Raises AgentStartError."""
        ...

    async def close(self) -> None: ...

    async def ping(self) -> None:
        """Asked before each heartbeat of the node. Raises HostUnreachable, and no heartbeat follows."""
        ...

    async def existing(self) -> dict[str, Object]:
        """Everything of this domain that the host runs, by pod name, as core/v1 Pods.

        The label kuscia.secretflow/pod-uid names the pod in the store that each belongs to.
        """
        ...

    async def create(self, pod: Object, files: EngineFiles) -> None:
        """Starts a pod; what exists already is left as it is. Raises PodDenied."""
        ...

    async def delete(self, pod_name: str) -> None:
        """Removes a pod and what was made for it; absent ones are no error."""
        ...

    async def sweep(self, keep: set[str], ready: set[str]) -> None:
        """Removes pods that nodes of this domain made which are not in `ready`, unless their name is in `keep`."""
        ...

    async def wait(self, timeout: float) -> None:
        """Returns when something may have happened to a pod, at the latest after `timeout` seconds."""
        ...

    def log(self, pod_name: str, container: str, follow: bool) -> AsyncIterator[str]:
        """The lines of a container's output. Raises LookupError."""
        ...


def pod_label(pod: dict[str, Any], label: str) -> str:
    return str((pod["metadata"].get("labels") or {}).get(label, ""))
