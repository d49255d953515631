"""Deadlines, patience, and the line every ten seconds that says what is waited for."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from kuscia_hooks.core.errors import ConfigError, DeadlineExceeded, PermanentError, RetryableError, StepError
from kuscia_hooks.core.log import logger

T = TypeVar("T")

STEP_SECONDS = 1.0
REPORT_SECONDS = 10.0
HUMAN_SECONDS = 30.0


@dataclass(frozen=True)
class Clock:
    """Time as the steps see it; tests bring their own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Deadline:
    """A point in time that a wait ends at.

    Args:
        seconds: from now; 0 means that there is none.
    """

    def __init__(self, seconds: float, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.seconds = seconds
        self._start = self.clock.now()

    @property
    def passed(self) -> bool:
        return self.left() <= 0

    def left(self) -> float:
        """Seconds left; infinite when there is no deadline."""
        return float("inf") if self.seconds == 0 else self.seconds - self.elapsed()

    def elapsed(self) -> float:
        return self.clock.now() - self._start

    def within(self, seconds: float) -> "Deadline":
        """A deadline that is not later than this one."""
        return Deadline(max(min(self.left(), seconds), 0.001), self.clock)

    def pause(self, seconds: float = STEP_SECONDS) -> None:
        """Sleep a step with jitter, so that many parties do not ask at the same moment."""
        self.clock.sleep(max(0.0, min(seconds * random.uniform(0.8, 1.2), self.left())))  # noqa: S311


class Reporter:
    """Says what is waited for: at once when that changes, then every ten seconds."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._reported = float("-inf")
        self._last = ""

    def report(self, what: str, error: StepError) -> None:
        now = self._deadline.elapsed()
        if error.message == self._last and now - self._reported < REPORT_SECONDS:
            return
        limit = f" of {self._deadline.seconds:.0f}" if self._deadline.seconds else ""
        logger.info("waiting for %s (%.0f%s s): %s", what, now, limit, error)
        self._last, self._reported = error.message, now


def until(what: str, probe: Callable[[], T], deadline: Deadline) -> T:
    """Call `probe` until it stops raising RetryableError, and return its result.

    Raises:
        DeadlineExceeded: when the deadline passes first; `probe` was called at least once.
    """
    reporter = Reporter(deadline)
    while True:
        try:
            return probe()
        except RetryableError as error:
            if deadline.passed:
                raise DeadlineExceeded(what, deadline.elapsed(), error) from error
            reporter.report(what, error)
        deadline.pause()


def run(step: str, mode: str, deadline: Deadline, attempt: Callable[[], str]) -> int:
    """Attempt a step until it is done, and return the exit code: 0 done, 1 not in time, 2 needs a human.

    Args:
        mode: `hook` ends at the first error that time does not mend; `job` reports it and tries again slowly,
            since a Job that fails for good would fail every later upgrade (docs/adr/0002).
        attempt: does all that is left to do, and returns the summary line; safe to repeat.
    """
    reporter = Reporter(deadline)
    while True:
        try:
            summary = attempt()
        except ConfigError as error:
            logger.error("%s: %s", step, error)
            return 2
        except PermanentError as error:
            logger.error("%s needs a human: %s", step, error)
            if mode == "hook":
                return 2
            logger.info("trying again in %.0f s", HUMAN_SECONDS)
            pause = HUMAN_SECONDS
        except (RetryableError, DeadlineExceeded) as error:
            reporter.report(step, error)
            pause = STEP_SECONDS
        else:
            logger.info("%s", summary)
            return 0
        if deadline.passed:
            logger.error("%s: not done within %.0f s", step, deadline.seconds)
            return 1
        deadline.pause(pause)
