"""The README's way to install: its commands fit together, and what it promises is what the chart asks for."""

import re
import shlex

import pytest

from tests.chart.render import ROOT, Object, RenderError, Scenario, parse, pod_template, template_once, with_values

# podFailurePolicy of Jobs is on by default since then.
OLDEST_MINOR = 26
PAGES = ["README.md", "README.zh-CN.md"]


def commands(page: str) -> list[list[str]]:
    """The words of each command, variables put in."""
    text = (ROOT / page).read_text()
    given: dict[str, str] = {}
    found = []
    for line in re.findall(r"^    ((?:docker|helm|HOOKS=).*)$", text, re.MULTILINE):
        name, _, value = line.partition("=")
        if name == "HOOKS":
            given["$HOOKS"] = value
            continue
        found.append([given.get(word, word) for word in shlex.split(line)])
    return found


def nested(setting: str) -> Object:
    """What `--set` makes of a.b=c."""
    path, _, value = setting.partition("=")
    values: Object | str = value
    for key in reversed(path.split(".")):
        values = {key: values}
    assert isinstance(values, dict)
    return values


def images(item: Object) -> list[str]:
    template = pod_template(item)
    spec = template["spec"] if template else {}
    return [container["image"] for container in spec.get("initContainers", []) + spec.get("containers", [])]


@pytest.mark.parametrize("page", PAGES)
def test_the_installs_take_the_image_that_was_pushed(page: str) -> None:
    docker = [words for words in commands(page) if words[0] == "docker"]
    assert [words[1] for words in docker] == ["build", "push"]
    (built, context), (pushed,) = docker[0][3:], docker[1][2:]
    assert docker[0][2] == "-t"
    assert built == pushed
    assert (ROOT / context / "Dockerfile").exists()
    installs = [words for words in commands(page) if words[:2] == ["helm", "install"]]
    assert len(installs) == 3
    for words in installs:
        preset = words[words.index("-f") + 1].removeprefix("values/").removesuffix(".yaml")
        rendered = template_once(with_values("", nested(words[words.index("--set") + 1]), preset))
        used = {image for item in parse(rendered) for image in images(item)}
        assert {image for image in used if "kuscia-hooks" in image} == {pushed}


@pytest.mark.parametrize("page", PAGES)
def test_the_oldest_kubernetes_is_named(page: str) -> None:
    assert template_once(Scenario("default"), kube_version=f"1.{OLDEST_MINOR}.0-rc.1")
    with pytest.raises(RenderError, match=f"Jobs need podFailurePolicy, .* since Kubernetes 1.{OLDEST_MINOR}"):
        template_once(Scenario("default"), kube_version=f"1.{OLDEST_MINOR - 1}.16+k3s1")
    assert f"Kubernetes 1.{OLDEST_MINOR} " in (ROOT / page).read_text()


def test_a_helm_without_version_stamps_renders() -> None:
    """It takes the cluster that it does not ask for Kubernetes 1.20."""
    assert template_once(Scenario("default"), "helm3", kube_version="1.20.0")


def test_no_label_of_later_versions() -> None:
    """Those of Jobs below batch.kubernetes.io came with 1.27; the plain ones are set to this day."""
    for path in [ROOT / "bin/kubectl-kuscia", *(ROOT / "hooks/kuscia_hooks").rglob("*.py")]:
        assert "batch.kubernetes.io/" not in path.read_text(), path
