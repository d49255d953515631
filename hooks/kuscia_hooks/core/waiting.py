"""Deadlines, and retries until something is there."""

import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from kuscia_hooks.core import log, termination
from kuscia_hooks.core.activity import Activity
from kuscia_hooks.core.errors import ConfigError, DeadlineExceeded, PermanentError, RetryableError, StepError
from kuscia_hooks.core.log import logger

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")

STEP_SECONDS = 1.0
TOO_LATE = 0.1
"""Seconds: an attempt that begins with so little time left ends with a timeout of its request."""
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
        return math.inf if self.seconds == 0 else self.seconds - self.elapsed()

    def elapsed(self) -> float:
        return self.clock.now() - self._start

    def bound(self, seconds: float) -> float:
        """Return the limit of a request: `seconds`, but not beyond the deadline, and at least a millisecond."""
        return max(0.001, min(seconds, self.left()))

    def within(self, seconds: float) -> "Deadline":
        """Return a deadline in `seconds`, but not later than this one."""
        shorter = self.bound(seconds)
        return Deadline(0 if math.isinf(shorter) else shorter, self.clock)

    def nap(self, seconds: float = STEP_SECONDS) -> float:
        """Return the length of a pause, with jitter so that parties do not retry in step, and before the deadline."""
        return max(0.0, min(seconds * random.uniform(0.8, 1.2), self.left()))  # noqa: S311

    def nap_after(self, error: BaseException | None) -> float:
        """Return the length of the pause after an error: at least its `retry_after`, but not beyond the deadline."""
        return max(self.nap(), min(getattr(error, "retry_after", 0.0), self.left()))

    def pause(self, seconds: float = STEP_SECONDS) -> None:
        """Sleep for `seconds`, with jitter, but not beyond the deadline."""
        self.clock.sleep(self.nap(seconds))


_deadline: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def current() -> Deadline:
    """Return the deadline of the wait or step that is running; an unlimited one outside of both.

    Clients bound their requests with it. A thread has it if it runs in a copy of the context (`kuscia.concurrency`).
    """
    return _deadline.get() or Deadline(0)


@contextmanager
def bounded_by(deadline: Deadline) -> Iterator[None]:
    """Make a deadline the current one within the block. A cleanup after a deadline gets more time this way."""
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


class Waiting(Activity):
    """Waiting for something until a deadline: reported when the reason changes, and every ten seconds.

    Args:
        what: what the step is waiting for.
    """

    def __init__(self, what: str, deadline: Deadline) -> None:
        super().__init__(self._line, deadline.clock.now, at_once=True, say=self._log)
        self._what, self._deadline = what, deadline
        self.reason: StepError | None = None

    def because(self, error: StepError) -> None:
        """Set the reason, and report it if it is new or the last report is ten seconds ago."""
        changed = self.reason is None or self.reason.message != error.message
        self.reason = error
        self.beat(changed)

    def _line(self) -> str:
        waiting = f"waiting for {self._what} ({self._time()})"
        return f"{waiting}: [{self.reason.id}] {self.reason.message}" if self.reason else waiting

    def _time(self) -> str:
        elapsed, limit = self._deadline.elapsed(), self._deadline.seconds
        if not limit:
            return f"{elapsed:.0f} s"
        if elapsed <= limit:
            return f"{elapsed:.0f} of {limit:.0f} s"
        # A request that cannot be interrupted, such as the lookup of a name, lasts longer.
        return f"{elapsed:.0f} s, the deadline of {limit:.0f} s has passed"

    def _log(self, line: str) -> None:
        logger.info("%s", line, extra=log.fields(self.reason) if self.reason else None)


def until(what: str, probe: Callable[[], T], deadline: Deadline) -> T:
    """Call `probe` until it does not raise RetryableError, and return its result.

    Args:
        what: what the step is waiting for, for the log.

    Raises:
        DeadlineExceeded: the deadline passed first; `probe` was called at least once.
    """
    from tenacity import Retrying, retry_if_exception_type

    waiting = Waiting(what, deadline)

    def attempt() -> T:
        left = deadline.left()
        try:
            return probe()
        except RetryableError:
            if left < TOO_LATE and waiting.reason is not None:
                # Cut off by the deadline: the error before says more.
                raise waiting.reason from None
            raise

    retrying = Retrying(
        retry=retry_if_exception_type(RetryableError),
        stop=lambda _: deadline.passed,
        wait=lambda state: deadline.nap_after(_error(state)),
        sleep=deadline.clock.sleep,
        before_sleep=lambda state: waiting.because(_error(state)),
        reraise=True,
    )
    try:
        with bounded_by(deadline), waiting:
            return retrying(attempt)
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
    from tenacity import Retrying, retry_if_exception

    waiting = Waiting(step, deadline)

    def retryable(error: BaseException) -> bool:
        if isinstance(error, ConfigError):
            return False
        return isinstance(error, RetryableError | DeadlineExceeded) or (
            isinstance(error, PermanentError) and mode == "job"
        )

    def report(state: "RetryCallState") -> None:
        error = _error(state)
        if isinstance(error, PermanentError):
            log_error(step, error)
            logger.info("retrying in %.0f s", MANUAL_SECONDS)
            waiting.reason = error  # the reports during the pause repeat it
        else:
            waiting.because(error)

    retrying = Retrying(
        retry=retry_if_exception(retryable),
        stop=lambda _: deadline.passed,
        wait=lambda state: deadline.nap(MANUAL_SECONDS if isinstance(_error(state), PermanentError) else STEP_SECONDS),
        sleep=deadline.clock.sleep,
        before_sleep=report,
        reraise=True,
    )
    try:
        with bounded_by(deadline), waiting:
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


def _error(state: "RetryCallState") -> Any:
    return state.outcome.exception() if state.outcome else None
