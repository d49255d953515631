"""docs/comparison.md has a row for each feature, and what shows it exists."""

import ast
import re

import pytest

from tests.chart.render import ROOT

PAGES = {"comparison.md": ("yes", "partly", "not yet"), "comparison.zh-CN.md": ("是", "部分", "尚未")}


def rows(page: str) -> list[list[str]]:
    """Return the cells of each row: number, feature, status, how, shown by."""
    text = (ROOT / "docs" / page).read_text()
    return [line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| \d+ \|", line)]


@pytest.mark.parametrize("page", PAGES)
def test_every_feature_has_a_status(page: str) -> None:
    assert [int(row[0]) for row in rows(page)] == list(range(1, 51))
    assert {row[2] for row in rows(page)} <= set(PAGES[page])
    assert all(len(row) == 5 and row[3] for row in rows(page))


def test_pages_have_the_same_status() -> None:
    english, chinese = ([PAGES[page].index(row[2]) for row in rows(page)] for page in PAGES)
    assert english == chinese


@pytest.mark.parametrize("page", PAGES)
def test_a_feature_is_shown_by_something(page: str) -> None:
    missing = PAGES[page][-1]
    assert [row[1] for row in rows(page) if row[2] != missing and "`" not in row[4]] == []


@pytest.mark.parametrize("page", PAGES)
def test_what_shows_a_feature_exists(page: str) -> None:
    named = [name for row in rows(page) for name in re.findall(r"`([^`]+)`", row[4])]
    assert len(named) > 50
    for name in named:
        path, _, function = name.partition("::")
        assert (ROOT / path).exists(), name
        if function:
            tree = ast.parse((ROOT / path).read_text())
            assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name
