"""Commands for Helm in all pages can be repeated, and install with the settings of the site."""

import re
from pathlib import Path

import pytest

from tests.chart.render import CHART, PRESETS, ROOT

PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "examples").rglob("*.md"),
    *PRESETS.glob("*.md"),
    CHART / "README.md",
]


def commands(page: Path) -> list[str]:
    """Return the commands in code blocks that install or upgrade the chart, with continued lines joined."""
    text = re.sub(r" \\\n\s+", " ", page.read_text())
    return re.findall(r"^\s*(helm +(?:install|upgrade) .*)$", text, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_do_not_reuse_values(page: Path) -> None:
    """Helm would ignore the defaults of a new chart, and the result would be in no file: docs/operations.md."""
    text = page.read_text().replace("\\\n", "")
    assert not re.search(r"\bhelm\b[^`\n]*--(reuse|reset|reset-then-reuse)-values", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_with_the_values_file_link_its_explanation(page: Path) -> None:
    text = page.read_text()
    if "$NAME.values.yaml" in text:
        assert re.search(
            r"operations(\.md#change-values|\.zh-CN\.md#修改-values)|^## (Change|修改) values$", text, re.MULTILINE
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_can_be_repeated_and_start_with_site(page: Path) -> None:
    for command in commands(page):
        assert command.startswith("helm upgrade --install "), command
        files = re.findall(r"-f (\S+)", command)
        assert files, command
        if any(file.startswith("values/") for file in files):
            assert files[0] == "values/site.yaml", command


def test_finds_commands() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 20
