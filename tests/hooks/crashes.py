"""Interrupts a step at one of its writes: a kill before or after it, or an answer that is lost."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import TimedOut
from kuscia_hooks.tables.s3 import Store

WAYS = ("kill before", "kill after", "lost", "timeout")
_READING = ("query", "batchQuery", "list", "healthZ")
_KUBE_WRITES = ("create_secret", "set_secret", "delete_secret", "create_configmap", "set_configmap")
_METHODS = (*((Kube, name) for name in _KUBE_WRITES), (Store, "upload"))


class Killed(BaseException):
    """The process ended. No later write of the same run is made."""


class Writes:
    """The writes of one run, in order.

    Args:
        at: number of the write to interrupt; None for none.
        way: one of WAYS.
    """

    def __init__(self, at: int | None = None, way: str = "") -> None:
        self.names: list[str] = []
        self._at, self._way = at, way
        self._dead = False
        self._lock = threading.Lock()

    def make(self, name: str, write: Callable[[], Any]) -> Any:
        """Make a write, or what is to happen instead."""
        with self._lock:
            if self._dead:
                raise Killed
            self.names.append(name)
            if len(self.names) - 1 != self._at:
                return write()
            self._dead = self._way.startswith("kill")
            if self._way == "kill before":
                raise Killed
            done = write()
            if self._way == "kill after":
                raise Killed
            if "/" not in name:
                raise RetryableError("api-server-unreachable", "the answer was lost")
            if self._way == "timeout":
                raise TimedOut("kusciaapi-timeout", "the answer came too late")
            raise RetryableError("kusciaapi-unreachable", f"the answer {done} was lost")


@contextmanager
def interrupted(at: int | None = None, way: str = "") -> Iterator[Writes]:
    """Count the writes of the steps within the block, and interrupt one of them; see `Writes`."""
    writes = Writes(at, way)
    once = KusciaAPI.once

    def ask(api: KusciaAPI, path: str, *args: Any, **options: Any) -> Any:
        if path.endswith(_READING):
            return once(api, path, *args, **options)
        return writes.make(path, lambda: once(api, path, *args, **options))

    def counted(kind: type, name: str) -> Callable[..., Any]:
        method = getattr(kind, name)
        return lambda *args, **options: writes.make(name, lambda: method(*args, **options))

    with ExitStack() as stack:
        stack.enter_context(patch.object(KusciaAPI, "once", ask))
        for kind, name in _METHODS:
            stack.enter_context(patch.object(kind, name, counted(kind, name)))
        yield writes
