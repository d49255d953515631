import json
import math
import re
from pathlib import Path

import pytest

from kuscia_hooks.core import activity, termination
from kuscia_hooks.core.activity import REPORT_SECONDS
from kuscia_hooks.core.errors import ConfigError, DeadlineExceeded, PermanentError, RetryableError
from kuscia_hooks.core.redaction import hide
from kuscia_hooks.core.waiting import MANUAL_SECONDS, Clock, Deadline, Waiting, current, run, until
from kuscia_hooks.steps import Outcome
from tests.hooks.fakes.clock import FakeTime


def retryable(message: str = "a", **texts: str) -> RetryableError:
    return RetryableError("secret-not-found", message, **texts)


def permanent(message: str = "a", **texts: str) -> PermanentError:
    return PermanentError("domain-key-lost", message, **texts)


class Later:
    """Raises each error once, then returns."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> Outcome:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return Outcome("done")


@pytest.fixture
def termination_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "termination-log"
    path.touch()
    monkeypatch.setattr(termination, "LOG", path)
    return path


def test_until_retries_with_jitter_and_returns_the_result(fake_time: FakeTime) -> None:
    probe = Later(retryable(), retryable())
    assert until("x", probe, fake_time.deadline(0)) == Outcome("done")
    assert probe.calls == 3
    assert all(0.8 <= nap <= 1.2 for nap in fake_time.naps)
    assert len(set(fake_time.naps)) == 2


def test_until_reports_every_ten_seconds(fake_time: FakeTime, capsys: pytest.CaptureFixture[str]) -> None:
    until("the master", Later(*[retryable("refused", see="kubectl get pods")] * 35), fake_time.deadline(0))
    lines = capsys.readouterr().out.splitlines()
    reports = [line for line in lines if line.startswith("waiting for the master")]
    assert len(reports) == 4
    assert reports[0] == "waiting for the master (0 s): [secret-not-found] refused"
    assert lines[1] == "    see: kubectl get pods"


def test_says_that_the_deadline_passed_during_a_request(
    fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as the lookup of a name, which cannot be interrupted."""
    with Waiting("x", fake_time.deadline(60)) as waiting:
        for seconds in (30, 64):
            fake_time.time += seconds
            waiting.report()
    before, after = capsys.readouterr().out.splitlines()
    assert "30 of 60 s" in before
    assert re.findall(r"[0-9]+", after) == ["94", "60"]
    assert "94 of" not in after


def test_until_reports_a_new_reason_immediately(fake_time: FakeTime, capsys: pytest.CaptureFixture[str]) -> None:
    until("x", Later(retryable("one"), retryable("two")), fake_time.deadline(0))
    assert [line.split("] ")[1] for line in capsys.readouterr().out.splitlines()] == ["one", "two"]


def test_until_waits_as_long_as_the_other_side_wants(fake_time: FakeTime) -> None:
    probe = Later(RetryableError("master-busy", "HTTP 429", retry_after=45), retryable())
    until("the master", probe, fake_time.deadline(0))
    assert 45 + 0.8 <= fake_time.time <= 45 + 1.2


def test_until_does_not_wait_beyond_the_deadline(fake_time: FakeTime) -> None:
    probe = Later(*[RetryableError("master-busy", "HTTP 429", retry_after=45)] * 9)
    with pytest.raises(DeadlineExceeded):
        until("the master", probe, fake_time.deadline(20))
    assert probe.calls == 2
    assert fake_time.time == pytest.approx(20)


def test_until_fails_at_the_deadline(fake_time: FakeTime) -> None:
    probe = Later(*[retryable("still missing", fix="kubectl create x", see="kubectl get x")] * 100)
    with pytest.raises(DeadlineExceeded) as error:
        until("x", probe, fake_time.deadline(5))
    assert (error.value.id, error.value.fix, error.value.see) == (
        "secret-not-found",
        "kubectl create x",
        "kubectl get x",
    )
    assert "still missing" in error.value.message
    assert fake_time.time == pytest.approx(5)


def test_until_keeps_the_reason_when_the_deadline_cuts_off_the_last_attempt(fake_time: FakeTime) -> None:
    deadline = fake_time.deadline(5)

    def probe() -> None:
        cut_off = current().bound(30) < 0.01
        raise RetryableError("kusciaapi-timeout", "timed out") if cut_off else retryable("still missing")

    with pytest.raises(DeadlineExceeded) as error:
        until("x", probe, deadline)
    assert error.value.id == "secret-not-found"


def test_until_calls_the_probe_once_after_the_deadline(fake_time: FakeTime) -> None:
    deadline = fake_time.deadline(5)
    fake_time.time = 9
    assert until("x", Later(), deadline) == Outcome("done")


