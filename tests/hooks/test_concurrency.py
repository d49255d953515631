import threading
import time

import pytest

from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.progress import ChangeProgress
from kuscia_hooks.kuscia.api_errors import TimedOut
from kuscia_hooks.kuscia.concurrency import ConcurrencyLimit, each


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


def test_timeout_halves_limit_and_successes_restore_it() -> None:
    concurrency = ConcurrencyLimit(8)
    for expected in (4, 2, 1, 1):
        with pytest.raises(TimedOut), concurrency:
            raise TimedOut("kusciaapi-timeout", "late")
        assert concurrency.allowed == expected
    for _ in range(50):
        with concurrency:
            pass
    assert concurrency.allowed == 2
    for _ in range(1000):
        with concurrency:
            pass
    assert concurrency.allowed == 8


def test_other_errors_keep_limit() -> None:
    concurrency = ConcurrencyLimit(8)
    with pytest.raises(RetryableError), concurrency:
        raise RetryableError("kusciaapi-busy", "x")
    assert concurrency.allowed == 8


def test_logs_few_changes_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    progress = ChangeProgress(2)
    progress.done("create DomainRoute a-b")
    assert capsys.readouterr().out == "create DomainRoute a-b\n"


def test_counts_many_changes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = ChangeProgress(1000)
    for _ in range(300):
        now += 0.1
        progress.done("x")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) in (2, 3)
    assert lines[0].endswith("of 1000 changes made in 10 s")
