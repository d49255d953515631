"""`helm template` from Python."""

import functools
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/kuscia"
PRESETS = ROOT / "values"
# A helm that was built without version stamps takes the cluster for Kubernetes 1.20.
KUBE_VERSION = "1.30.0"

Object = dict[str, Any]


class RenderError(Exception):
    """Helm refused; the text is what it said."""


def tool(name: str) -> str:
    """Path of a command-line tool; the environment variable of its name in capitals wins.

    Raises:
        FileNotFoundError: neither set nor on PATH.
    """
    path = os.environ.get(name.upper().replace("-", "_")) or shutil.which(name)
    if not path:
        raise FileNotFoundError(f"{name} is not on PATH; `make tools` builds it into ~/.cache/kuscia-chart/bin")
    return path


@dataclass(frozen=True)
class Scenario:
    """One way to install the chart.

    Args:
        presets: files of values/, without their ending, in order.
        values: what is set on top, as JSON.
    """

    name: str
    presets: tuple[str, ...] = ()
    values: str = "{}"
    release: str = "kuscia"
    namespace: str = "ns"

    def text(self, helm: str = "helm") -> str:
        return template(self, helm)

    @property
    def objects(self) -> list[Object]:
        return _objects(self)


@functools.cache
def template(scenario: Scenario, helm: str = "helm") -> str:
    """All that the chart renders, hooks and tests included.

    Raises:
        RenderError: Helm refused.
    """
    return template_once(scenario, helm)


def template_once(scenario: Scenario, helm: str = "helm", kube_version: str = KUBE_VERSION) -> str:
    """As `template`, rendered anew."""
    files = [f"--values={PRESETS / preset}.yaml" for preset in scenario.presets]
    command = [tool(helm), "template", scenario.release, str(CHART), "--namespace", scenario.namespace]
    done = subprocess.run(
        [*command, "--kube-version", kube_version, *files, "--values=-"],
        input=scenario.values,
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise RenderError(done.stderr)
    return done.stdout


@functools.cache
def _objects(scenario: Scenario) -> list[Object]:
    return parse(scenario.text())


def parse(text: str) -> list[Object]:
    """The objects of a rendered text."""
    return [item for item in yaml.load_all(text, Loader=yaml.CSafeLoader) if item]


def with_values(name: str, values: Object, *presets: str, **other: str) -> Scenario:
    return Scenario(name, presets, json.dumps(values), **other)


def render(values: Object, *presets: str, **other: str) -> list[Object]:
    """The objects that these values give."""
    return with_values("", values, *presets, **other).objects


def find(objects: list[Object], kind: str, name: str) -> Object:
    """The one object of that kind and name; a name may end in `*`.

    Raises:
        LookupError: not exactly one.
    """
    found = [
        item
        for item in objects
        if item["kind"] == kind
        and (
            item["metadata"]["name"] == name or (name.endswith("*") and item["metadata"]["name"].startswith(name[:-1]))
        )
    ]
    if len(found) != 1:
        there = ", ".join(sorted(f"{item['kind']}/{item['metadata']['name']}" for item in objects))
        raise LookupError(f"{len(found)} objects are {kind}/{name}; there are {there}")
    return found[0]


def hook(item: Object) -> str:
    """The hook events of an object; empty for one of the manifest."""
    return str(item["metadata"].get("annotations", {}).get("helm.sh/hook", ""))


def pod_template(item: Object) -> Object | None:
    """The pod template of an object that makes pods; a Pod is its own."""
    if item["kind"] == "Pod":
        return item
    if item["kind"] == "CronJob":
        item = item["spec"]["jobTemplate"]
    template: Object | None = item.get("spec", {}).get("template")
    return template
