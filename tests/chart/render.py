"""Render the chart with `helm template`."""

import functools
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/kuscia"
PRESETS = ROOT / "values"
# What the presets have in place of the hosts of their user.
PLACEHOLDER = "replace-me.example"
# Without it, a Helm that was built without version stamps assumes Kubernetes 1.20.
KUBE_VERSION = "1.30.0"

Object = dict[str, Any]


class RenderError(Exception):
    """Helm failed. The message is its error output."""


def tool(name: str) -> str:
    """Return the path of a command-line tool. An environment variable (KUBECTL for kubectl) overrides the PATH.

    Raises:
        FileNotFoundError: the tool is not on the PATH and the variable is not set.
    """
    path = os.environ.get(name.upper().replace("-", "_")) or shutil.which(name)
    if not path:
        raise FileNotFoundError(f"{name} is not on PATH; `make tools` builds it into ~/.cache/kuscia-chart/bin")
    return path


@dataclass(frozen=True)
class Scenario:
    """One way to install the chart.

    Args:
        name: for reports. Scenarios that differ in nothing else are equal, and rendered once.
        presets: names of files in values/ without extension, in order. They are rendered as their user edits them.
        values: values that override the presets, as JSON.
    """

    name: str = field(compare=False)
    presets: tuple[str, ...] = ()
    values: str = "{}"
    release: str = "kuscia"
    namespace: str = "ns"

    def text(self, helm: str = "helm") -> str:
        return template(self, helm)

    @property
    def objects(self) -> list[Object]:
        return _objects(self)


def edited(preset: str) -> str:
    """Return the text of a preset with hosts instead of the placeholder, as its user edits it."""
    return (PRESETS / f"{preset}.yaml").read_text().replace(PLACEHOLDER, "example.com")


@functools.cache
def template(scenario: Scenario, helm: str = "helm") -> str:
    """Return all rendered objects as text, including hooks and tests. Results are cached.

    The schema takes half of the time of Helm, so it is not checked; `template_once` checks it.

    Raises:
        RenderError: Helm failed.
    """
    return template_once(scenario, helm, schema=False)


def template_once(scenario: Scenario, helm: str = "helm", kube_version: str = KUBE_VERSION, schema: bool = True) -> str:
    """Render as `template` does, with the schema and without the cache."""
    with tempfile.TemporaryDirectory() as directory:
        files = []
        for number, preset in enumerate(scenario.presets):
            path = Path(directory, f"{number}.yaml")
            path.write_text(edited(preset))
            files.append(f"--values={path}")
        command = [tool(helm), "template", scenario.release, str(CHART), "--namespace", scenario.namespace]
        if not schema:
            command.append("--skip-schema-validation")
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


class _Loader(yaml.CSafeLoader):
    """Reject a mapping with a repeated key: YAML parsers disagree on which one counts."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        if len(found) < len(node.value):
            keys = [key.value for key, _ in node.value]
            repeated = sorted({key for key in keys if keys.count(key) > 1})
            raise yaml.constructor.ConstructorError(None, None, f"repeated key: {', '.join(repeated)}", node.start_mark)
        return found


def parse(text: str) -> list[Object]:
    """Return the objects in rendered text.

    Raises:
        yaml.YAMLError: the text is not YAML, or a mapping has a key twice.
    """
    return [item for item in yaml.load_all(text, Loader=_Loader) if item]


def with_values(name: str, values: Object, *presets: str, **other: str) -> Scenario:
    return Scenario(name, presets, json.dumps(values), **other)


def render(values: Object, *presets: str, **other: str) -> list[Object]:
    """Return the objects rendered from values and presets."""
    return with_values("", values, *presets, **other).objects


def find(objects: list[Object], kind: str, name: str) -> Object:
    """Return the only object of a kind and name. A name can end with `*`.

    Raises:
        LookupError: there is not exactly one.
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
        rendered = ", ".join(sorted(f"{item['kind']}/{item['metadata']['name']}" for item in objects))
        raise LookupError(f"{len(found)} objects match {kind}/{name}; rendered: {rendered}")
    return found[0]


def hook(item: Object) -> str:
    """Return the hook events of an object, empty for an object that is not a hook."""
    return str(item["metadata"].get("annotations", {}).get("helm.sh/hook", ""))


def config_maps(volume: Object) -> list[str]:
    """Return the names of the ConfigMaps that a volume has files of."""
    if "configMap" in volume:
        return [volume["configMap"]["name"]]
    sources = volume.get("projected", {}).get("sources", [])
    return [source["configMap"]["name"] for source in sources if "configMap" in source]


def pod_template(item: Object) -> Object | None:
    """Return the pod template of an object, for a Pod the object itself. None for objects without pods."""
    if item["kind"] == "Pod":
        return item
    if item["kind"] == "CronJob":
        item = item["spec"]["jobTemplate"]
    template: Object | None = item.get("spec", {}).get("template")
    return template