def test_until_does_not_retry_a_permanent_error(fake_time: FakeTime) -> None:
    with pytest.raises(PermanentError):
        until("x", Later(permanent()), fake_time.deadline(0))
    assert fake_time.naps == []


@pytest.mark.parametrize(
    ("mode", "errors", "code"),
    [
        ("hook", [], 0),
        ("hook", [retryable()], 0),
        ("hook", [permanent()], 2),
        ("job", [permanent()], 0),
        ("job", [permanent(), retryable(), permanent()], 0),
        ("job", [ConfigError("invalid-config", "a")], 2),
        ("hook", [ConfigError("invalid-config", "a")], 2),
        ("job", [DeadlineExceeded("a", 1, retryable())], 0),
    ],
)
def test_exit_code_depends_on_mode_and_error(
    fake_time: FakeTime, mode: str, errors: list[Exception], code: int
) -> None:
    assert run("step", mode, fake_time.deadline(0), Later(*errors)) == code


@pytest.mark.parametrize(("mode", "error"), [("hook", retryable("gone")), ("job", permanent("gone"))])
def test_run_exits_1_at_the_deadline(
    fake_time: FakeTime, capsys: pytest.CaptureFixture[str], mode: str, error: Exception
) -> None:
    assert run("routes", mode, fake_time.deadline(20), Later(*[error] * 100)) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"ERROR [{error.id}] routes: ")
    assert last.endswith("gone")
    assert fake_time.time == pytest.approx(20)


def test_job_retries_slowly_after_a_permanent_error(fake_time: FakeTime) -> None:
    run("data", "job", fake_time.deadline(0), Later(permanent()))
    (nap,) = fake_time.naps
    assert nap == pytest.approx(MANUAL_SECONDS, rel=0.21)


def test_reports_the_permanent_error_during_the_pause(fake_time: FakeTime, capsys: pytest.CaptureFixture[str]) -> None:
    """Not the reason of an earlier attempt."""

    def silent_sleep(seconds: float) -> None:
        fake_time.clock.sleep(seconds)
        if seconds > REPORT_SECONDS:
            activity.tick(REPORT_SECONDS)

    run("data", "job", Deadline(0, Clock(fake_time.clock.now, silent_sleep)), Later(retryable(), permanent()))
    reports = [line for line in capsys.readouterr().out.splitlines() if line.startswith("waiting for")]
    assert ["secret-not-found" in report for report in reports] == [True, False]
    assert "[domain-key-lost]" in reports[1]


def test_error_is_printed_with_id_and_fix(fake_time: FakeTime, capsys: pytest.CaptureFixture[str]) -> None:
    run("keys", "hook", fake_time.deadline(0), Later(permanent("no key", fix="restore it", see="kubectl get secret")))
    assert capsys.readouterr().out.splitlines() == [
        "ERROR [domain-key-lost] keys: no key",
        "    fix: restore it",
        "    see: kubectl get secret",
    ]


def test_summary_is_the_last_line(fake_time: FakeTime, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("x", "hook", fake_time.deadline(0), lambda: Outcome("created=1", exit_code=1)) == 1
    assert capsys.readouterr().out == "created=1\n"


@pytest.mark.parametrize(("seconds", "error"), [(0, permanent("no key", fix="do")), (2, retryable("no key", fix="do"))])
def test_failure_writes_the_termination_message(
    fake_time: FakeTime, termination_log: Path, seconds: float, error: Exception
) -> None:
    run("keys", "hook", fake_time.deadline(seconds), Later(*[error] * 9))
    written = json.loads(termination_log.read_text())
    assert set(written) == {"error", "message", "fix"}
    assert (written["error"], written["fix"]) == (error.id, "do")
    assert "no key" in written["message"]


def test_success_writes_no_termination_message(fake_time: FakeTime, termination_log: Path) -> None:
    run("keys", "job", fake_time.deadline(0), Later(permanent()))
    assert termination_log.read_text() == ""


def test_termination_message_is_redacted_and_short(termination_log: Path) -> None:
    hide("hunter2")
    termination.write_error(permanent("hunter2 " + 'ü"' * 9000, fix="hunter2 " + "x" * 9000))
    text = termination_log.read_text()
    assert len(text.encode()) <= 4096
    assert json.loads(text)["error"] == "domain-key-lost"
    assert "hunter2" not in text


def test_deadline_of_0_never_passes(fake_time: FakeTime) -> None:
    deadline = fake_time.deadline(0)
    fake_time.time = 1e9
    assert not deadline.passed
    assert deadline.left() == math.inf
    assert deadline.within(5).seconds == 5
