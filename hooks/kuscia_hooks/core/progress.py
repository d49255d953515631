"""Progress of long work in the log: bytes of a transfer, changes of a plan."""

import threading
import time

from kuscia_hooks.core.log import logger
from kuscia_hooks.core.waiting import REPORT_SECONDS, Clock

# Up to this many changes are logged one by one.
_FEW = 20


class TransferProgress:
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


class ChangeProgress:
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


def megabytes(size: int) -> str:
    """Such as `12.3 MB`."""
    return f"{size / 1e6:.1f} MB"
