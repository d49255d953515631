"""Bytes on their way: how far a long transfer is, and what has to be done when the step is stopped in it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kuscia_hooks.core.log import logger
from kuscia_hooks.core.waiting import REPORT_SECONDS, Clock

_cleanups: list[Callable[[], object]] = []


class Progress:
    """Tells every ten seconds how much of a file has been moved.

    Args:
        name: the file's, as the log shall say it.
        done: what happens to it, such as `sent`.
        total: bytes; None where the other side does not say.
    """

    def __init__(self, name: str, done: str, total: int | None = None, clock: Clock | None = None) -> None:
        self._name, self._done, self._total = name, done, total
        self._clock = clock or Clock()
        self._moved = 0
        self._begun = self._reported = self._clock.now()

    def update(self, size: int) -> None:
        """`size` more bytes have been moved."""
        self._moved += size
        now = self._clock.now()
        if now - self._reported >= REPORT_SECONDS:
            self._reported = now
            total = f" of {megabytes(self._total)}" if self._total else ""
            rate = megabytes(int(self._moved / (now - self._begun)))
            logger.info("%s: %s%s %s, %s/s", self._name, megabytes(self._moved), total, self._done, rate)

    def set_meta(self, object_name: str, total_length: int) -> None:
        """What the S3 client says when it begins; the name is known by then."""
        self._total = total_length


def megabytes(size: int) -> str:
    """Such as `12.3 MB`."""
    return f"{size / 1e6:.1f} MB"


@contextmanager
def on_stop(cleanup: Callable[[], object]) -> Iterator[None]:
    """While the block runs, SIGTERM does `cleanup` before the process ends."""
    _cleanups.append(cleanup)
    try:
        yield
    finally:
        _cleanups.remove(cleanup)


def stop() -> None:
    """Do what running transfers ask for at a stop; a failure of one does not keep the process from ending."""
    for cleanup in reversed(_cleanups):
        try:
            cleanup()
        except Exception as error:
            logger.warning("not cleaned up: %s", error)
