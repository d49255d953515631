"""Progress of long work: bytes of a transfer, changes of a plan.

The log of a Job gets the lines of an activity. On a terminal a progress bar is shown instead.
"""

import sys
import threading
from types import TracebackType
from typing import Any, Self

from kuscia_hooks.core.activity import Activity
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.redaction import redact
from kuscia_hooks.core.waiting import Clock

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


class _Progress:
    """An activity with a bar on a terminal. Use it as a context manager: its end removes the bar.

    Args:
        title: of the bar.
        total: at which the work is done; None if unknown.
    """

    def __init__(self, title: str, total: int | None, clock: Clock | None = None) -> None:
        self._total, self._moved = total, 0
        self._bar = _Bar(title, total)
        self._activity = Activity(self.line, (clock or Clock()).now)

    def __enter__(self) -> Self:
        if not self._bar.shown:
            self._activity.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar.shown:
            self._bar.close()
        else:
            self._activity.__exit__(kind, error, trace)

    def line(self) -> str:
        """Return the report of the activity."""
        raise NotImplementedError

    def _move(self, size: int) -> None:
        self._moved += size
        if self._bar.shown:
            self._bar.move(self._moved, self._total)
        else:
            self._activity.beat()


class TransferProgress(_Progress):
    """Reports how much of a file was transferred.

    Args:
        name: name of the file for the log.
        done: what happens to the file, such as `sent`.
        total: size in bytes; None if the other side does not say.
    """

    def __init__(self, name: str, done: str, total: int | None = None, clock: Clock | None = None) -> None:
        self._name, self._done = name, done
        super().__init__(f"{name} {done}", total, clock)

    def line(self) -> str:
        total = f" of {megabytes(self._total)}" if self._total else ""
        rate = megabytes(int(self._moved / max(self._activity.elapsed(), 0.001)))
        return f"{self._name}: {megabytes(self._moved)}{total} {self._done}, {rate}/s"

    def update(self, size: int) -> None:
        """Count `size` more bytes."""
        self._move(size)


class ChangeProgress(_Progress):
    """Reports each change if there are few, else how many are done."""

    def __init__(self, total: int, clock: Clock | None = None) -> None:
        self._lock = threading.Lock()
        super().__init__("changes", total, clock)

    def line(self) -> str:
        return f"{self._moved} of {self._total} changes made in {self._activity.elapsed():.0f} s"

    def done(self, what: str) -> None:
        """Count one more change."""
        with self._lock:
            if (self._total or 0) <= _FEW:
                logger.info("%s", what)
            self._move(1)


def megabytes(size: int) -> str:
    """Return a size such as `12.3 MB`."""
    return f"{size / 1e6:.1f} MB"
