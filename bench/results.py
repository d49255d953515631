"""Figures, and the file with the results of a run."""

import datetime
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.processes import ROOT, Run

RESULTS = ROOT / "bench/results.json"
INSTALL, NOTHING, START, CHECK, MEMORY, RENDER, PLUGIN = GROUPS = (
    "New cluster",
    "Nothing to do",
    "Start",
    "Check",
    "Memory",
    "Chart",
    "kubectl plugin",
)
"""Headings of the figures, in the order of the pages."""


@dataclass(frozen=True)
class Figure:
    """One measured figure and its target; smaller is better.

    Args:
        id: stable name, such as `install-small`.
        group: one of GROUPS.
        title: what is measured.
        measured: the figure; None if it was not measured, which does not meet the target.
        target: the largest value that meets the target.
        unit: such as `s`; "" for a ratio.
        repeats: all values, of which `measured` is the median or the largest.
        note: what else was seen, such as both sides of a ratio.
    """

    id: str
    group: str
    title: str
    measured: float | None
    target: float
    unit: str = ""
    repeats: Sequence[float] = ()
    note: str = ""

    @property
    def met(self) -> bool:
        return self.measured is not None and self.measured <= self.target

    def as_json(self) -> dict[str, Any]:
        """Return the figure with rounded numbers. Whether it is met is decided before rounding."""
        given = asdict(self) | {
            "measured": None if self.measured is None else rounded(self.measured),
            "met": self.met,
            "repeats": [rounded(value) for value in self.repeats],
        }
        return {key: value for key, value in given.items() if value not in ("", []) or key == "unit"}


def rounded(value: float) -> float:
    """Return `value` with three significant digits; larger numbers without a fraction."""
    return float(f"{value:.3g}") if abs(value) < 1000 else float(round(value))


def median(group: str, figure_id: str, title: str, values: Sequence[float], target: float, **more: Any) -> Figure:
    """Return a figure that is the median of its repeats."""
    return Figure(figure_id, group, title, statistics.median(values), target, repeats=tuple(values), **more)


def cpu(runs: Sequence[Run]) -> str:
    """Return the median CPU time of runs, which depends less on other programs than their duration."""
    return f"CPU {statistics.median(run.cpu_seconds for run in runs):.2f} s"


@dataclass
class Machine:
    """The machine in general terms, and how busy it was.

    Args:
        load: one-minute load averages at the start and after each group.
    """

    cores: int = field(default_factory=lambda: os.cpu_count() or 0)
    system: str = field(default_factory=lambda: f"{platform.system()} {platform.machine()}")
    python: str = field(default_factory=platform.python_version)
    kubernetes: str = ""
    load: list[float] = field(default_factory=list)

    def note_load(self) -> None:
        self.load.append(round(os.getloadavg()[0], 2))

    @property
    def busy(self) -> bool:
        """Whether other programs ran before the start: the load average then exceeded half of the cores."""
        return bool(self.load) and self.load[0] > self.cores / 2


def load(path: Path = RESULTS) -> dict[str, Any]:
    """Return the results in a file; without the file, results without figures."""
    if not path.exists():
        return {"figures": []}
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def save(figures: Sequence[Figure], machine: Machine, path: Path = RESULTS) -> dict[str, Any]:
    """Write results, keep figures of earlier runs that were not measured again, and return them all."""
    old = {figure["id"]: figure for figure in load(path)["figures"]}
    measured_now = {"date": _now(), "commit": _commit()}
    new = {
        figure.id: figure.as_json() | measured_now
        for figure in figures
        if figure.measured is not None or figure.id not in old
    }
    results = {
        "date": _now(),
        "commit": _commit(),
        "machine": asdict(machine) | {"busy": machine.busy},
        "figures": sorted((old | new).values(), key=lambda figure: GROUPS.index(figure["group"])),
    }
    path.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    return results


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"
