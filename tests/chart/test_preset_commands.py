"""The comments of values/: the commands work in their order, and name presets that render together."""

import re
from pathlib import Path

import pytest
import yaml

from tests.chart.error_ids import parse_errors
from tests.chart.render import PRESETS, RenderError, Scenario, find, template

FILES = sorted(PRESETS.glob("*.yaml"))
NAMESPACES = {"master": "kuscia-master", "alice": "lite-alice", "bob": "lite-bob"}


def commands(path: Path) -> list[str]:
    """Return the commands in the comments, with continued lines joined."""
    text = re.sub(r" \\\n#\s+", " ", path.read_text())
    return re.findall(r"^\s*#   ((?:kubectl|helm) .*)$", text, re.MULTILINE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_commands_create_a_namespace_before_they_use_it(path: Path) -> None:
    created: set[str] = set()
    used: list[str] = []
    for command in commands(path):
        if found := re.match(r"kubectl create namespace (\S+)", command):
            created.add(found[1])
            continue
        found = re.search(r" -n (\S+)", command) or re.search(r" label namespace (\S+)", command)
        assert found, command
        if "--create-namespace" in command:
            assert found[1] not in created or "helm upgrade" in command, (
                f"{command}: namespace {found[1]} exists already"
            )
            created.add(found[1])
        elif not re.search(r" get | rollout | logs | cp ", command):
            assert found[1] in created, f"{command}: namespace {found[1]} is not created"
        used.append(command)
    assert any(command.startswith("helm ") for command in used)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_commands_install_with_the_settings_of_the_site(path: Path) -> None:
    """They are rendered without site.yaml, which is empty as shipped."""
    for command in commands(path):
        if command.startswith("helm "):
            found = re.match(r"helm (?:upgrade --install|template) kuscia ./charts/kuscia -n (\S+) ", command)
            assert found, command
            site, *files = re.findall(r"-f (?:values/)?([\w-]+)\.yaml", command)
            assert site == "site"
            assert path.stem in (site, *files)
            assert Scenario("", tuple(files), namespace=found[1]).objects


def presets_in_header(preset: str) -> set[str]:
    """Return the presets that the comment of a preset names before its first colon."""
    header = (PRESETS / f"{preset}.yaml").read_text().split(":")[0]
    return set(re.findall(r"([\w-]+)\.yaml", header))


@pytest.mark.parametrize("overlay", ["mtls", "notls", "protocol-default", "by-certificate", "extra-config", "partner"])
def test_overlays_render_with_the_presets_they_name(overlay: str) -> None:
    bases = presets_in_header(overlay)
    assert "master" in bases
    for base in bases:
        assert Scenario("", (base, overlay), namespace=NAMESPACES[base]).objects


def test_rootless_excludes_runc() -> None:
    with pytest.raises(RenderError) as error:
        template(Scenario("", ("alice", "alice-runc", "rootless")))
    assert [found.id for found in parse_errors(str(error.value))] == ["runc-requires-root"]
    assert presets_in_header("rootless") == {"alice-runc"}


def test_partner_removes_the_token_of_alice() -> None:
    """alice.yaml reads the deploy token in the namespace of the master, so partner.yaml is for bob.yaml only."""
    alice = find(Scenario("", ("alice", "partner")).objects, "ConfigMap", "kuscia-lite-alice-config")
    assert "deployToken" not in yaml.safe_load(alice["data"]["prepare.yaml"])
    assert presets_in_header("partner") == {"master", "bob"}
