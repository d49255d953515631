"""What a step is busy with. While one is, it logs a line at least every ten seconds.

There is one kind of report: an `Activity` that describes itself in one line. The code that moves it forward calls
`beat`; a thread does so when that code is blocked, for example in a request that gets no answer.
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from kuscia_hooks.core import log
from kuscia_hooks.core.log import logger

REPORT_SECONDS = 10.0
_TICK_SECONDS = 0.25

_current: list["Activity"] = []
# A cleanup on SIGTERM may interrupt the thread that holds it, and opens an activity too.
_lock = threading.RLock()
_started = False


class Activity:
    """Work or waiting that is reported every ten seconds, and immediately when its reason changes.

    Use it as a context manager: of the activities that are open, the latest one is reported while the log is silent.

    Args:
        describe: returns the line to log.
        now: current time in seconds.
        at_once: whether the first `beat` reports.
        say: logs a line; by default at level INFO.
    """

    def __init__(
        self,
        describe: Callable[[], str],
        now: Callable[[], float] = time.monotonic,
        *,
        at_once: bool = False,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._describe, self._now = describe, now
        self._say = say or (lambda line: logger.info("%s", line))
        self._start, self._began = now(), time.monotonic()
        self._last = float("-inf") if at_once else self._start
        self._beating = threading.RLock()

    def __enter__(self) -> Self:
        with _lock:
            _current.append(self)
        _start_ticker()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _lock:
            _current.remove(self)

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return self._now() - self._start

    def beat(self, changed: bool = False) -> None:
        """Report if the last report is ten seconds ago, or if something `changed`."""
        if changed or self._now() - self._last >= REPORT_SECONDS:
            self.report()

    def report(self) -> None:
        """Report now."""
        with self._beating:
            self._last = self._now()
            self._say(self._describe())


def tick(silent: float) -> None:
    """Report the current activity if the log was silent for so long that the next tick would be too late.

    Args:
        silent: seconds since the last line of the log, at most since the first activity started.
    """
    if silent < REPORT_SECONDS - 2 * _TICK_SECONDS:
        return
    with _lock:
        activity = _current[-1] if _current else None
    if activity is not None:
        activity.report()


def _silence() -> float:
    with _lock:
        start = _current[0]._began if _current else time.monotonic()
    return min(log.silence(), time.monotonic() - start)


def _start_ticker() -> None:
    global _started
    with _lock:
        if _started:
            return
        _started = True
    threading.Thread(target=_tick_forever, name="activity", daemon=True).start()


def _tick_forever() -> Any:
    while True:
        time.sleep(_TICK_SECONDS)
        tick(_silence())
