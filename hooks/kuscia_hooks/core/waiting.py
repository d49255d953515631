"""Deadlines, retries, and a report every ten seconds of what a step is waiting for."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, retry_if_exception_type

from kuscia_hooks.core import log, termination
from kuscia_hooks.core.errors import ConfigError, DeadlineExceeded, PermanentError, RetryableError, StepError
from kuscia_hooks.core.log import logger

T = TypeVar("T")

STEP_SECONDS = 1.0
REPORT_SECONDS = 10.0
MANUAL_SECONDS = 30.0
"""Pause before a Job retries after a permanent error."""


@dataclass(frozen=True)
class Clock:
    """Current time and sleep; tests replace both."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Deadline:
    """A point in time at which waiting ends.

    Args:
        seconds: from now; 0 means no deadline.
    """

    def __init__(self, seconds: float, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.seconds = seconds
        self._start = self.clock.now()

    @property
    def passed(self) -> bool:
        return self.left() <= 0

    def left(self) -> float:
        """Return the seconds left; infinite without a deadline."""
        return float("inf") if self.seconds == 0 else self.seconds - self.elapsed()

    def elapsed(self) -> float:
        return self.clock.now() - self._start

    def within(self, seconds: float) -> "Deadline":
        """Return a deadline in `seconds`, but not later than this one."""
        return Deadline(max(min(self.left(), seconds), 0.001), self.clock)

    def nap(self, seconds: float = STEP_SECONDS) -> float:
        """Return the length of a pause, with jitter so that parties do not retry in step, and before the deadline."""
        return max(0.0, min(seconds * random.uniform(0.8, 1.2), self.left()))  # noqa: S311

    def pause(self, seconds: float = STEP_SECONDS) -> None:
        """Sleep for `seconds`, with jitter, but not beyond the deadline."""
        self.clock.sleep(self.nap(seconds))


class Interval:
    """Limits reports to one every `seconds` seconds.

    Args:
        at_once: whether the first report is due immediately.
    """

    def __init__(self, now: Callable[[], float], seconds: float = REPORT_SECONDS, at_once: bool = False) -> None:
        self._now, self._seconds = now, seconds
        self.start = now()
        self._last = float("-inf") if at_once else self.start

    def elapsed(self) -> float:
        return self._now() - self.start

    def due(self, changed: bool = False) -> bool:
        """Return whether to report now, which then counts as done; a change is always reported."""
        now = self._now()
        if not changed and now - self._last < self._seconds:
            return False
        self._last = now
        return True


class Reporter:
    """Logs what a step is waiting for: immediately if the reason changed, else every ten seconds."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._interval = Interval(deadline.clock.now, at_once=True)
        self._last = ""

    def report(self, what: str, error: StepError) -> None:
        if not self._interval.due(changed=error.message != self._last):
            return
        self._last = error.message
        limit = f" of {self._deadline.seconds:.0f}" if self._deadline.seconds else ""
        waiting = f"waiting for {what} ({self._deadline.elapsed():.0f}{limit} s)"
        logger.info("%s: [%s] %s", waiting, error.id, error.message, extra=log.fields(error))


def until(what: str, probe: Callable[[], T], deadline: Deadline) -> T:
    """Call `probe` until it does not raise RetryableError, and return its result.

    Args:
        what: what the step is waiting for, for the log.

    Raises:
        DeadlineExceeded: the deadline passed first; `probe` was called at least once.
    """
    reporter = Reporter(deadline)
    retrying = Retrying(
        retry=retry_if_exception_type(RetryableError),
        stop=lambda _: deadline.passed,
        wait=lambda _: deadline.nap(),
        sleep=deadline.clock.sleep,
        before_sleep=lambda state: reporter.report(what, _error(state)),
        reraise=True,
    )
    try:
        return retrying(probe)
    except RetryableError as error:
        raise DeadlineExceeded(what, deadline.elapsed(), error) from error


class Result(Protocol):
    """What an attempt of a step returns: its last line and the exit code of the process."""

    @property
    def line(self) -> str: ...

    @property
    def exit_code(self) -> int: ...


def run(step: str, mode: str, deadline: Deadline, attempt: Callable[[], Result]) -> int:
    """Attempt a step until it succeeds, and return the exit code.

    The exit codes are 0 for success, 1 for a timeout (or for what the attempt found), and 2 if manual action is
    required.

    Args:
        mode: `hook` fails on the first permanent error. `job` reports it and retries slowly, because a Job that
            failed for good would fail every later upgrade (docs/adr/0002).
        attempt: does everything that is left to do; safe to repeat.
    """
    reporter = Reporter(deadline)

    def retryable(error: BaseException) -> bool:
        if isinstance(error, ConfigError):
            return False
        return isinstance(error, RetryableError | DeadlineExceeded) or (
            isinstance(error, PermanentError) and mode == "job"
        )

    def report(state: RetryCallState) -> None:
        error = _error(state)
        if isinstance(error, PermanentError):
            log_error(step, error)
            logger.info("retrying in %.0f s", MANUAL_SECONDS)
        else:
            reporter.report(step, error)

    retrying = Retrying(
        retry=retry_if_exception(retryable),
        stop=lambda _: deadline.passed,
        wait=lambda state: deadline.nap(MANUAL_SECONDS if isinstance(_error(state), PermanentError) else STEP_SECONDS),
        sleep=deadline.clock.sleep,
        before_sleep=report,
        reraise=True,
    )
    try:
        result = retrying(attempt)
    except StepError as error:
        timed_out = retryable(error)
        last = error
        if timed_out and not isinstance(error, DeadlineExceeded):
            last = DeadlineExceeded(step, deadline.elapsed(), error)
        log_error(step, last)
        termination.write_error(last)
        return 1 if timed_out else 2
    logger.info("%s", result.line)
    return result.exit_code


def log_error(step: str, error: StepError) -> None:
    """Log an error as `ERROR [id] <step>: message`, with its fix."""
    logger.error("%s: %s", step, error.message, extra=log.fields(error))


def _error(state: RetryCallState) -> Any:
    return state.outcome.exception() if state.outcome else None
