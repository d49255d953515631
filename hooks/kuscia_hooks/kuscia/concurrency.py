"""Concurrency with a bound that follows how fast the other side answers."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from kuscia_hooks.core.errors import HookError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.waiting import REPORT_SECONDS
from kuscia_hooks.kuscia.api import TimedOut

T = TypeVar("T")

LIMIT = 8
_GROW_AFTER = 50
_FEW = 20


class Pace:
    """At most `limit` calls at a time: half as many after a time-out, one more after 50 good answers in a
    row.

    A Kuscia master takes eight at once well and leaves requests unanswered at 32 (Kuscia facts 16.3).
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = self.allowed = limit
        self._running = self._good = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._running < self.allowed)
            self._running += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        with self._changed:
            self._running -= 1
            if isinstance(error, TimedOut):
                self.allowed, self._good = max(1, self.allowed // 2), 0
            elif error is None:
                self._good += 1
                if self._good >= _GROW_AFTER and self.allowed < self.limit:
                    self.allowed, self._good = self.allowed + 1, 0
            self._changed.notify_all()


class Progress:
    """Tells of each change where they are few, else of their number every ten seconds."""

    def __init__(self, total: int) -> None:
        self._total, self._finished = total, 0
        self._begun = self._reported = time.monotonic()
        self._lock = threading.Lock()

    def done(self, what: str) -> None:
        with self._lock:
            self._finished += 1
            now = time.monotonic()
            if self._total <= _FEW:
                logger.info("%s", what)
            elif now - self._reported >= REPORT_SECONDS:
                self._reported = now
                logger.info("%d of %d changes made in %.0f s", self._finished, self._total, now - self._begun)


def each(items: Iterable[T], work: Callable[[T], None], pace: Pace | None = None) -> list[tuple[T, HookError]]:
    """Work on every item, several at a time, and return those that failed with their errors."""
    pace = pace or Pace()
    failed: list[tuple[T, HookError]] = []

    def one(item: T) -> None:
        try:
            with pace:
                work(item)
        except HookError as error:
            failed.append((item, error))

    with ThreadPoolExecutor(pace.limit) as pool:
        for future in [pool.submit(one, item) for item in items]:
            future.result()
    return failed
