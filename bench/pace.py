"""The pace of a real master: how long it takes to answer, and how many writes it completes per second.

Recorded answers give the time of a single request; Kuscia facts 16.3 give the rates of concurrent writes.
"""

import bisect
import heapq
import itertools
import json
import math
import statistics
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parents[1] / "testbed/kuscia-sim/recordings/api-transcript.jsonl"
PREFIX = "/api/v1/"

DOMAIN_CREATE, ROUTE_CREATE = "domain/create", "route/create"
BATCHES = {"domain/batchQuery": "domain_ids", "route/status/batchQuery": "route_keys"}
"""Path and field with the members of the queries that read their objects one after another."""
SECONDS_PER_MEMBER = 4.0 / 380
"""A master answered 380 statuses in 4 to 10 s (Kuscia facts 16.3); this is the lower end."""


@dataclass(frozen=True)
class Rates:
    """Completed writes per second by the number of writes in progress.

    Args:
        points: pairs of writes in progress and writes per second, ascending; between them the rate is interpolated
            over the logarithm of the number, outside of them it is that of the nearest pair.
    """

    points: tuple[tuple[int, float], ...]

    def total(self, running: int) -> float:
        """Return the writes per second of all `running` writes together."""
        index = bisect.bisect_left([point[0] for point in self.points], running)
        if index == 0:
            return self.points[0][1]
        if index == len(self.points):
            return self.points[-1][1]
        (low, slow), (high, fast) = self.points[index - 1], self.points[index]
        share = math.log(running / low) / math.log(high / low)
        return slow + share * (fast - slow)


DOMAIN_RATES = Rates(((1, 1 / 0.040), (8, 62.0)))
"""A domain takes 40 ms; 100 domains took 1.6 s with 8 at once (Kuscia facts 16.3)."""
ROUTE_RATES = Rates(((1, 19.0), (8, 37.0), (32, 56.0)))
"""Measured while 380 routes were created (Kuscia facts 16.3)."""
MANY_ROUTES = 380
MANY_ROUTE_RATES = Rates(((1, 19.0), (8, 56.0)))
"""Measured while 9 900 routes were created: 56 per second with 8 at once (Kuscia facts 16.3)."""
STALL_ABOVE = 24
STALL_SECONDS = 31.0
"""With 32 at once, requests went unanswered for over 30 s (Kuscia facts 16.3): above 24 they do here."""


class SharedServer:
    """A server whose total rate depends on how many requests are in progress, and is shared equally among them.

    Time is given by the caller, in seconds from any origin.
    """

    def __init__(self, rates: Rates) -> None:
        self.rates = rates
        self._now = 0.0
        self._progress = 0.0
        self._running: list[tuple[float, int]] = []
        self._numbers = itertools.count()

    @property
    def running(self) -> int:
        return len(self._running)

    def add(self, now: float) -> int:
        """Start a request and return its number."""
        self._advance(now)
        number = next(self._numbers)
        heapq.heappush(self._running, (self._progress + 1.0, number))
        return number

    def next_end(self) -> float | None:
        """Return when the next request ends if none is added before; None without requests."""
        if not self._running:
            return None
        remaining = self._running[0][0] - self._progress
        return self._now + remaining * self.running / self.rates.total(self.running)

    def finished(self, now: float) -> list[int]:
        """Return the numbers of the requests that ended until `now`, and remove them."""
        ended = []
        while (end := self.next_end()) is not None and end <= now:
            self._advance(end)
            ended.append(heapq.heappop(self._running)[1])
        self._advance(now)
        return ended

    def _advance(self, now: float) -> None:
        if self._running:
            self._progress += (now - self._now) * self.rates.total(self.running) / self.running
        self._now = now


def recorded_seconds(recordings: Path = RECORDINGS) -> dict[str, float]:
    """Return the median duration of the successful requests to each path, without prefix, in seconds."""
    found: dict[str, list[float]] = defaultdict(list)
    with recordings.open() as lines:
        for line in lines:
            entry = json.loads(line)
            answer = (entry.get("response") or {}).get("json") or {}
            if answer.get("status", {}).get("code") == 0:
                found[entry["request"]["path"].removeprefix(PREFIX)].append(entry["elapsed_ms"] / 1000)
    return {path: statistics.median(values) for path, values in found.items()}


def fixed_seconds(recorded: dict[str, float], path: str, body: dict[str, Any]) -> float:
    """Return how long a master takes for a request that does not share the rate of writes."""
    seconds = recorded.get(path, 0.0)
    members = BATCHES.get(path)
    return max(seconds, len(body.get(members) or []) * SECONDS_PER_MEMBER) if members else seconds
