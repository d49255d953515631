"""Measure and write the results: python -m bench [PART ...]."""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import chart, checks, install, page, plugin, results, start, timeline
from bench.results import Figure, Machine
from testbed.cluster.local import Cluster

MEMORY = Path("/dev/shm")
"""The state of the servers lies in memory, so that the disk of this machine does not count."""


PARTS: dict[str, Callable[[Path], Iterator[Figure]]] = {
    "small": install.small,
    "large": install.large,
    "start": lambda _: start.start(),
    "check": checks.check,
    "chart": lambda _: chart.chart(),
}
ON_CLUSTER = ("plugin", "timeline")


def main() -> int:
    """Run the parts, write results after each, and return 1 if a figure misses its target."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure and write the results.")
    parser.add_argument("part", nargs="*", help=f"some of: {', '.join([*PARTS, *ON_CLUSTER])}; all by default")
    parser.add_argument("--cluster", default="kuscia", help="name of the local cluster (default: kuscia)")
    given = parser.parse_args()
    wanted = given.part or [*PARTS, *ON_CLUSTER]
    if unknown := set(wanted) - {*PARTS, *ON_CLUSTER}:
        parser.error(f"unknown part: {', '.join(sorted(unknown))}")
    kubeconfig = _kubeconfig(given.cluster)
    machine = Machine(kubernetes=_version(kubeconfig) if kubeconfig else "")
    machine.note_load()
    if machine.busy:
        print(f"The machine is busy (load average {machine.load[0]}): times will be too long.")
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as temporary:
        for name in wanted:
            if name in PARTS:
                figures += _shown(PARTS[name](Path(temporary) / name))
            else:
                figures += _on_cluster(name, given.cluster, kubeconfig)
            machine.note_load()
            page.write(results.save(figures, machine))
    return 0


def _on_cluster(name: str, cluster: str, kubeconfig: Path | None) -> list[Figure]:
    """Measure a part that needs the local cluster; say why if it cannot be measured."""
    try:
        if kubeconfig is None:
            raise plugin.NotMeasured(f"the local cluster {cluster} does not run")
        if name == "plugin":
            return list(_shown(plugin.plugin(kubeconfig)))
        timeline.save(timeline.record(kubeconfig))
    except plugin.NotMeasured as error:
        print(f"{name}: not measured: {error}")
        return plugin.not_measured() if name == "plugin" else []
    return []


def _shown(found: Iterator[Figure]) -> Iterator[Figure]:
    for figure in found:
        state = "met" if figure.met else "MISSED"
        print(
            f"{figure.id}: {page.amount(figure.as_json()['measured'], figure.unit)} "
            f"(target {page.amount(figure.target, figure.unit)}, {state}) {figure.note}",
            flush=True,
        )
        yield figure


def _kubeconfig(name: str) -> Path | None:
    """Return the kubeconfig of the local cluster, or None if it does not run."""
    path = Cluster(name).kubeconfig
    if not path.exists():
        return None
    done = subprocess.run(["kubectl", f"--kubeconfig={path}", "get", "--raw=/readyz"], capture_output=True)
    return path if done.returncode == 0 else None


def _version(kubeconfig: Path) -> str:
    version = json.loads(plugin.kubectl(kubeconfig, "version", "--output=json"))["serverVersion"]
    return str(version["gitVersion"]).removeprefix("v")


if __name__ == "__main__":
    sys.exit(main())
