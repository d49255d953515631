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
    return re.findall(r"^\s*(helm (?:install|upgrade) .*)$", text, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_can_be_repeated_and_start_with_site(page: Path) -> None:
    for command in commands(page):
        if "--reuse-values" in command:
            continue
        assert command.startswith("helm upgrade --install "), command
        files = re.findall(r"-f (\S+)", command)
        assert files, command
        if any(file.startswith("values/") for file in files):
            assert files[0] == "values/site.yaml", command


def test_finds_commands() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 20
