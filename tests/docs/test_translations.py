"""Each page *.zh-CN.md says what the English page says, as far as a machine can see: its commands, tables and links."""

import re
from pathlib import Path

import pytest

from tests.chart.render import ROOT

CHINESE = [*ROOT.glob("*.zh-CN.md"), *(ROOT / "docs").glob("*.zh-CN.md")]


def english(page: Path) -> Path:
    return page.with_name(page.name.replace(".zh-CN", ""))


@pytest.fixture(params=CHINESE, ids=lambda page: page.name)
def pages(request: pytest.FixtureRequest) -> tuple[str, str]:
    page: Path = request.param
    return english(page).read_text(), page.read_text()


def code(text: str) -> list[str]:
    """Lines of the code blocks, without their comments."""
    lines = re.findall(r"(?<=\n)    [^ \n].*", text)
    return [line.partition(" #")[0].rstrip() for line in lines]


def levels(text: str) -> list[str]:
    return re.findall(r"^#+(?= )", text, re.MULTILINE)


def rows(text: str) -> list[list[str]]:
    """What is in backticks in each row of each table."""
    return [sorted(re.findall(r"`[^`]+`", line)) for line in text.splitlines() if line.startswith("|")]


def links(text: str) -> list[str]:
    """Pages and addresses, without anchors, which are words of the language."""
    found = re.findall(r"\]\(([^)#]*)[^)]*\)", text)
    return sorted(link.replace(".zh-CN", "") for link in found if not link.startswith("README"))


def test_commands(pages: tuple[str, str]) -> None:
    assert code(pages[1]) == code(pages[0])


def test_headings(pages: tuple[str, str]) -> None:
    assert levels(pages[1]) == levels(pages[0])


def test_tables(pages: tuple[str, str]) -> None:
    assert rows(pages[1]) == rows(pages[0])


def test_links(pages: tuple[str, str]) -> None:
    original, translated = (links(page) for page in pages)
    assert [link for link in translated if link in original] == original


def test_anchors() -> None:
    """Whatever page they are on, in either language."""
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for link, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
            target = page.parent / link if link else page
            headings = re.findall(r"^#+ (.*)", target.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{page.name}: {link}#{anchor}"
