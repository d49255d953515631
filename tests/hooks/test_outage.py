"""A node that does not answer any more: one caller waits for it, within the deadline, and the log is never silent."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from kuscia_hooks.core import activity, log
from kuscia_hooks.core.activity import Activity, tick
from kuscia_hooks.core.errors import PermanentError, RetryableError, merged
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.waiting import Deadline, bounded_by, run, until
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.concurrency import each
from kuscia_hooks.kuscia.domain_key import load_key
from kuscia_hooks.kuscia.outage import Outage
from kuscia_hooks.steps import Outcome
from tests.hooks.failing import fails
from tests.hooks.fakes.kuscia import Kuscia, serve


@pytest.fixture
def silent_endpoint() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=200)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_deadline_bounds_a_request_that_hangs(silent_endpoint: str, key_pem: bytes) -> None:
    with KusciaAPI(silent_endpoint, "NOTLS", "a", load_key(key_pem)) as client:

        def attempt() -> Outcome:
            client.call("domain/create", {"domain_id": "alice"})
            raise AssertionError("unreachable")

        begin = time.monotonic()
        assert run("register", "hook", Deadline(1), attempt) == 1
    assert time.monotonic() - begin < 2.5


def test_workers_end_at_the_deadline_without_an_attempt_for_each_item(
    key_pem: bytes, kuscia: Kuscia, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(kuscia) as endpoint, KusciaAPI(endpoint, "NOTLS", "a", load_key(key_pem)) as client:
        done, answered = [], threading.Event()

        def work(number: int) -> None:
            client.call("domain/create", {"domain_id": f"d{number}"})
            done.append(number)
            if len(done) >= 10 and not answered.is_set():
                answered.set()
                kuscia.gone = True

        begin = time.monotonic()
        with bounded_by(Deadline(2)):
            failed = each(range(90), work)
    assert time.monotonic() - begin < 4
    assert len(failed) == 90 - len(done)
    assert merged([error for _, error in failed]).retryable
    # The requests in flight, the probes of one caller, and nothing for the other items.
    assert kuscia.refused <= 32 + 8
    assert "waiting for KusciaAPI of a (" in capsys.readouterr().out


def test_workers_go_on_when_the_node_is_back(key_pem: bytes, kuscia: Kuscia) -> None:
    with serve(kuscia) as endpoint, KusciaAPI(endpoint, "NOTLS", "a", load_key(key_pem)) as client:
        kuscia.gone = True
        threading.Timer(0.5, lambda: setattr(kuscia, "gone", False)).start()
        with bounded_by(Deadline(20)):
            assert each(range(90), lambda number: client.call("domain/create", {"domain_id": f"d{number}"})) == []
    assert len(kuscia.domains) == 90


def test_patience_ends_before_the_deadline(key_pem: bytes) -> None:
    with (
        KusciaAPI("http://127.0.0.1:9", "NOTLS", "a", load_key(key_pem), patience=0.1) as client,
        bounded_by(Deadline(60)),
    ):
        begin = time.monotonic()
        with fails("kusciaapi-unreachable"):
            client.call("domain/query", {})
        assert time.monotonic() - begin < 5


def test_one_caller_waits_and_all_get_the_error() -> None:
    waits, errors = [], []

    def wait() -> None:
        waits.append(1)
        time.sleep(0.1)
        raise PermanentError("kusciaapi-token-rejected", "401")

    outage = Outage(wait)

    def ask() -> None:
        with fails("kusciaapi-token-rejected") as error:
            outage.ask()
        errors.append(error.value)

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    with fails("kusciaapi-token-rejected"):
        outage.hold()
    assert (len(waits), len(errors)) == (1, 10)


def test_hold_waits_while_another_caller_asks() -> None:
    asking, release = threading.Event(), threading.Event()

    def wait() -> None:
        asking.set()
        release.wait(5)

    outage = Outage(wait)
    asker = threading.Thread(target=outage.ask)
    asker.start()
    asking.wait(5)
    held = threading.Thread(target=outage.hold)
    held.start()
    held.join(0.1)
    assert held.is_alive()
    release.set()
    held.join(5)
    asker.join(5)
    assert not held.is_alive()


def test_a_probe_that_blocks_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(activity, "REPORT_SECONDS", 0.6)
    monkeypatch.setattr(activity, "_TICK_SECONDS", 0.05)
    until("the master", lambda: time.sleep(1.5), Deadline(0))
    assert len(capsys.readouterr().out.splitlines()) >= 2


def test_only_the_latest_activity_is_reported_and_only_after_silence(capsys: pytest.CaptureFixture[str]) -> None:
    with Activity(lambda: "outer"), Activity(lambda: "inner"):
        tick(silent=3)
        assert capsys.readouterr().out == ""
        tick(silent=9.9)
    assert capsys.readouterr().out == "inner\n"
    tick(silent=100)
    assert capsys.readouterr().out == ""


def test_a_line_of_the_log_ends_the_silence() -> None:
    log.setup(as_json=False)
    logger.info("x")
    assert log.silence() < 5


def test_the_error_of_all_requests_is_listed_once() -> None:
    error = RetryableError("kusciaapi-unreachable", "gone")
    assert merged([error] * 330) is error


def test_caller_with_a_longer_deadline_waits_after_a_shorter_wait_has_failed(key_pem: bytes, kuscia: Kuscia) -> None:
    """The checks of `check` share a client, and are repeated for different times."""
    with serve(kuscia) as endpoint, KusciaAPI(endpoint, "NOTLS", "a", load_key(key_pem)) as client:
        kuscia.gone = True
        with bounded_by(Deadline(0.3)), fails("kusciaapi-unreachable"):
            client.call("domain/create", {"domain_id": "alice"})
        threading.Timer(0.5, lambda: setattr(kuscia, "gone", False)).start()
        with bounded_by(Deadline(30)):
            client.call("domain/create", {"domain_id": "alice"})
    assert list(kuscia.domains) == ["alice"]


def test_cleanup_after_the_deadline_asks_again(key_pem: bytes, kuscia: Kuscia) -> None:
    with (
        serve(kuscia) as endpoint,
        KusciaAPI(endpoint, "NOTLS", "a", load_key(key_pem)) as client,
        bounded_by(Deadline(0.3)),
    ):
        kuscia.gone = True
        with fails("kusciaapi-unreachable"):
            client.call("domain/create", {"domain_id": "alice"})
        kuscia.gone = False
        with fails("kusciaapi-unreachable"):
            client.call("domain/create", {"domain_id": "alice"})
        with bounded_by(Deadline(10)):
            client.call("domain/create", {"domain_id": "alice"})
    assert list(kuscia.domains) == ["alice"]


def test_activity_of_a_cleanup_starts_within_the_lock_of_the_thread_that_it_interrupted() -> None:
    """SIGTERM runs the cleanup in the main thread, at any point."""

    def stopped() -> None:
        with activity._lock, Activity(lambda: "cleanup") as cleanup, cleanup._beating:
            cleanup.report()

    thread = threading.Thread(target=stopped, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
