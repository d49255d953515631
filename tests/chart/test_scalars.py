"""Names, labels, annotations, environment and arguments are text, even if they look like something else in YAML."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart import k8s_schemas, kubeconform, operator_schemas
from tests.chart.render import Object, Scenario, parse, with_values
from tests.chart.scenarios import AGAIN, ALL, SAMPLE

# Values of these keys are text in every kind of object; `labels` stands for all keys in a mapping of this name.
TEXTS = {"name", "namespace", "serviceAccountName", "image", "claimName", "secretName", "host", "path", "mountPath"}
MAPPINGS = {"labels", "annotations", "matchLabels", "selector", "nodeSelector", "data"}
LISTS = {"args", "command", "resourceNames", "verbs", "resources"}
LOOK_ALIKES = ("123", "1e3", "0x10", "true", "no", "null", "1.5", "2026-01-01")
COMPONENTS = with_values(
    "everything",
    {
        "master": {
            "service": {"external": {"enabled": True}},
            "ingress": {"enabled": True, "host": "kuscia.example.com"},
            "domains": {"123": {"reader": {"namespace": "9999"}, "endpoint": "https://a.example.com"}},
        },
        "lite": {"runk": {"namespace": "8888"}},
    },
    "master-and-alice",
)


def _numeric(scenario: Scenario) -> Scenario:
    return dataclasses.replace(scenario, release="1e3", namespace="9999")


def _named(release: str) -> Scenario:
    return dataclasses.replace(COMPONENTS, release=release, namespace="9999")


def _wrong(node: Any, path: str = "") -> Iterator[str]:
    """Yield the path of each value that must be text and is not."""
    if isinstance(node, list):
        for item in node:
            yield from _wrong(item, path)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        here = f"{path}.{key}"
        text = (key in TEXTS and not isinstance(value, dict | list)) or (key == "value" and path.endswith(".env"))
        if text and not isinstance(value, str):
            yield f"{here}={value!r}"
        if key in MAPPINGS and isinstance(value, dict) and "matchLabels" not in value:
            yield from (f"{here}.{name}={item!r}" for name, item in value.items() if not isinstance(item, str))
        if key in LISTS and isinstance(value, list):
            yield from (f"{here}={item!r}" for item in value if not isinstance(item, str))
        yield from _wrong(value, here)


def _check(scenario: Scenario) -> list[Object]:
    objects = scenario.objects
    for item in objects:
        assert not list(_wrong(item)), (item["kind"], item["metadata"]["name"])
        assert item["metadata"]["labels"]["app.kubernetes.io/instance"] == scenario.release
        assert item["metadata"]["namespace"]
        if item["kind"] == "Service":
            assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", item["metadata"]["name"])
        for name, text in item.get("data", {}).items():
            if item["kind"] == "ConfigMap" and name.endswith(".yaml"):
                assert yaml.safe_load(text).get("namespace", scenario.namespace) == scenario.namespace
    return objects


@pytest.mark.parametrize("scenario", AGAIN)
def test_numeric_release_and_namespace_render_as_text(scenario: Scenario) -> None:
    _check(_numeric(scenario))


@pytest.mark.parametrize("release", LOOK_ALIKES)
def test_release_names_that_look_like_other_types_render_as_text(release: str) -> None:
    objects = _check(_named(release))
    assert {item["kind"] for item in objects} >= {"Deployment", "Job", "CronJob", "Service", "Ingress", "NetworkPolicy"}


@pytest.mark.parametrize(
    "scenarios", [pytest.param(SAMPLE, id="sample"), pytest.param(ALL, id="all", marks=pytest.mark.exhaustive)]
)
def test_objects_match_the_newest_kubernetes_schemas(scenarios: tuple[Scenario, ...], tmp_path: Path) -> None:
    """All at once: most of the time is spent on loading the schemas."""
    objects, schemas = tmp_path / "objects", tmp_path / "schemas"
    objects.mkdir()
    schemas.mkdir()
    rendered = [*map(_numeric, scenarios), *map(_named, LOOK_ALIKES)]
    for number, scenario in enumerate(rendered):
        (objects / f"{number}.yaml").write_text(scenario.text())
    operator_schemas.write(schemas)
    location = k8s_schemas.write(schemas, k8s_schemas.VERSIONS[-1])
    summary = kubeconform.check(objects, location)
    assert f"Summary: {sum(len(scenario.objects) for scenario in rendered)} resources" in summary


def test_a_repeated_key_is_an_error() -> None:
    with pytest.raises(yaml.YAMLError, match="a"):
        parse("x: {a: 1, b: 2, a: 3}")
