"""The pace of a real master: rates, shared writes and recorded times."""

import pytest

from bench import pace
from bench.pace import Rates, SharedServer


@pytest.mark.parametrize(("running", "rate"), [(1, 19.0), (8, 37.0), (32, 56.0), (64, 56.0)])
def test_rate_is_that_of_the_measured_numbers(running: int, rate: float) -> None:
    assert pace.ROUTE_RATES.total(running) == pytest.approx(rate)


def test_rate_grows_between_the_measured_numbers() -> None:
    rates = [pace.ROUTE_RATES.total(running) for running in range(1, 33)]
    assert rates == sorted(rates)
    assert pace.ROUTE_RATES.total(16) == pytest.approx(46.5)


def run_all(server: SharedServer, number: int, concurrency: int) -> float:
    """Send requests with a constant number in progress, and return the seconds."""
    sent, now = 0, 0.0
    while sent < number or server.running:
        while sent < number and server.running < concurrency:
            server.add(now)
            sent += 1
        end = server.next_end()
        assert end is not None
        now = end
        assert server.finished(now)
    return now


@pytest.mark.parametrize(("concurrency", "seconds"), [(1, 380 / 19), (8, 380 / 37), (32, 380 / 56)])
def test_takes_as_long_as_a_real_master_for_380_routes(concurrency: int, seconds: float) -> None:
    assert run_all(SharedServer(pace.ROUTE_RATES), 380, concurrency) == pytest.approx(seconds, rel=0.1)


def test_shares_the_rate_among_requests() -> None:
    server = SharedServer(Rates(((1, 1.0),)))
    first = server.add(0.0)
    second = server.add(0.5)
    assert server.next_end() == pytest.approx(1.5)
    assert server.finished(1.5) == [first]
    assert server.next_end() == pytest.approx(2.0)
    assert server.finished(2.0) == [second]
    assert server.next_end() is None


def test_idle_time_does_not_count() -> None:
    server = SharedServer(Rates(((1, 1.0),)))
    server.add(0.0)
    assert server.finished(5.0) == [0]
    server.add(10.0)
    assert server.next_end() == pytest.approx(11.0)


def test_reads_take_the_median_of_the_recordings() -> None:
    recorded = pace.recorded_seconds()
    assert 0.005 < recorded["route/query"] < 0.02
    assert pace.fixed_seconds(recorded, "route/query", {}) == recorded["route/query"]
    assert pace.fixed_seconds(recorded, "unknown/path", {}) == 0.0


def test_batches_take_time_for_each_member() -> None:
    recorded = pace.recorded_seconds()
    keys = [{"source": "a", "destination": "b"}]
    single = pace.fixed_seconds(recorded, "route/status/batchQuery", {"route_keys": keys})
    assert single == recorded["route/status/batchQuery"]
    assert pace.fixed_seconds(recorded, "route/status/batchQuery", {"route_keys": keys * 380}) == pytest.approx(4.0)
