"""Figures of the start of a step: its imports, against `import httpx`."""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from bench import api_server
from bench.results import START, Figure, median

STEPS = ("keys", "prepare", "seed", "register", "routes", "data", "check")
TIMES_HTTPX = 2.0
REPEATS, REQUEST_REPEATS = 15, 3
_FIRST_REQUEST = """
from kuscia_hooks.cli import command
from kuscia_hooks.core.errors import StepError
try:
    command.connect().secret("ns", "key")
except StepError:
    pass
"""
_HTTPX_REQUEST = """
import httpx
try:
    httpx.Client().get("http://127.0.0.1:1")
except httpx.HTTPError:
    pass
"""
# Nothing listens there: requests fail at once.
_CLOSED = "http://127.0.0.1:1"


def start(repeats: int = REPEATS) -> Iterator[Figure]:
    """Measure the imports of every step in fresh processes, in turn with those of httpx.

    The notes say how long it takes until the first request to the Kubernetes API has failed, and until that of a
    program that uses httpx alone: a step could delay its imports.
    """
    imports = {"httpx": "import httpx", **{step: f"import kuscia_hooks.steps.{step}" for step in STEPS}}
    requests = {"httpx": _HTTPX_REQUEST, **{step: imports[step] + _FIRST_REQUEST for step in STEPS if step != "seed"}}
    seconds, first = _in_turn(imports, repeats), _in_turn(requests, REQUEST_REPEATS)
    until = {name: f"; until the first request {_ms(values)}" for name, values in first.items()}
    for step in STEPS:
        title = f"import kuscia_hooks.steps.{step}, against import httpx"
        ratios = tuple(own / httpx for own, httpx in zip(seconds[step], seconds["httpx"], strict=True))
        note = f"CPU {_ms(seconds[step])}{until.get(step, '')}. httpx: {_ms(seconds['httpx'])}{until['httpx']}"
        yield median(START, f"import-{step}", title, ratios, TIMES_HTTPX, unit="times", note=note)


def _in_turn(codes: dict[str, str], repeats: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(repeats):
        for name, code in codes.items():
            found[name].append(cpu_seconds(code))
    return found


def _ms(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.0f} ms"


def cpu_seconds(code: str) -> float:
    """Return the CPU time of code in a fresh process, without the start of Python."""
    timed = f"import time; begin = time.process_time()\n{code}\nprint(time.process_time() - begin)"
    with tempfile.NamedTemporaryFile("w") as kubeconfig:
        kubeconfig.write(api_server.kubeconfig(_CLOSED, "ns"))
        kubeconfig.flush()
        environment = {**os.environ, "KUBECONFIG": kubeconfig.name}
        done = subprocess.run(
            [sys.executable, "-c", timed], capture_output=True, text=True, check=True, env=environment
        )
    return float(done.stdout)
