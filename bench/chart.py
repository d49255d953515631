"""Figures of the chart: the size of what it renders for many domains, and the CPU time of `helm template`."""

import base64
import gzip
import json
import os
import random
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from bench.processes import ROOT
from bench.results import RENDER, Figure, median

CHART = ROOT / "charts/kuscia"
KUBE_VERSION = "1.30.0"
# What `kubectl apply` without --server-side, the default of Argo CD, stores in an annotation.
CLIENT_SIDE_KB = 262.144
# A Secret, in which Helm stores a release.
SECRET_KB = 1048.576
CONFIG_MAP_KB = 60.0
# Targets in CPU seconds, by number of domains.
SECONDS = {3: 0.25, 20: 0.3, 100: 0.5, 300: 1.5}
SHORT, LONG = 10, 63
REPEATS = 5


def values(number: int, length: int = LONG, *, certificates: bool = False) -> dict[str, Any]:
    """Return the values of a master with all routes between its domains, each with its reader.

    Args:
        number: of domains.
        length: of each domain ID.
        certificates: admit them by certificates of a usual size.
    """
    domains: dict[str, dict[str, Any]] = {}
    for index in range(number):
        name = f"d{index}-".ljust(length, "x")
        domains[name] = {
            "endpoint": f"https://kuscia-lite-{name[:31]}.{name}.svc.cluster.local:1080",
            "reader": {"namespace": name},
        }
        if certificates:
            text = base64.b64encode(random.Random(index).randbytes(780)).decode()
            domains[name]["cert"] = f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
    return {"master": {"domains": domains, "routes": "all"}}


def release_bytes(given: dict[str, Any], manifest: str) -> int:
    """Return the size of what Helm stores of a release: chart, values and manifest, compressed."""
    files = [path.read_text() for path in sorted(CHART.rglob("*")) if path.suffix in (".yaml", ".tpl", ".json")]
    state = json.dumps({"chart": files, "config": given, "manifest": manifest})
    return len(base64.b64encode(gzip.compress(state.encode())))


def chart(repeats: int = REPEATS) -> Iterator[Figure]:
    """Measure the sizes for 100 and 300 domains, and the CPU time for the numbers of domains in SECONDS."""
    maps = {length: _sizes(_template(values(100, length))[0], "ConfigMap") for length in (SHORT, LONG)}
    note = f"with IDs of {SHORT} characters {max(maps[SHORT].values()) / 1000:g} kB"
    title = f"Largest ConfigMap of 100 domains with IDs of {LONG} characters"
    yield Figure("config-map-100", RENDER, title, _kb(maps[LONG]), CONFIG_MAP_KB, "kB", note=note)
    for name, certificates in (("token", False), ("cert", True)):
        given = values(300, certificates=certificates)
        manifest, _ = _template(given)
        admitted = "certificate" if certificates else "deploy token"
        sizes = _sizes(manifest)
        largest = max(sizes, key=lambda one: sizes[one])
        title = f"Largest object of 300 domains admitted by {admitted}, as JSON"
        yield Figure(f"object-300-{name}", RENDER, title, _kb(sizes), CLIENT_SIDE_KB, "kB", note=largest)
        title = f"What Helm stores of a release with 300 domains admitted by {admitted}"
        stored = release_bytes(given, manifest) / 1000
        yield Figure(f"release-300-{name}", RENDER, title, stored, SECRET_KB, "kB")
    for number, target in SECONDS.items():
        seconds = {length: [_template(values(number, length))[1] for _ in range(repeats)] for length in (SHORT, LONG)}
        title = f"CPU time of helm template, {number} domains with IDs of {LONG} characters"
        note = f"with IDs of {SHORT} characters {min(seconds[SHORT]):.2f} to {max(seconds[SHORT]):.2f} s"
        yield median(RENDER, f"template-{number}", title, seconds[LONG], target, unit="s", note=note)


def _template(given: dict[str, Any]) -> tuple[str, float]:
    """Return what Helm renders, and the CPU seconds that it took."""
    with tempfile.TemporaryDirectory() as directory:
        file, output = Path(directory, "values.json"), Path(directory, "output")
        file.write_text(json.dumps(given))
        command = ["helm", "template", "kuscia", str(CHART), "--kube-version", KUBE_VERSION, f"--values={file}"]
        with output.open("wb") as stream:
            process = subprocess.Popen(command, stdout=stream)
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        return output.read_text(), usage.ru_utime + usage.ru_stime


def _sizes(manifest: str, kind: str = "") -> dict[str, int]:
    """Return the size as JSON of each object, or of those of a kind."""
    items = [item for item in yaml.load_all(manifest, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if item]
    return {
        f"{item['kind']}/{item['metadata']['name']}": len(json.dumps(item))
        for item in items
        if not kind or item["kind"] == kind
    }


def _kb(sizes: dict[str, int]) -> float:
    return max(sizes.values()) / 1000
