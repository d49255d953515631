"""docs/variants.md and tests/e2e/README.md list the same variants, existing presets and existing tests."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.chart.render import PRESETS, ROOT, find, pod_template, render, tool

PAGES = ["variants.md", "variants.zh-CN.md"]


def table(page: Path, header: str) -> list[list[str]]:
    """Return the rows of the table whose header line starts with the given text."""
    lines = page.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(header))
    found = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def without_links(cell: str) -> str:
    return re.sub(r"\s*\(\[.*?\]\(.*?\)\)", "", cell)


VARIANTS = table(ROOT / "docs/variants.md", "| variant | values |")
TESTED = table(ROOT / "tests/e2e/README.md", "| variant | tests |")
LIFE = table(ROOT / "tests/e2e/README.md", "| situation | tests |")
OTHERS = table(ROOT / "tests/e2e/README.md", "| what | tests |")
TESTS = [name for row in TESTED + LIFE + OTHERS for name in re.findall(r"`(tests/[^`]+)`", row[-1])]


def test_every_variant_has_tests() -> None:
    assert len(VARIANTS) >= 10
    assert all(len(row) == 2 for row in VARIANTS + TESTED)
    assert [without_links(row[0]) for row in VARIANTS] == [row[0] for row in TESTED]
    assert all("`tests/" in row[-1] for row in TESTED)


def test_named_tests_exist() -> None:
    for name in TESTS:
        file, _, function = name.partition("::")
        tree = ast.parse((ROOT / file).read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert any(found.startswith("test_") for found in functions), name
        assert not function or function in functions, name


def test_named_presets_exist() -> None:
    named = {preset for row in VARIANTS for preset in re.findall(r"`([a-z-]+\.yaml)`", row[1])}
    assert named
    assert named <= {path.name for path in PRESETS.glob("*.yaml")}


def test_every_preset_has_a_row() -> None:
    named = {preset for row in VARIANTS for preset in re.findall(r"`([a-z-]+\.yaml)`", row[1])}
    assert {path.name for path in PRESETS.glob("*.yaml")} <= named


def test_every_variant_test_has_a_row() -> None:
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests/e2e").glob("test_variant_*.py")}
    assert files <= {name.partition("::")[0] for name in TESTS}


@pytest.mark.parametrize("page", PAGES)
def test_kubeconfig_needs_the_permissions_of_the_runk_role(page: str) -> None:
    values = {"lite": {"runk": {"enableLogging": True}}}
    role = find(render(values, "alice", "alice-engines-apart"), "Role", "kuscia-lite-alice-runk")
    wanted = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    documented = []
    for resources, verbs in re.findall(
        r"^    kubectl .* create role \S+ --resource=(\S+) --verb=(\S+)$",
        (ROOT / "docs" / page).read_text(),
        re.MULTILINE,
    ):
        documented += [(resource, verb) for resource in resources.split(",") for verb in verbs.split(",")]
    assert sorted(documented) == sorted(wanted)


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_a_pod_name_its_namespace(page: str) -> None:
    for command in re.findall(r"`(kubectl [^`]*)`", (ROOT / "docs" / page).read_text()):
        if re.search(r"\b(exec|cp)\b", command):
            assert "-n lite-alice" in command


@pytest.mark.parametrize("page", PAGES)
def test_values_for_a_quota_set_all_resources(page: str) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    (values,) = [yaml.safe_load(block) for block in blocks if "limits: {cpu" in block]
    checked = 0
    for item in render(values, "master-and-alice"):
        template = pod_template(item)
        spec = template["spec"] if template else {}
        for container in spec.get("initContainers", []) + spec.get("containers", []):
            resources = container["resources"]
            assert {*resources["requests"]} == {*resources["limits"]} == {"cpu", "memory"}, (
                item["kind"],
                container["name"],
            )
            checked += 1
    assert checked > 8


@pytest.mark.parametrize("page", PAGES)
def test_images_are_copied_to_the_registry_of_the_site(page: str, tmp_path: Path) -> None:
    """An image that the machine has, such as the one of the steps, is not pulled."""
    (block,) = re.findall(r"^```sh\n(images\(\).*?)^```$", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "charts").symlink_to(ROOT / "charts")
    (tmp_path / "values").mkdir()
    (tmp_path / "values/master.yaml").write_text((PRESETS / "master.yaml").read_text())
    registry = "registry.example.com/mirror"
    (tmp_path / "values/site.yaml").write_text(f"global: {{kuscia: {{imageRegistry: {registry}}}}}")
    docker = tmp_path / "docker"
    docker.write_text(
        '#!/bin/sh\necho "$*" >> calls\n[ "$1 $2" != "image inspect" ] || case $3 in *hooks*) ;; *) exit 1 ;; esac'
    )
    docker.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{Path(tool('helm')).parent}:/usr/bin:/bin", "HOME": str(tmp_path)}
    subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=tmp_path, env=env, check=True)
    calls = [call.split() for call in (tmp_path / "calls").read_text().splitlines()]
    pushed = [call[1] for call in calls if call[0] == "push"]
    assert pushed == (tmp_path / "mirrored.txt").read_text().split()
    assert len(pushed) == 3
    assert all(image.startswith(f"{registry}/secretflow/") for image in pushed)
    assert [call[1:] for call in calls if call[0] == "tag"] == [
        list(pair) for pair in zip((tmp_path / "images.txt").read_text().split(), pushed, strict=True)
    ]
    assert len([call for call in calls if call[0] == "pull"]) == 2
