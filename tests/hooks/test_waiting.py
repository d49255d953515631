import pytest

from kuscia_hooks.core.errors import ConfigError, DeadlineExceeded, PermanentError, RetryableError
from kuscia_hooks.core.waiting import HUMAN_SECONDS, run, until
from tests.hooks.fakes import FakeTime


class Later:
    """Raises each error once, then returns."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_until_returns_what_the_probe_returns(fake_time: FakeTime) -> None:
    probe = Later(RetryableError("unclassified-retryable", "a"), RetryableError("unclassified-retryable", "a"))
    assert until("x", probe, fake_time.deadline(0)) == "done"
    assert probe.calls == 3
    assert all(0.8 <= nap <= 1.2 for nap in fake_time.naps)
    assert len(set(fake_time.naps)) == 2


def test_until_says_every_ten_seconds_what_it_waits_for(
    fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    until(
        "the master",
        Later(*[RetryableError("unclassified-retryable", "connection refused", see="kubectl get pods")] * 35),
        fake_time.deadline(0),
    )
    lines = capsys.readouterr().out.splitlines()
    told = [line for line in lines if line.startswith("waiting for the master")]
    assert len(told) == 4
    assert told[0] == "waiting for the master (0 s): connection refused"
    assert lines[1] == "    see: kubectl get pods"


def test_until_tells_a_new_cause_at_once(fake_time: FakeTime, capsys: pytest.CaptureFixture[str]) -> None:
    until(
        "x",
        Later(RetryableError("unclassified-retryable", "one"), RetryableError("unclassified-retryable", "two")),
        fake_time.deadline(0),
    )
    assert [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()] == ["one", "two"]


def test_until_gives_up_at_the_deadline(fake_time: FakeTime) -> None:
    probe = Later(*[RetryableError("unclassified-retryable", "still gone", see="kubectl get x")] * 100)
    with pytest.raises(DeadlineExceeded, match="after 5 s: still gone") as error:
        until("x", probe, fake_time.deadline(5))
    assert error.value.see == "kubectl get x"
    assert fake_time.time == pytest.approx(5)


def test_until_asks_once_even_when_late(fake_time: FakeTime) -> None:
    deadline = fake_time.deadline(5)
    fake_time.time = 9
    assert until("x", Later(), deadline) == "done"


def test_until_does_not_wait_for_a_human(fake_time: FakeTime) -> None:
    with pytest.raises(PermanentError):
        until("x", Later(PermanentError("unclassified", "wrong")), fake_time.deadline(0))
    assert fake_time.naps == []


@pytest.mark.parametrize(
    ("mode", "errors", "code"),
    [
        ("hook", [], 0),
        ("hook", [RetryableError("unclassified-retryable", "a")], 0),
        ("hook", [PermanentError("unclassified", "a")], 2),
        ("job", [PermanentError("unclassified", "a")], 0),
        (
            "job",
            [
                PermanentError("unclassified", "a"),
                RetryableError("unclassified-retryable", "b"),
                PermanentError("unclassified", "c"),
            ],
            0,
        ),
        ("job", [ConfigError("invalid-config", "a")], 2),
        ("hook", [ConfigError("invalid-config", "a")], 2),
        ("job", [DeadlineExceeded("a", 1, RetryableError("unclassified-retryable", "a"))], 0),
    ],
)
def test_run(fake_time: FakeTime, mode: str, errors: list[Exception], code: int) -> None:
    assert run("verb", mode, fake_time.deadline(0), Later(*errors)) == code


def test_run_ends_in_time(fake_time: FakeTime, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(
            "routes",
            "hook",
            fake_time.deadline(20),
            Later(*[RetryableError("unclassified-retryable", "no Domain alice")] * 100),
        )
        == 1
    )
    out = capsys.readouterr().out
    assert "no Domain alice" in out
    assert out.endswith("ERROR routes: not done within 20 s\n")


def test_a_job_retries_slowly_what_needs_a_human(fake_time: FakeTime) -> None:
    run("data", "job", fake_time.deadline(0), Later(PermanentError("unclassified", "wrong keys")))
    (nap,) = fake_time.naps
    assert nap == pytest.approx(HUMAN_SECONDS, rel=0.21)


def test_the_summary_is_the_last_line(fake_time: FakeTime, capsys: pytest.CaptureFixture[str]) -> None:
    run("x", "hook", fake_time.deadline(0), lambda: "created=1 unchanged=0 failed=0 in 0.1s")
    assert capsys.readouterr().out.splitlines()[-1] == "created=1 unchanged=0 failed=0 in 0.1s"
