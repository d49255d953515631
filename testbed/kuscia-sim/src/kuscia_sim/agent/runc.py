"""RunC: Kuscia creates containers with its own containerd, which the stand-in does not have.

A lite starts under RunC as in Kuscia, privileges included (recordings/startup-cases/runc.log), and joins its master.
Engines are rejected permanently with a message, and nothing else runs instead.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

from kuscia_sim.agent.provider import EngineFiles, PodDenied
from kuscia_sim.state.store import Object

log = logging.getLogger("runc")

WHY = "the stand-in has no containerd: with runtime runc it starts but runs no engines"


class RuncProvider:
    """Rejects every pod."""

    async def start(self) -> None:
        log.warning("%s", WHY)

    async def close(self) -> None: ...

    async def ping(self) -> None: ...

    async def existing(self) -> dict[str, Object]:
        return {}

    async def create(self, pod: Object, files: EngineFiles) -> None:
        raise PodDenied(WHY)

    async def delete(self, pod_name: str) -> None: ...

    async def sweep(self, keep: set[str], ready: set[str]) -> None: ...

    async def wait(self, timeout: float) -> None:
        await asyncio.sleep(timeout)

    async def log(self, pod_name: str, container: str, follow: bool) -> AsyncIterator[str]:
        raise LookupError(f'container "{container}" of pod "{pod_name}" not found')
        yield ""
