"""The README's installation: its commands fit together, and its requirements are those of the chart."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.render import ROOT, Object, RenderError, Scenario, edited, pod_template, template_once

# podFailurePolicy of Jobs is enabled by default since this version.
OLDEST_MINOR = 26
PAGES = ["README.md", "README.zh-CN.md"]
PROGRAMS = ("docker", "helm", "kind", "kubectl", "minikube")


def commands(page: str) -> list[list[str]]:
    """Return the words of each command; `$IMAGE` is replaced, a comment is removed."""
    text = (ROOT / page).read_text()
    (image,) = re.findall(r"^ {4,}IMAGE=(\S+)$", text, re.MULTILINE)
    found = re.findall(rf"^ {{4,}}((?:{'|'.join(PROGRAMS)}) .*)$", text, re.MULTILINE)
    return [shlex.split(line.replace("$IMAGE", image), comments=True) for line in found]


def site(page: str) -> dict[str, Any]:
    """Return the example of values/site.yaml."""
    (block,) = re.findall(r"^ *```yaml\n(.*?)^ *```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    values: dict[str, Any] = yaml.safe_load(block)
    return values


def installs(page: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return the namespace and the presets of each command that installs a release."""
    found = []
    for words in commands(page):
        if words[0] == "helm" and words[1] in ("install", "upgrade"):
            assert words[1:5] == ["upgrade", "--install", "kuscia", "./charts/kuscia"]
            files = [words[index + 1] for index, word in enumerate(words) if word == "-f"]
            found.append((words[words.index("-n") + 1], tuple(Path(file).stem for file in files)))
    return found


def hooks_images(page: str, values: Object) -> set[str]:
    """Return the images of the steps that the installed releases use."""
    found = set()
    for namespace, presets in installs(page):
        objects = Scenario("", presets, json.dumps(values), namespace=namespace).objects
        found |= {image for item in objects for image in images(item) if "kuscia-hooks" in image}
    return found


def images(item: Object) -> list[str]:
    template = pod_template(item)
    spec = template["spec"] if template else {}
    return [container["image"] for container in spec.get("initContainers", []) + spec.get("containers", [])]


@pytest.mark.parametrize("page", PAGES)
def test_releases_use_the_image_that_is_built(page: str) -> None:
    """Under its default name in the nodes, or under the name in values/site.yaml in a registry."""
    (default,) = hooks_images(page, {})
    docker = {words[1]: words[2:] for words in commands(page) if words[0] == "docker"}
    assert docker["build"] == ["-t", default, "hooks"]
    assert (ROOT / "hooks/Dockerfile").exists()
    loads = [words for words in commands(page) if words[0] in ("kind", "minikube") or words[:2] == ["docker", "save"]]
    assert [words[0] for words in loads] == ["kind", "minikube", "docker"]
    assert all(default in words for words in loads)
    assert docker["tag"] == [default, *docker["push"]]
    assert hooks_images(page, site(page)) == set(docker["push"])


@pytest.mark.parametrize("page", PAGES)
def test_first_installation_needs_no_own_names(page: str) -> None:
    first, second = installs(page)[:3], installs(page)[3:]
    assert first == [
        ("kuscia-master", ("site", "master")),
        ("lite-alice", ("site", "alice")),
        ("lite-bob", ("site", "bob")),
    ]
    assert {(namespace, presets[:2]) for namespace, presets in second} == set(first)


@pytest.mark.parametrize("page", PAGES)
def test_creates_the_secrets_of_the_presets(page: str) -> None:
    created = {
        (words[words.index("-n") + 1], words[words.index("generic") + 1])
        for words in commands(page)
        if words[0] == "kubectl" and "generic" in words
    }
    needed = set()
    for namespace, presets in installs(page):
        for preset in presets:
            content = yaml.safe_load(edited(preset)) or {}
            source = content.get("lite", {}).get("data", {}).get("source", {})
            if "credentialsSecret" in source:
                needed.add((namespace, source["credentialsSecret"]["name"]))
    assert created == needed
    assert len(needed) == 2


@pytest.mark.parametrize("page", PAGES)
def test_names_the_oldest_kubernetes(page: str) -> None:
    assert template_once(Scenario("default"), kube_version=f"1.{OLDEST_MINOR}.0-rc.1")
    with pytest.raises(RenderError, match=rf"1\.{OLDEST_MINOR - 1}\.16"):
        template_once(Scenario("default"), kube_version=f"1.{OLDEST_MINOR - 1}.16+k3s1")
    assert f"Kubernetes 1.{OLDEST_MINOR} " in (ROOT / page).read_text()


def test_renders_with_a_helm_without_version_stamps() -> None:
    """Such a Helm assumes Kubernetes 1.20."""
    assert template_once(Scenario("default"), "helm3", kube_version="1.20.0")


def test_uses_job_labels_of_all_supported_versions() -> None:
    """Job labels below batch.kubernetes.io exist since 1.27; those without prefix are still set."""
    for path in [ROOT / "bin/kubectl-kuscia", *(ROOT / "hooks/kuscia_hooks").rglob("*.py")]:
        assert "batch.kubernetes.io/" not in path.read_text(), path
