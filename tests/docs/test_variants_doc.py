"""docs/variants.md names tests and presets that exist, and all of them."""

import ast
import re

import pytest

from tests.chart.render import PRESETS, ROOT, find, render

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs/variants.md").read_text().split("\n## ")[0].splitlines()
    if line.startswith("| ") and "`tests/" in line
]
TESTS = [name for row in ROWS for name in re.findall(r"`(tests/[^`]+)`", row[-1])]


def test_rows_have_three_cells_and_a_test() -> None:
    assert len(ROWS) >= 10
    assert all(len(row) == 3 for row in ROWS)


def test_every_named_test_exists() -> None:
    for name in TESTS:
        file, _, function = name.partition("::")
        tree = ast.parse((ROOT / file).read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert any(found.startswith("test_") for found in functions), name
        assert not function or function in functions, name


def test_every_named_preset_exists() -> None:
    named = {preset for row in ROWS for preset in re.findall(r"`([a-z-]+\.yaml)`", row[1])}
    assert named
    assert named <= {path.name for path in PRESETS.glob("*.yaml")}


def test_every_variant_test_has_a_row() -> None:
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests/e2e").glob("test_variant_*.py")}
    assert files <= {name.partition("::")[0] for name in TESTS}


@pytest.mark.parametrize("page", ["variants.md", "variants.zh-CN.md"])
def test_a_kubeconfig_needs_what_the_role_of_runk_has(page: str) -> None:
    values = {"lite": {"runk": {"enableLogging": True}}}
    role = find(render(values, "alice", "alice-engines-apart"), "Role", "kuscia-lite-alice-runk")
    wanted = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    told = []
    for resources, verbs in re.findall(
        r"^    kubectl .* create role \S+ --resource=(\S+) --verb=(\S+)$",
        (ROOT / "docs" / page).read_text(),
        re.MULTILINE,
    ):
        told += [(resource, verb) for resource in resources.split(",") for verb in verbs.split(",")]
    assert sorted(told) == sorted(wanted)


@pytest.mark.parametrize("page", ["variants.md", "variants.zh-CN.md"])
def test_commands_in_a_pod_say_whose_namespace(page: str) -> None:
    for command in re.findall(r"`(kubectl [^`]*)`", (ROOT / "docs" / page).read_text()):
        if re.search(r"\b(exec|cp)\b", command):
            assert "-n lite-alice" in command
