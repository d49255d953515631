"""Figures of the start of a step: its imports, against `import httpx`."""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from bench import api_server
from bench.results import START, Figure

STEPS = ("keys", "prepare", "seed", "register", "routes", "data", "check")
TIMES_HTTPX = 2.0
REPEATS = 15
# What a step has imported after its first request: the command line, its module, and the Kubernetes client.
_FIRST_REQUEST = """
from kuscia_hooks.cli import command
from kuscia_hooks.core.errors import StepError
try:
    command.connect().secret("ns", "key")
except StepError:
    pass
"""
# Nothing listens there: the request fails at once.
_CLOSED = "http://127.0.0.1:1"


def statement(step: str) -> str:
    """Return the code that imports what a step needs for its first request. `seed` needs no Kubernetes API."""
    return f"from kuscia_hooks.steps import {step}\n" + ("" if step == "seed" else _FIRST_REQUEST)


def start(repeats: int = REPEATS) -> Iterator[Figure]:
    """Measure the imports of every step in fresh processes, in turn with those of httpx."""
    codes = {"httpx": "import httpx"} | {step: statement(step) for step in STEPS}
    for code in codes.values():
        import_seconds(code)
    seconds: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(repeats):
        for name, code in codes.items():
            seconds[name].append(import_seconds(code))
    httpx = statistics.median(seconds["httpx"])
    for step in STEPS:
        own = statistics.median(seconds[step])
        yield Figure(
            f"import-{step}",
            START,
            f"Imports of {step}, against import httpx",
            own / httpx,
            TIMES_HTTPX,
            "times",
            tuple(value / httpx for value in seconds[step]),
            f"step {own * 1000:.0f} ms, httpx {httpx * 1000:.0f} ms",
        )


def import_seconds(code: str) -> float:
    """Return the CPU time of code in a fresh process, without the start of Python."""
    timed = f"import time; begin = time.process_time()\n{code}\nprint(time.process_time() - begin)"
    with tempfile.NamedTemporaryFile("w") as kubeconfig:
        kubeconfig.write(api_server.kubeconfig(_CLOSED, "ns"))
        kubeconfig.flush()
        done = subprocess.run(
            [sys.executable, "-c", timed],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "KUBECONFIG": kubeconfig.name},
        )
    return float(done.stdout)
