"""A clock that does not wait."""

from contextvars import ContextVar

from kuscia_hooks.core.waiting import Clock, Deadline


class FakeTime:
    """A clock whose sleep takes no time; `naps` are the seconds it was asked for.

    Work that runs in a context of its own, such as a check, has a time of its own: its sleep does not use up the
    time of the work beside it.
    """

    def __init__(self) -> None:
        self._time = ContextVar("time", default=0.0)
        self.naps: list[float] = []
        self.latest = 0.0
        """The latest time of any work."""
        self.clock = Clock(now=lambda: self.time, sleep=self._sleep)

    @property
    def time(self) -> float:
        """Seconds."""
        return self._time.get()

    @time.setter
    def time(self, seconds: float) -> None:
        self._time.set(seconds)

    def _sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.time += seconds
        self.latest = max(self.latest, self.time)

    def deadline(self, seconds: float) -> Deadline:
        return Deadline(seconds, self.clock)
