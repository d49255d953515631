"""The README's installation: its commands fit together, and its requirements are those of the chart."""

import json
import re
import shlex
from typing import Any

import pytest
import yaml

from tests.chart.render import ROOT, Object, RenderError, Scenario, parse, pod_template, template_once

# podFailurePolicy of Jobs is enabled by default since this version.
OLDEST_MINOR = 26
PAGES = ["README.md", "README.zh-CN.md"]


def commands(page: str) -> list[list[str]]:
    """Return the words of each docker, kubectl create and helm command."""
    text = (ROOT / page).read_text()
    return [shlex.split(line) for line in re.findall(r"^ {4,}((?:docker|helm|kubectl) .*)$", text, re.MULTILINE)]


def site(page: str) -> dict[str, Any]:
    """Return the example of site.yaml."""
    (block,) = re.findall(r"^ *```yaml\n(.*?)^ *```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    values: dict[str, Any] = yaml.safe_load(block)
    return values


def values_files(words: list[str]) -> list[str]:
    return [words[index + 1] for index, word in enumerate(words) if word == "-f"]


def releases(page: str) -> dict[str, list[Object]]:
    """Return the rendered objects of each installed release by namespace."""
    rendered = {}
    for words in commands(page):
        if words[:3] == ["helm", "upgrade", "--install"]:
            preset, own = values_files(words)
            assert own == "site.yaml"
            namespace = words[words.index("-n") + 1]
            name = preset.removeprefix("values/").removesuffix(".yaml")
            scenario = Scenario("", (name,), json.dumps(site(page)), namespace=namespace)
            rendered[namespace] = parse(template_once(scenario))
    return rendered


def images(item: Object) -> list[str]:
    template = pod_template(item)
    spec = template["spec"] if template else {}
    return [container["image"] for container in spec.get("initContainers", []) + spec.get("containers", [])]


@pytest.mark.parametrize("page", PAGES)
def test_releases_use_the_pushed_image(page: str) -> None:
    docker = [words for words in commands(page) if words[0] == "docker"]
    assert [words[1] for words in docker] == ["build", "push"]
    (built, context), (pushed,) = docker[0][3:], docker[1][2:]
    assert docker[0][2] == "-t"
    assert built == pushed
    assert (ROOT / context / "Dockerfile").exists()
    rendered = releases(page)
    assert sorted(rendered) == ["kuscia-master", "lite-alice", "lite-bob"]
    for objects in rendered.values():
        used = {image for item in objects for image in images(item)}
        assert {image for image in used if "kuscia-hooks" in image} == {pushed}


@pytest.mark.parametrize("page", PAGES)
def test_creates_the_secrets_of_the_presets(page: str) -> None:
    created = {
        (words[words.index("-n") + 1], words[words.index("generic") + 1])
        for words in commands(page)
        if words[0] == "kubectl" and "generic" in words
    }
    needed = set()
    for words in commands(page):
        if words[:3] == ["helm", "upgrade", "--install"]:
            preset = yaml.safe_load((ROOT / values_files(words)[0]).read_text())
            if "lite" in preset:
                secret = preset["lite"]["data"]["source"]["credentialsSecret"]["name"]
                needed.add((words[words.index("-n") + 1], secret))
    assert created == needed
    namespaces = {words[3] for words in commands(page) if words[:3] == ["kubectl", "create", "namespace"]}
    assert namespaces == {namespace for namespace, _ in created}


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
