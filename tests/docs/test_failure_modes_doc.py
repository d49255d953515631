"""docs/failure-modes.md: the tests and error IDs that it names exist, and each step has rows."""

import re

import pytest

from kuscia_hooks.core.catalog import CATALOG
from tests.chart.render import ROOT
from tests.docs.error_pages import rows

PAGES = ("failure-modes.md", "failure-modes.zh-CN.md")
STEPS = ("keys", "prepare", "seed", "register", "routes", "data", "check")
FOLDERS = ("hooks", "chart", "e2e")


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest) -> str:
    return (ROOT / "docs" / request.param).read_text()


def test_named_tests_exist(page: str) -> None:
    named = set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", page))
    assert len(named) > 30
    assert {pair for pair in named if not _exists(*pair)} == set()


def _exists(file: str, test: str) -> bool:
    found = [path for folder in FOLDERS if (path := ROOT / "tests" / folder / file).exists()]
    return any(re.search(rf"^def {test}\(", path.read_text(), re.MULTILINE) for path in found)


def test_every_step_has_failures_with_tests(page: str) -> None:
    steps = [line.split("|")[1] for line in page.splitlines() if line.startswith("| ") and "::" in line]
    for step in STEPS:
        assert sum(f"`{step}`" in found for found in steps) >= 2, step


def test_error_ids_are_those_of_the_error_page(page: str) -> None:
    """A slug of the catalog's form in a row with a test is an ID."""
    known = {row.id for row in rows("errors.md")}
    cells = [cell for line in page.splitlines() if "::" in line for cell in line.split("|")[3:4]]
    named = set(re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+)`", " ".join(cells)))
    assert len(named & set(CATALOG)) > 10
    assert named - known == set()
