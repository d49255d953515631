"""Progress of long work: bytes of a transfer, changes of a plan.

The log of a Job gets a plain line every ten seconds. On a terminal a progress bar is shown instead.
"""

import sys
import threading
import time
from types import TracebackType
from typing import Any

from kuscia_hooks.core.log import logger, redact
from kuscia_hooks.core.waiting import REPORT_SECONDS, Clock, Interval

# Up to this many changes are logged one by one.
_FEW = 20


class _Terminal:
    """The progress display of a terminal, with one bar for each transfer or plan."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._display: Any = None
        self._bars = 0

    def add(self, title: str, total: int | None) -> Any:
        from rich.markup import escape
        from rich.progress import Progress

        with self._lock:
            if self._display is None:
                self._display = Progress(transient=True)
                self._display.start()
            self._bars += 1
            return self._display.add_task(escape(redact(title)), total=total)

    def move(self, bar: Any, done: int, total: int | None) -> None:
        with self._lock:
            if self._display is not None:
                self._display.update(bar, completed=done, total=total)

    def remove(self, bar: Any) -> None:
        with self._lock:
            self._bars -= 1
            self._display.remove_task(bar)
            if self._bars == 0:
                self._display.stop()
                self._display = None


_terminal = _Terminal()


class _Bar:
    """A progress bar on a terminal. Elsewhere it does nothing, and `shown` is false."""

    def __init__(self, title: str, total: int | None) -> None:
        self.shown = sys.stdout.isatty()
        self._bar = _terminal.add(title, total) if self.shown else None

    def move(self, done: int, total: int | None) -> None:
        if self._bar is not None:
            _terminal.move(self._bar, done, total)

    def close(self) -> None:
        if self._bar is not None:
            _terminal.remove(self._bar)
            self._bar = None


class TransferProgress:
    """Reports how much of a file was transferred.

    Use it as a context manager: its end removes the bar of a terminal.

    Args:
        name: name of the file for the log.
        done: what happens to the file, such as `sent`.
        total: size in bytes; None if the other side does not say.
    """

    def __init__(self, name: str, done: str, total: int | None = None, clock: Clock | None = None) -> None:
        self._name, self._done, self._total = name, done, total
        self._interval = Interval((clock or Clock()).now, REPORT_SECONDS)
        self._moved = 0
        self._bar = _Bar(f"{name} {done}", total)

    def __enter__(self) -> "TransferProgress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def update(self, size: int) -> None:
        """Count `size` more bytes."""
        self._moved += size
        if self._bar.shown:
            self._bar.move(self._moved, self._total)
        elif self._interval.due():
            total = f" of {megabytes(self._total)}" if self._total else ""
            rate = megabytes(int(self._moved / self._interval.elapsed()))
            logger.info("%s: %s%s %s, %s/s", self._name, megabytes(self._moved), total, self._done, rate)


class ChangeProgress:
    """Reports each change if there are few, else how many are done."""

    def __init__(self, total: int) -> None:
        self._total, self._finished = total, 0
        self._interval = Interval(time.monotonic, REPORT_SECONDS)
        self._lock = threading.Lock()
        self._bar = _Bar("changes", total) if total > _FEW else None

    def done(self, what: str) -> None:
        with self._lock:
            self._finished += 1
            if self._bar is None:
                logger.info("%s", what)
            elif self._bar.shown:
                self._bar.move(self._finished, self._total)
                if self._finished == self._total:
                    self._bar.close()
            elif self._interval.due():
                elapsed = self._interval.elapsed()
                logger.info("%d of %d changes made in %.0f s", self._finished, self._total, elapsed)


def megabytes(size: int) -> str:
    """Return a size such as `12.3 MB`."""
    return f"{size / 1e6:.1f} MB"
