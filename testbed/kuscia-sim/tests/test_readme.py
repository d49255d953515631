"""README.md names existing tests and documents every field of a faults file."""

import ast
import dataclasses
import re
from pathlib import Path

import yaml

from kuscia_sim.faults.rules import ACTIONS, Fault

ROOT = Path(__file__).parents[3]
README = (ROOT / "testbed/kuscia-sim/README.md").read_text()


def _section(heading: str) -> str:
    return README.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_every_rule_names_an_existing_test() -> None:
    rows = [line for line in _section("As strict as Kuscia").splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 15
    for row in rows:
        named = re.search(r"\| `(\S+\.py)::(test_\w+)` \|$", row)
        assert named, row
        tree = ast.parse((ROOT / named[1]).read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert named[2] in functions, row


def test_every_fault_field_is_documented() -> None:
    rows = [line for line in _section("Faults").splitlines() if line.startswith("| `")]
    fields = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert fields == {field.name for field in dataclasses.fields(Fault)}
    said = {row.split("|")[1].strip(): row.split("|")[2] for row in rows}
    assert set(ACTIONS) <= set(re.findall(r"`(\w+)`", said["`at`"]))
    assert {do for actions in ACTIONS.values() for do in actions} <= set(re.findall(r"`(\w+)`", said["`do`"]))


def test_example_is_a_valid_faults_file() -> None:
    lines = [line for line in _section("Faults").splitlines() if line.startswith("    - ")]
    faults = [Fault.parse(entry, "README.md") for entry in yaml.safe_load("\n".join(lines))]
    assert {fault.do for fault in faults} >= {"fail", "lose", "stall", "reset", "login", "delay"}
