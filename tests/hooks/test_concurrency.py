import heapq
import threading
import time

import pytest

from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.progress import ChangeProgress
from kuscia_hooks.core.waiting import Deadline, bounded_by, current
from kuscia_hooks.kuscia.api_errors import TimedOut
from kuscia_hooks.kuscia.concurrency import Call, ConcurrencyLimit, Level, each
from tests.hooks.fakes.clock import FakeTime


def test_each_works_on_every_item() -> None:
    seen: set[int] = set()
    assert each(range(100), seen.add) == []
    assert seen == set(range(100))


def test_failures_do_not_stop_the_rest() -> None:
    seen = set()

    def work(item: int) -> None:
        if item % 10 == 0:
            raise RetryableError("kusciaapi-busy", f"no {item}")
        seen.add(item)

    failed = each(range(50), work)
    assert sorted(item for item, _ in failed) == [0, 10, 20, 30, 40]
    assert len(seen) == 45


def test_propagates_unexpected_errors() -> None:
    def work(item: int) -> None:
        raise KeyError(item)

    with pytest.raises(KeyError):
        each(range(3), work)


def test_never_exceeds_limit() -> None:
    lock, running, most = threading.Lock(), 0, 0

    def work(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002)
        with lock:
            running -= 1

    each(range(60), work, ConcurrencyLimit(4))
    assert most == 4


def test_tries_an_item_again_that_timed_out() -> None:
    tries: dict[int, int] = dict.fromkeys(range(20), 0)

    def work(item: int) -> None:
        tries[item] += 1
        if item == 7 or (item == 3 and tries[item] == 1):
            raise TimedOut("kusciaapi-timeout", "late")

    failed = each(range(20), work)
    assert [item for item, _ in failed] == [7]
    assert (tries[3], tries[7], tries[0]) == (2, 3, 1)


def test_workers_have_the_current_deadline() -> None:
    seen = set()
    with bounded_by(Deadline(77)):
        each(range(10), lambda _: seen.add(current().seconds))
    assert seen == {77}


def test_timeouts_of_one_stall_halve_the_level_once() -> None:
    level = Level(32, 16)
    calls = [level.start(0.0) for _ in range(16)]
    for call in calls:
        level.timed_out(call)
    assert level.allowed == 8
    level.timed_out(level.start(1.0))
    assert level.allowed == 4


def test_answers_of_an_earlier_level_do_not_count() -> None:
    level = Level(32, 8)
    early = [level.start(0.0) for _ in range(100)]
    level.timed_out(early.pop())
    for call in early:
        level.succeeded(call, 0.001)
    assert level.allowed == 4


def test_level_never_falls_below_one() -> None:
    level = Level(32, 2)
    for _ in range(3):
        level.timed_out(level.start(0.0))
    assert level.allowed == 1


class Server:
    """A server in virtual time: the seconds of a request depend on how many run at the time."""

    def __init__(self, rates: dict[int, float], hangs_at: int = 1000) -> None:
        self._rates, self._hangs_at = sorted(rates.items()), hangs_at

    def seconds(self, running: int) -> float:
        """Return the seconds of a request: `running` divided by the rate, which is interpolated."""
        if running >= self._hangs_at:
            return 30.0
        below = max((pair for pair in self._rates if pair[0] <= running), default=self._rates[0])
        above = min((pair for pair in self._rates if pair[0] >= running), default=self._rates[-1])
        share = (running - below[0]) / (above[0] - below[0]) if above[0] > below[0] else 0.0
        return running / (below[1] + share * (above[1] - below[1]))

    def time(self, count: int, level: Level) -> float:
        """Return the seconds that `count` requests take at the level that the answers lead to."""
        now, left, running = 0.0, count, list[tuple[float, int, Call]]()
        number = 0
        while left or running:
            while left and len(running) < level.allowed:
                left, number = left - 1, number + 1
                took = self.seconds(len(running) + 1)
                heapq.heappush(running, (now + took, number, level.start(now)))
            now, _, call = heapq.heappop(running)
            if now - call.begin >= 30:
                level.timed_out(call)
                left += 1
            else:
                level.succeeded(call, now)
        return now

    def best(self, count: int) -> float:
        """Return the seconds at the best constant level."""
        return min(self.time(count, Level(fixed, fixed)) for fixed in (1, 2, 4, 8, 16, 24, 32))


MASTER = Server({1: 19.0, 8: 37.0, 32: 56.0})
"""A running master (recordings of `route/create`)."""


@pytest.mark.parametrize("count", [380, 1000, 9900])
def test_is_nearly_as_fast_as_the_best_constant_level(count: int) -> None:
    assert MASTER.time(count, Level()) < 1.15 * MASTER.best(count)


@pytest.mark.parametrize(
    "server",
    [
        Server({1: 19.0, 8: 37.0, 32: 37.0}),
        Server({1: 19.0, 8: 37.0, 16: 30.0, 32: 15.0}),
        Server({1: 100.0, 8: 800.0, 32: 3200.0}),
    ],
    ids=["saturated at 8", "slower beyond 8", "never saturated"],
)
def test_is_nearly_as_fast_on_other_servers(server: Server) -> None:
    assert server.time(9900, Level()) < 1.15 * server.best(9900)


def test_gets_along_with_a_server_that_leaves_requests_unanswered() -> None:
    """A constant level of 32 never ends there; those below are not punished for a try."""
    server = Server({1: 19.0, 8: 37.0, 32: 56.0}, hangs_at=30)
    level = Level()
    assert server.time(9900, level) < 1.6 * server.time(9900, Level(16, 16))
    assert level.allowed <= 16


def test_logs_few_changes_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    progress = ChangeProgress(2)
    progress.done("create DomainRoute a-b")
    assert capsys.readouterr().out == "create DomainRoute a-b\n"


def test_counts_many_changes(capsys: pytest.CaptureFixture[str], fake_time: FakeTime) -> None:
    progress = ChangeProgress(1000, fake_time.clock)
    for _ in range(300):
        fake_time.time += 0.1
        progress.done("x")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) in (2, 3)
    assert lines[0].endswith("of 1000 changes made in 10 s")
