"""Programs as separate processes: how long they run and how much memory they use."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
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
    """A running Python module, with its output in a file.

    Args:
        module: name of the module and its arguments.
        environment: variables in addition to those of this process.
    """

    def __init__(self, module: Sequence[str], output: Path, environment: dict[str, str] | None = None) -> None:
        self._module, self._output, self._memory = module, output, output.with_suffix(".memory")
        self._begin = time.monotonic()
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.measured", str(self._memory), *module],
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
            raise ProcessFailed(f"{' '.join(self._module[:3])} exited with {code}:\n{text[-2000:]}")
        cpu = usage.ru_utime + usage.ru_stime
        return Run(end - self._begin, cpu, float(self._memory.read_text()), code, text)


def step_module(name: str, *options: str) -> list[str]:
    """Return module and arguments of a step."""
    return ["kuscia_hooks", name, *options]
