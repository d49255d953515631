"""Reads the parts of a release side by side, until one deadline."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Generic, TypeVar

from kuscia_hooks.core.errors import StepError
from kuscia_hooks.core.waiting import Deadline, bounded_by

T = TypeVar("T")
SECONDS = 60.0
"""How long the commands read, in seconds; what was not answered by then is reported as unread."""
PARALLEL = 16
"""Parts that are read at the same time; the others wait in the order of their starts."""


class Unread(Exception):
    """A part that another part needs could not be read."""


class Part(Generic[T]):
    """A part of a release that is being read, such as its pods. `Parts.start` makes it.

    Args:
        name: for a person, in the message that says what could not be read.
        deadline: of all parts.
        ask: reads the part; see `Parts.start`.
    """

    def __init__(self, name: str, deadline: Deadline, ask: Callable[[], T]) -> None:
        self._name, self._deadline, self._ask = name, deadline, ask
        self._future: Future[T] = Future()

    def read(self) -> None:
        """Read the part, and keep the result or the error. The deadline of the parts ends its requests."""
        try:
            with bounded_by(self._deadline):
                self._future.set_result(self._ask())
        except Unread:
            # The part that this one needs is reported.
            self._future.set_exception(Unread())
        except BaseException as error:
            self._future.set_exception(error)

    def get(self) -> T:
        """Wait for the part and return it.

        Raises:
            Unread: it could not be read before the deadline.
            Exception: a programming error in `ask`; it is not hidden.
        """
        try:
            return self._future.result(max(self._deadline.left(), 0))
        except (StepError, TimeoutError) as error:
            raise Unread from error

    def get_or(self, default: T) -> T:
        """Return the part, or `default` if it could not be read."""
        try:
            return self.get()
        except Unread:
            return default

    def problem(self) -> str:
        """Return why the part could not be read; "" if it was, or if it needs a part that could not be read."""
        try:
            self.get()
        except Unread as unread:
            if isinstance(unread.__cause__, StepError):
                return f"{self._name}: {unread.__cause__}"
            if unread.__cause__ is not None:
                return f"{self._name}: no answer within {self._deadline.seconds:.0f} s"
        return ""


class Parts:
    """Reads parts in threads, and keeps their order to report what could not be read.

    The deadline ends the requests of all parts, also those in thread pools, for which Python waits at its exit. The
    threads are daemons: a call without a limit, such as the lookup of a host, does not keep the command from ending.

    Args:
        deadline: of all parts; by default in `SECONDS`.
    """

    def __init__(self, deadline: Deadline | None = None) -> None:
        self._deadline = deadline or Deadline(SECONDS)
        self._started: list[Part[object]] = []
        # First in, first out: a part that needs an earlier one never takes its place.
        self._waiting: SimpleQueue[Part[object]] = SimpleQueue()

    def start(self, name: str, ask: Callable[[], T]) -> Part[T]:
        """Call `ask` in a thread.

        Args:
            name: for a person, such as `events of lite-alice`.
            ask: reads the part; raises StepError if that fails. It may get parts that were started earlier, and then
                ends with their Unread.

        Returns:
            The part at once; its `get` waits for the result.
        """
        part = Part(name, self._deadline, ask)
        if len(self._started) < PARALLEL:
            threading.Thread(target=self._work, daemon=True).start()
        self._started.append(part)  # type: ignore[arg-type]
        self._waiting.put(part)  # type: ignore[arg-type]
        return part

    def _work(self) -> None:
        while True:
            self._waiting.get().read()

    def unread(self) -> list[str]:
        """Wait for all parts, and return what could not be read, with the reasons, in the order of the starts.

        A part that only failed because it needs another one is left out.
        """
        return [problem for problem in (part.problem() for part in self._started) if problem]
