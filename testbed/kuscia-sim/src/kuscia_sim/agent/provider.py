"""The interface between the agent and what runs engines: RunK (pods in a host cluster) or RunP (processes)."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any, Protocol

from kuscia_sim.state.store import Object


@dataclasses.dataclass
class EngineFiles:
    """Files of an engine outside its image: rendered templates and PEM files, by file name."""

    config: dict[str, str]
    certs: dict[str, str]


class PodDenied(Exception):
    """The host rejects this engine permanently; str() is the reason."""


class HostUnreachable(Exception):
    """The host cannot manage engines at the moment; str() is the reason."""


class Provider(Protocol):
    """Runs pods of this domain. All methods may raise errors of the host; the agent logs them and retries."""

    async def start(self) -> None:
        """Check that engines can run.

        Raises:
            AgentStartError: they cannot.
        """
        ...

    async def close(self) -> None: ...

    async def ping(self) -> None:
        """Check the host before each heartbeat of the node.

        Raises:
            HostUnreachable: no heartbeat must be sent.
        """
        ...

    async def existing(self) -> dict[str, Object]:
        """Return everything of this domain that the host runs, as core/v1 Pods by pod name.

        The label kuscia.secretflow/pod-uid names the pod in the store.
        """
        ...

    async def create(self, pod: Object, files: EngineFiles) -> None:
        """Start a pod. An existing one is left unchanged.

        Raises:
            PodDenied: the host rejects the pod.
        """
        ...

    async def delete(self, pod_name: str) -> None:
        """Remove a pod and the objects created for it. A missing pod is not an error."""
        ...

    async def sweep(self, keep: set[str], ready: set[str]) -> None:
        """Remove pods created by nodes of this domain that are not in `ready`, unless their name is in `keep`."""
        ...

    async def wait(self, timeout: float) -> None:
        """Return when a pod may have changed, after at most `timeout` seconds."""
        ...

    def log(self, pod_name: str, container: str, follow: bool) -> AsyncIterator[str]:
        """Yield the lines of a container's output.

        Raises:
            LookupError: there is no such output.
        """
        ...


def pod_label(pod: dict[str, Any], label: str) -> str:
    return str((pod["metadata"].get("labels") or {}).get(label, ""))
