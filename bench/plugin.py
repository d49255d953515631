"""Figures of the kubectl plugin, over six releases on a cluster with `make demo` on it."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench.processes import ROOT
from bench.results import PLUGIN, Figure, median

SECONDS = 15.0
RELEASES = 6
REPEATS = 3
COMMANDS = ("status", "doctor")
PROGRAM = ROOT / "bin/kubectl-kuscia"
EXIT_CODES = (0, 1)
"""1 means that a problem was found, which takes no less time."""


class NotMeasured(Exception):
    """What is to be measured was not found on the cluster."""


def plugin(kubeconfig: Path, repeats: int = REPEATS) -> Iterator[Figure]:
    """Measure status and doctor of all releases.

    Raises:
        NotMeasured: the cluster has fewer than six releases.
    """
    found = releases(kubeconfig)
    if found < RELEASES:
        raise NotMeasured(f"the cluster has {found} releases, {RELEASES} are required")
    for command in COMMANDS:
        seconds = [_run(kubeconfig, command) for _ in range(repeats)]
        yield median(PLUGIN, f"plugin-{command}", _title(command, found), seconds, SECONDS, unit="s")


def not_measured() -> list[Figure]:
    """Return the figures without a value, for a machine without the local cluster."""
    return [Figure(f"plugin-{command}", PLUGIN, _title(command, RELEASES), None, SECONDS, "s") for command in COMMANDS]


def _title(command: str, number: int) -> str:
    return f"kubectl kuscia {command} -A, {number} releases"


def releases(kubeconfig: Path) -> int:
    """Return the number of releases on the cluster."""
    selector = "app.kubernetes.io/name=kuscia,app.kubernetes.io/component=doctor"
    return len(kubectl(kubeconfig, "get", "cronjobs", "-A", "-l", selector, "-o", "name").split())


def kubectl(kubeconfig: Path, *args: str) -> str:
    """Return the output of kubectl."""
    command = ["kubectl", f"--kubeconfig={kubeconfig}", *args]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _run(kubeconfig: Path, command: str) -> float:
    begin = time.monotonic()
    done = subprocess.run(
        [str(PROGRAM), command, "-A"],
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
        capture_output=True,
        text=True,
    )
    seconds = time.monotonic() - begin
    if done.returncode not in EXIT_CODES:
        raise RuntimeError(f"kubectl kuscia {command} exited with {done.returncode}:\n{done.stderr[-2000:]}")
    return seconds
