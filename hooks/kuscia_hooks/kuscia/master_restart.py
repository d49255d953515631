"""A restart of the master, as a lite sees it while it waits.

The gateway of a master counts as live until three minutes after its last heartbeat, even if its pod has ended. Until
then the master completes no handshake, and a lite that is started exits every minute (Kuscia facts 16.2). `prepare`
waits instead.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.waiting import Clock

LIVE_SECONDS = 180.0
"""Seconds after its last heartbeat that a gateway counts as live."""
# What a client sees while the pod of the master is replaced.
_DOWN = ("master-down", "master-unavailable")


@dataclass
class MasterRestart:
    """The last outage of the master.

    Args:
        clock: of the deadline of the step.
        since: time at which it started; None for no outage.
        new_domain: the master did not have the domain, so that it has no earlier handshake either.
    """

    clock: Clock
    since: float | None = None
    new_domain: bool = False
    _down: bool = False

    @contextmanager
    def observed(self) -> Iterator[None]:
        """Observe one request to the master."""
        try:
            yield
        except RetryableError as error:
            if error.id in _DOWN:
                if not self._down:
                    self.since, self._down = self.clock.now(), True
            elif error.id == "unknown-domain":
                self.new_domain = True
            raise
        self._down = False

    @property
    def possible(self) -> bool:
        """Whether the former gateway of the master may still count as live."""
        return self.since is not None and not self.new_domain and self._left() > 0

    def check(self) -> None:
        """Raise RetryableError (`master-restarted`) while the former gateway of the master may count as live."""
        if self.possible:
            raise RetryableError(
                "master-restarted",
                "the master was down, and may have been restarted; it completes no handshake until its former gateway "
                "counts as stopped, three minutes after its last heartbeat",
            )

    def _left(self) -> float:
        return -math.inf if self.since is None else self.since + LIVE_SECONDS - self.clock.now()
