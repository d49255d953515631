"""The pod garbage collector of the API server that Kuscia's master embeds.

A lite's node is named after its pod and removed when it exits (Kuscia facts 12.5), so a replaced lite loses the engines
of running tasks: a minute later their pods are removed and the tasks fail. A lite that was killed leaves its node
behind, and its pods stay unchanged.
"""

import asyncio
import contextlib
import time

from kuscia_sim.log import Log
from kuscia_sim.node.node import Node
from kuscia_sim.state.store import NotFound, Store

PERIOD = 20.0
QUARANTINE = 40.0
"""Seconds that a node must be missing: it may be about to return."""

log = Log(__name__)


async def run_pod_gc(node: Node) -> None:
    """Collect every 20 s until cancelled."""
    collector = PodCollector(node.store)
    while True:
        await asyncio.sleep(PERIOD)
        try:
            await collector.round(time.monotonic())
        except Exception as err:
            log.warning("podgc/gc_controller.go", f"removing orphaned pods failed: {err}")


class PodCollector:
    """Remembers since when nodes have been missing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._gone: dict[str, float] = {}

    async def round(self, now: float) -> None:
        """Remove the pods of nodes that have been missing for 40 s at `now` (seconds on any clock)."""
        nodes = {item["metadata"]["name"] for item in await self._store.list("nodes")}
        orphans = [pod for pod in await self._store.list("pods") if pod["spec"].get("nodeName", "") not in {"", *nodes}]
        self._gone = {pod["spec"]["nodeName"]: self._gone.get(pod["spec"]["nodeName"], now) for pod in orphans}
        for pod in orphans:
            if now - self._gone[pod["spec"]["nodeName"]] >= QUARANTINE:
                metadata = pod["metadata"]
                log.info(
                    "", f"PodGC is force deleting Pod {metadata['namespace']}/{metadata['name']}: its node is gone"
                )
                with contextlib.suppress(NotFound):
                    await self._store.delete("pods", metadata["namespace"], metadata["name"])
