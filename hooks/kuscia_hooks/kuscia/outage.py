"""Holding back requests to a server that is gone, while one caller waits for it."""

import threading
from collections.abc import Callable
from typing import Literal

from kuscia_hooks.core.errors import StepError


class Outage:
    """Lets one of several callers wait for a server, and makes the others wait for the outcome.

    Without it, every worker would probe a server that is gone, and fail each of its items on the way. A wait that
    failed is final: all later calls raise its error. Only a caller that could have waited longer waits again.

    Args:
        wait: returns once the server answers, or raises StepError.
        may_wait: returns whether the caller can still wait after a wait that failed with a retryable error.
    """

    def __init__(self, wait: Callable[[], object], may_wait: Callable[[], bool] = lambda: False) -> None:
        self._wait, self._may_wait = wait, may_wait
        self._changed = threading.Condition()
        self._state: Literal["up", "down", "lost"] = "up"
        self._error: StepError | None = None

    def hold(self) -> None:
        """Return once no caller is waiting for the server. Raises StepError if the wait failed."""
        if self._state != "up":
            with self._changed:
                self._outcome()

    def ask(self) -> None:
        """Return once the server answers; the first of several callers waits for it.

        Raises:
            StepError: the error with which the wait ended.
        """
        with self._changed:
            if self._state == "down" or self._is_final():
                self._outcome()
                return
            self._state = "down"
        failed: StepError | None = None
        try:
            self._wait()
        except StepError as error:
            failed = error
            raise
        finally:
            with self._changed:
                self._state, self._error = ("lost" if failed else "up"), failed
                self._changed.notify_all()

    def _outcome(self) -> None:
        self._changed.wait_for(lambda: self._state != "down")
        if self._error is not None and self._is_final():
            raise self._error

    def _is_final(self) -> bool:
        return self._error is not None and not (self._error.retryable and self._may_wait())
