"""Engine output in files: var/stdout/pods/<domain>_<pod>_<uid>/<container>/<restarts>.log.

The files outlive the pod, for log/task/query. RunK writes them only with runk.enableLogging.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

from kuscia_sim.agent.provider import Provider
from kuscia_sim.state.store import Object

log = logging.getLogger("podlog")

POLL_SECONDS = 0.5
LAST_LINES_SECONDS = 5.0


class PodLogs:
    """Copies the output of containers into files while they run."""

    def __init__(self, root: Path, domain: str, provider: Provider) -> None:
        self._root = root
        self._domain = domain
        self._provider = provider
        self._copies: dict[tuple[str, str], asyncio.Task[None]] = {}

    def follow(self, pod: Object, status: Object) -> None:
        """Start copying the output of the pod's running containers."""
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        for entry in status.get("containerStatuses", []):
            key = (uid, entry["name"])
            state = entry.get("state", {})
            if key in self._copies or not ("running" in state or "terminated" in state):
                continue
            directory = self._root / f"{self._domain}_{name}_{uid}" / entry["name"]
            self._copies[key] = asyncio.create_task(self._copy(name, entry["name"], directory))

    async def finish(self, uid: str) -> None:
        """Wait briefly for the last lines of a pod that is about to be removed."""
        own = [key for key in self._copies if key[0] == uid]
        if own:
            await asyncio.wait([self._copies[key] for key in own], timeout=LAST_LINES_SECONDS)
        for key in own:
            self._copies.pop(key).cancel()

    async def close(self) -> None:
        for task in self._copies.values():
            task.cancel()
        await asyncio.gather(*self._copies.values(), return_exceptions=True)

    async def _copy(self, pod: str, container: str, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                with (directory / "0.log").open("w") as file:
                    async for line in self._provider.log(pod, container, follow=True):
                        file.write(line + "\n")
                        file.flush()
                return
            except LookupError as err:
                log.warning("cannot read the output of %s/%s: %s", pod, container, err)
                return
            except Exception as err:
                log.warning("reading the output of %s/%s was interrupted, retrying: %r", pod, container, err)
                await asyncio.sleep(POLL_SECONDS)

    async def read(self, task_id: str, replica: int, container: str, follow: bool) -> AsyncIterator[str]:
        """Yield the stored lines of an engine. With follow it never ends, as in Kuscia's
        pkg/kusciaapi/service/log_service.go (tailFile).

        Raises:
            LookupError: they do not exist (texts as recorded).
        """
        stem = f"{self._domain}_{task_id}-{replica}"
        found = sorted(self._root.glob(f"{stem}*"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise LookupError(f"failed to local query, err: can't find pod log directory for {stem}, err: <nil>")
        directory = found[-1]
        where = directory / container
        if not where.exists():
            missing = f"lstat {where}: no such file or directory"
            raise LookupError(f"failed to local query, err: can't find pod log path for {where}, err: {missing}")
        # Without a container name the first one is used (Kuscia takes the one with the largest restart count).
        file = next(iter(sorted(where.glob("**/0.log"))), None)
        if file is None:
            raise LookupError(f"failed to local query, err: can't find pod log path for {where}, err: <nil>")
        async for line in self._tail(file, follow):
            yield line

    async def _tail(self, file: Path, follow: bool) -> AsyncIterator[str]:
        with file.open() as stream:
            pending = ""
            while True:
                for piece in stream:
                    pending += piece
                    if pending.endswith("\n"):
                        yield pending[:-1]
                        pending = ""
                if not follow:
                    break
                await asyncio.sleep(POLL_SECONDS)
            if pending:
                yield pending
