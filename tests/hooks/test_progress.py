import re
import sys

import pytest

from kuscia_hooks.core.progress import ChangeProgress, TransferProgress
from tests.hooks.fakes.clock import FakeTime


def test_transfer_is_reported_every_ten_seconds(fake_time: FakeTime, capsys: pytest.CaptureFixture[str]) -> None:
    with TransferProgress("a.csv", "sent", 5_000_000, fake_time.clock) as progress:
        for _ in range(5):
            fake_time.time += 6
            progress.update(1_000_000)
    assert capsys.readouterr().out.splitlines() == [
        "a.csv: 2.0 MB of 5.0 MB sent, 0.2 MB/s",
        "a.csv: 4.0 MB of 5.0 MB sent, 0.2 MB/s",
    ]


def test_terminal_gets_a_bar_instead_of_lines(
    fake_time: FakeTime, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    progress = TransferProgress("a.csv", "sent", 2, fake_time.clock)
    other = ChangeProgress(100)
    fake_time.time += 60
    progress.update(2)
    for _ in range(100):
        other.done("create x")
    out = capsys.readouterr().out
    assert "a.csv sent" in out
    assert re.search(r"MB/s$|changes made", out, re.MULTILINE) is None
    with TransferProgress("b.csv", "sent"):
        pass
    assert "b.csv sent" in capsys.readouterr().out
