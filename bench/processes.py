"""Programs as separate processes: how long they run and how much memory they use."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


class ProcessFailed(Exception):
    """A program exited with an unexpected code. The message has the end of its output."""


@dataclass(frozen=True)
class Run:
    """A finished process.

    Args:
        seconds: from start to end.
        cpu_seconds: user and system time.
        memory_mb: peak of its resident memory in MB (10^6 bytes).
        output: standard output and error.
    """

    seconds: float
    cpu_seconds: float
    memory_mb: float
    exit_code: int
    output: str


class Process:
    """A running program, with its output in a file.

    Args:
        environment: variables in addition to those of this process.
    """

    def __init__(self, command: list[str], output: Path, environment: dict[str, str] | None = None) -> None:
        self._command, self._output = command, output
        self._begin = time.monotonic()
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
            )

    def wait(self, *accepted: int) -> Run:
        """Wait for its end.

        Args:
            accepted: exit codes; 0 by default.

        Raises:
            ProcessFailed: another exit code.
        """
        _, status, usage = os.wait4(self._process.pid, 0)
        end = time.monotonic()
        self._process.returncode = os.waitstatus_to_exitcode(status)
        text = self._output.read_text(errors="replace")
        code = self._process.returncode
        if code not in (accepted or (0,)):
            raise ProcessFailed(f"{' '.join(self._command[:6])} exited with {code}:\n{text[-2000:]}")
        cpu = usage.ru_utime + usage.ru_stime
        return Run(end - self._begin, cpu, usage.ru_maxrss * 1024 / 1e6, code, text)


def step_command(step: str, *options: str) -> list[str]:
    """Return the command line of a step, as the image runs it."""
    return [sys.executable, "-m", "kuscia_hooks", step, *options]
