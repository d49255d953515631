"""Separate processes: exit codes, and memory that does not include that of the starting process."""

from pathlib import Path

import pytest

from bench.processes import Process, ProcessFailed


def test_memory_is_that_of_the_process_alone(tmp_path: Path) -> None:
    ballast = bytearray(200_000_000)
    ballast[::4096] = b"x" * len(ballast[::4096])
    run = Process(["timeit", "-n1", "-r1", "pass"], tmp_path / "log").wait()
    assert 5 < run.memory_mb < 60


def test_memory_counts_the_peak(tmp_path: Path) -> None:
    run = Process(["timeit", "-n1", "-r1", "b'x' * 100_000_000"], tmp_path / "log").wait()
    assert run.memory_mb > 100


def test_reports_an_unexpected_exit_code_with_the_output(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match="absent-file"):
        Process(["json.tool", str(tmp_path / "absent-file")], tmp_path / "log").wait()
