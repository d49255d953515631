"""Concurrency with a limit that adapts to the server."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from kuscia_hooks.core.errors import StepError
from kuscia_hooks.kuscia.api_errors import TimedOut

T = TypeVar("T")
START = 8
LIMIT = 32
TRIES = 3
"""How often an item is tried whose request times out."""
# Share of the throughput by which a higher level must be better to be kept.
_GAIN = 1.1
# A level that was not better, or timed out, is tried again after this many times its calls; four times as many after
# each failure.
_PATIENCE = 30
_MORE_PATIENCE = 4


@dataclass(frozen=True)
class Call:
    """One call: its level, and when it started."""

    level: int
    begin: float


class Level:
    """The number of calls that run at a time, chosen by the answers so far. It does no waiting and reads no clock.

    The level doubles as long as the throughput rises with it: calls that run side by side take longer on a busy
    server, but not twice as long for twice as many. A level that is not better is left again. A timeout halves the
    level, once for all calls that ran at the time.

    A Kuscia master serves 19 requests per second one at a time, 37 at 8, and 56 at 32, and leaves requests unanswered
    at 32 when there are thousands (Kuscia facts 16.3).

    Args:
        limit: highest level.
        start: first level.
    """

    def __init__(self, limit: int = LIMIT, start: int = START) -> None:
        self.limit = limit
        self.allowed = min(start, limit)
        self._epoch = 0
        self._lower: tuple[int, float] | None = None
        self._pause, self._patience = 0, _PATIENCE
        self._count, self._seconds = 0, 0.0

    def start(self, now: float) -> Call:
        """Return a call that starts now."""
        return Call(self._epoch, now)

    def succeeded(self, call: Call, now: float) -> None:
        """Note that a call was answered."""
        if call.level != self._epoch:
            return
        self._count += 1
        self._pause = max(0, self._pause - 1)
        # The first calls of a level start while fewer are running.
        if self._count > self.allowed:
            self._seconds += now - call.begin
        if self._count == 2 * self.allowed:
            self._judge(self.allowed**2 / max(self._seconds, 1e-9))

    def timed_out(self, call: Call) -> None:
        """Note that a call got no answer; others of the same level do not count again."""
        if call.level == self._epoch:
            self._change(max(1, self.allowed // 2), None, pause=True)

    def _judge(self, rate: float) -> None:
        """Choose the next level, given the calls per second at this one."""
        if self._lower is not None and rate < self._lower[1] * _GAIN:
            self._change(self._lower[0], None, pause=True)
        elif self.allowed < self.limit and not self._pause:
            self._change(min(self.limit, self.allowed * 2), (self.allowed, rate), pause=False)
        else:
            self._lower, self._count, self._seconds = None, 0, 0.0

    def _change(self, allowed: int, lower: tuple[int, float] | None, *, pause: bool) -> None:
        self._epoch += 1
        self.allowed, self._lower = allowed, lower
        self._count, self._seconds = 0, 0.0
        if pause:
            self._pause = self._patience * allowed
            self._patience *= _MORE_PATIENCE


class ConcurrencyLimit:
    """Blocks callers while as many calls as the level allows are running. Use `call` as a context manager.

    Args:
        limit: highest number of calls at a time.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self._level = Level(limit)
        self._running = 0
        self._changed = threading.Condition()

    @property
    def allowed(self) -> int:
        """The number of calls that may run now."""
        return self._level.allowed

    def call(self) -> "_Slot":
        """Return a context manager that waits for a slot and holds it."""
        return _Slot(self)

    def begin(self) -> Call:
        with self._changed:
            self._changed.wait_for(lambda: self._running < self._level.allowed)
            self._running += 1
            return self._level.start(time.monotonic())

    def end(self, call: Call, error: BaseException | None) -> None:
        with self._changed:
            self._running -= 1
            if isinstance(error, TimedOut):
                self._level.timed_out(call)
            elif error is None:
                self._level.succeeded(call, time.monotonic())
            self._changed.notify_all()


class _Slot:
    def __init__(self, concurrency: ConcurrencyLimit) -> None:
        self._concurrency = concurrency

    def __enter__(self) -> None:
        self._call = self._concurrency.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._concurrency.end(self._call, error)


def each(
    items: Iterable[T], work: Callable[[T], None], concurrency: ConcurrencyLimit | None = None
) -> list[tuple[T, StepError]]:
    """Call `work` on every item concurrently, and return the failed items with their errors.

    Args:
        work: safe to repeat: an item whose request times out is tried again, with fewer calls at a time.
    """
    concurrency = concurrency or ConcurrencyLimit()
    failed: list[tuple[T, StepError]] = []

    def one(item: T) -> None:
        for attempt in range(1, TRIES + 1):
            try:
                with concurrency.call():
                    work(item)
                return
            except TimedOut as error:
                if attempt == TRIES:
                    failed.append((item, error))
            except StepError as error:
                failed.append((item, error))
                return

    with ThreadPoolExecutor(concurrency.limit) as pool:
        for future in [pool.submit(copy_context().run, one, item) for item in items]:
            future.result()
    return failed
