"""Concurrency with a limit that adapts to timeouts of the server."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from kuscia_hooks.core.errors import StepError
from kuscia_hooks.kuscia.api_errors import TimedOut

T = TypeVar("T")
LIMIT = 8
_GROW_AFTER = 50


class ConcurrencyLimit:
    """Allow at most `limit` calls at a time: half as many after a timeout, one more after 50 successful calls.

    A Kuscia master handles 8 concurrent requests and leaves requests unanswered at 32 (Kuscia facts 16.3).
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


def each(
    items: Iterable[T], work: Callable[[T], None], concurrency: ConcurrencyLimit | None = None
) -> list[tuple[T, StepError]]:
    """Call `work` on every item concurrently, and return the failed items with their errors."""
    concurrency = concurrency or ConcurrencyLimit()
    failed: list[tuple[T, StepError]] = []

    def one(item: T) -> None:
        try:
            with concurrency:
                work(item)
        except StepError as error:
            failed.append((item, error))

    with ThreadPoolExecutor(concurrency.limit) as pool:
        for future in [pool.submit(one, item) for item in items]:
            future.result()
    return failed
