"""A clock that does not wait."""

from kuscia_hooks.core.waiting import Clock, Deadline


class FakeTime:
    """A clock whose sleep takes no time; `naps` are the seconds it was asked for."""

    def __init__(self) -> None:
        self.time = 0.0
        self.naps: list[float] = []
        self.clock = Clock(now=lambda: self.time, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.time += seconds

    def deadline(self, seconds: float) -> Deadline:
        return Deadline(seconds, self.clock)
