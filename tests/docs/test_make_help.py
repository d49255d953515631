"""`make help` lists every target and variable of the Makefile, and pages name existing targets."""

import re
import subprocess

import pytest

from tests.chart.render import ROOT

TEXT = (ROOT / "Makefile").read_text()
TARGETS = {target for line in re.findall(r"^\.PHONY:(.*)", TEXT, re.MULTILINE) for target in line.split()}
PAGES = ["README.md", "CONTRIBUTING.md", "RELEASE.md", "testbed/README.md"]


@pytest.fixture(scope="module")
def listed() -> set[str]:
    """The first word of each line of `make help`."""
    done = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}


def test_lists_every_target(listed: set[str]) -> None:
    assert len(TARGETS) > 25
    assert {target for target in TARGETS if not target.startswith(("$", "."))} - listed == set()


def test_lists_every_variable(listed: set[str]) -> None:
    variables = set(re.findall(r"^([A-Z_]+) \?=", TEXT, re.MULTILINE))
    assert len(variables) > 5
    assert variables - listed == set()


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_existing_targets(page: str) -> None:
    text = (ROOT / page).read_text()
    named = set(re.findall(r"(?:`|^ {4,})make ([a-z][a-z0-9-]*)", text, re.MULTILINE))
    assert named
    assert named - TARGETS == set()
