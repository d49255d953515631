"""The commands in the comments of values/ can be run in their order: what they need is made before it is used."""

import re
from pathlib import Path

import pytest

from tests.chart.render import PRESETS, RenderError, Scenario, find, template

FILES = sorted(PRESETS.glob("*.yaml"))


def commands(path: Path) -> list[str]:
    """Those of the comments, continued lines put together."""
    text = re.sub(r" \\\n#\s+", " ", path.read_text())
    return re.findall(r"^\s*#   ((?:kubectl|helm) .*)$", text, re.MULTILINE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_namespace_is_made_before_it_is_used(path: Path) -> None:
    """By itself, or by a helm install; alice.yaml and its like make it first and the Secret after."""
    made: set[str] = set()
    used = []
    for command in commands(path):
        if found := re.match(r"kubectl create namespace (\S+)", command):
            made.add(found[1])
            continue
        found = re.search(r" -n (\S+)", command) or re.search(r" label namespace (\S+)", command)
        assert found, command
        if "--create-namespace" in command:
            assert found[1] not in made or "helm upgrade" in command, f"{command}: it is there already"
            made.add(found[1])
        elif not re.search(r" get | rollout | logs | cp ", command):
            assert found[1] in made, f"nobody made the namespace: {command}"
        used.append(command)
    assert any(command.startswith("helm ") for command in used)


def test_rootless_names_the_preset_that_it_does_not_go_with() -> None:
    with pytest.raises(RenderError, match=r"lite\.rootless"):
        template(Scenario("", ("alice", "alice-runc", "rootless")))
    assert "any other preset but alice-runc.yaml" in (PRESETS / "rootless.yaml").read_text()


def test_private_registry_names_what_it_does_to_a_master_with_lites_under_runp() -> None:
    routes = find(Scenario("", ("master", "private-registry")).objects, "ConfigMap", "kuscia-master-routes")
    assert "registry.example.com/secretflow/secretflow-lite-anolis8" in routes["data"]["routes.yaml"]
    text = (PRESETS / "private-registry.yaml").read_text()
    assert "master.appImages.secretflow-image.image.name" in text
    assert "RunP" in text


def test_partner_is_not_for_a_lite_that_reads_its_token_from_the_master() -> None:
    """It takes away where alice.yaml reads hers."""
    alice = find(Scenario("", ("alice", "partner")).objects, "ConfigMap", "kuscia-lite-alice-config")
    assert "deployToken: null" in alice["data"]["prepare.yaml"]
    assert "on top of alice.yaml" not in (PRESETS / "partner.yaml").read_text().split("Not")[0]
