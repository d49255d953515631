"""Interruptions of a step at each of its writes to KusciaAPI, to the Kubernetes API and to an object store.

    for moment in moments(prepare, run):
        run_again()
        ...  # check the state

`moments` counts the writes of an undisturbed run, then interrupts one run at each of them. `interrupted` interrupts a
single one.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.errors import RetryableError, StepError
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import TimedOut, Unreachable
from kuscia_hooks.tables.s3 import Store

WAYS = ("kill before", "kill after", "lost", "timeout")
"""The process is killed before or after a write, or the answer to the write is lost or comes too late."""
_PAUSES = ("pause before", "pause after")
"""Another process runs before or after a write."""
_READING = ("query", "batchQuery", "list", "healthZ")
_KUBE_WRITES = ("create_secret", "set_secret", "delete_secret", "create_configmap", "set_configmap")
_METHODS = (*((Kube, name) for name in _KUBE_WRITES), (Store, "upload"))


class Killed(BaseException):
    """The process ended. No later request of the same run is made."""


@dataclass(frozen=True)
class Moment:
    """One write of a run, and what happens there.

    Args:
        write: its number; the first one is 0.
        way: one of WAYS or _PAUSES.
    """

    write: int
    way: str


class Writes:
    """The writes of one run, in order.

    Args:
        moment: when to interrupt the run; None for never.
        meanwhile: what another process does during a pause.
    """

    def __init__(self, moment: Moment | None, meanwhile: Callable[[], object] | None) -> None:
        self.names: list[str] = []
        self._moment, self._meanwhile = moment, meanwhile
        self._dead = self._paused = False
        self._lock = threading.Lock()

    def read(self, ask: Callable[[], Any]) -> Any:
        if self._dead:
            raise Killed
        return ask()

    def make(self, name: str, write: Callable[[], Any]) -> Any:
        """Make a write, or what is to happen instead."""
        # The other process writes in threads of its own, while this one holds the lock.
        if self._paused:
            return write()
        with self._lock:
            if self._dead:
                raise Killed
            self.names.append(name)
            if self._moment is None or self._moment.write != len(self.names) - 1:
                return write()
            way = self._moment.way
            if way.endswith("before"):
                self._interrupt(way, name)
            answer = write()
            if not way.endswith("before"):
                self._interrupt(way, name)
            return answer

    def _interrupt(self, way: str, name: str) -> None:
        if way in _PAUSES:
            assert self._meanwhile is not None
            self._paused = True
            self._meanwhile()
            self._paused = False
        elif way.startswith("kill"):
            self._dead = True
            raise Killed
        elif "/" not in name:
            raise RetryableError("api-server-unreachable", "the answer was lost")
        elif way == "timeout":
            raise TimedOut("kusciaapi-timeout", "the answer came too late")
        else:
            raise Unreachable("kusciaapi-unreachable", "the answer was lost")


@contextmanager
def interrupted(
    at: int | None = None, way: str = "", meanwhile: Callable[[], object] | None = None
) -> Iterator[Writes]:
    """Count the writes of the steps within the block, and interrupt one of them.

    Args:
        at: number of the write to interrupt; None for none.
        way: what happens there.
        meanwhile: see `Writes`.
    """
    writes, once = Writes(None if at is None else Moment(at, way), meanwhile), KusciaAPI.once

    def ask(api: KusciaAPI, path: str, *args: Any, **options: Any) -> Any:
        def send() -> Any:
            return once(api, path, *args, **options)

        return writes.read(send) if path.endswith(_READING) else writes.make(path, send)

    def counted(kind: type, name: str) -> Callable[..., Any]:
        method = getattr(kind, name)
        return lambda *args, **options: writes.make(name, lambda: method(*args, **options))

    with ExitStack() as stack:
        stack.enter_context(patch.object(KusciaAPI, "once", ask))
        for kind, name in _METHODS:
            stack.enter_context(patch.object(kind, name, counted(kind, name)))
        yield writes


def moments(
    prepare: Callable[[], object], run: Callable[[], object], meanwhile: Callable[[], object] | None = None
) -> Iterator[Moment]:
    """Yield after each run that was interrupted, with the state as it was left.

    Args:
        prepare: puts the state before a run in place.
        run: the run, one request at a time. It may fail with a StepError once it was interrupted.
        meanwhile: what another process does at the moment of the interruption; by default the run is killed, or loses
            an answer.
    """
    prepare()
    with interrupted() as writes:
        run()
    assert writes.names, "there is nothing to interrupt"
    for number in range(len(writes.names)):
        for way in WAYS if meanwhile is None else _PAUSES:
            prepare()
            with interrupted(number, way, meanwhile), suppress(Killed, StepError):
                run()
            yield Moment(number, way)
