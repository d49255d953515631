"""templates/images.txt lists exactly the images of a release, and one value moves all of them to another registry."""

import dataclasses
import json
import re
from collections.abc import Iterable

import pytest
import yaml

from tests.chart.render import CHART, Object, RenderError, Scenario, parse, pod_template, template_once, with_values
from tests.chart.scenarios import AGAIN

REGISTRY = "mirror.example.net:5000/kuscia"


def listed(text: str) -> list[str]:
    """Return the images that the command of docs/variants.md prints."""
    return re.findall(r"^# image: (.*)$", text, re.MULTILINE)


def used(objects: Iterable[Object]) -> set[str]:
    """Return the images of all containers and of all AppImages."""
    found = set()
    for item in objects:
        template = pod_template(item)
        spec = template["spec"] if template else {}
        found |= {one["image"] for one in spec.get("initContainers", []) + spec.get("containers", [])}
        if item["kind"] == "ConfigMap":
            for name, text in (item.get("data") or {}).items():
                config = yaml.safe_load(text) if name.endswith(".yaml") else None
                for app in (config or {}).get("appImages", {}).values():
                    found.add(f"{app['image']['name']}:{app['image']['tag']}")
    return found


def in_registry(scenario: Scenario) -> Scenario:
    """Return the scenario with another registry."""
    values = json.loads(scenario.values)
    values.setdefault("global", {}).setdefault("kuscia", {})["imageRegistry"] = REGISTRY
    return dataclasses.replace(scenario, values=json.dumps(values))


@pytest.mark.parametrize("scenario", AGAIN)
def test_lists_the_images_of_the_release_in_its_registry(scenario: Scenario) -> None:
    text = template_once(in_registry(scenario))
    images = listed(text)
    assert sorted(images) == sorted(used(parse(text)))
    assert [image for image in images if not image.startswith(f"{REGISTRY}/")] == []


def test_engines_are_in_the_list() -> None:
    image = {"name": "team/engine", "tag": "1.0@sha256:" + "0" * 64}
    values = {"master": {"appImages": {"secretflow-image": {"image": image}}}}
    scenario = with_values("", values, "master")
    engines = [image for image in listed(scenario.text()) if "/secretflow/kuscia" not in image]
    assert engines == [f"secretflow-registry.cn-hangzhou.cr.aliyuncs.com/team/engine:1.0@sha256:{'0' * 64}"]


def test_an_image_of_another_registry_stays_there() -> None:
    image = {"repository": "other.example.com/kuscia", "digest": "sha256:" + "1" * 64}
    scenario = in_registry(with_values("", {"master": {"image": image}}))
    assert f"other.example.com/kuscia@{image['digest']}" in listed(scenario.text())


@pytest.mark.parametrize("component", ["master", "lite"])
def test_lists_images_of_added_containers(component: str) -> None:
    added = {"extraInitContainers": [{"name": "a", "image": "a:1"}], "extraContainers": [{"name": "b", "image": "b:1"}]}
    scenario = with_values("", {component: added}, "master-and-alice")
    images = listed(scenario.text())
    assert {"a:1", "b:1"} < set(images)
    assert sorted(images) == sorted(used(scenario.objects))


@pytest.mark.parametrize("helm", ["helm", "helm3"])
def test_show_only_prints_the_list(helm: str) -> None:
    """The list comes in the same order from every registry, so that two lists can be joined line by line."""
    assert (CHART / "templates/images.txt").exists()
    default, moved = (
        listed(one.text(helm)) for one in (Scenario("", ("master",)), in_registry(Scenario("", ("master",))))
    )
    assert [image.partition("/")[2] for image in default] == [image.removeprefix(f"{REGISTRY}/") for image in moved]


def test_invalid_values_are_reported_by_the_validation() -> None:
    with pytest.raises(RenderError, match=r"\[text-required\]"):
        template_once(with_values("", {"master": {"image": {"tag": 1.1}}}))
