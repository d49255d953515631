"""Each page *.zh-CN.md has the commands, tables, links and sections of the English page, and Chinese punctuation."""

import re
from pathlib import Path

import pytest

from tests.chart.render import PRESETS, ROOT

CHINESE = [
    *ROOT.glob("*.zh-CN.md"),
    *(ROOT / "docs").glob("*.zh-CN.md"),
    *(ROOT / "examples").glob("**/*.zh-CN.md"),
    *PRESETS.glob("*.zh-CN.md"),
]
HAN = r"[\u3400-\u9fff]"
FULL_WIDTH = r"[\u3001\u3002\u201c\u201d\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f]"
HALF_WIDTH = re.compile(rf"{HAN}[ ]?[,;:!?()]|{HAN}\.(?!\w)|[,;!?()](?=[ ]?{HAN})|:(?={HAN})")
SPACED = re.compile(rf"(?<![\n|*-]) {FULL_WIDTH}|{FULL_WIDTH} (?![|*&<])")


def english(page: Path) -> Path:
    return page.with_name(page.name.replace(".zh-CN", ""))


@pytest.fixture(params=CHINESE, ids=lambda page: page.name)
def pages(request: pytest.FixtureRequest) -> tuple[str, str]:
    page: Path = request.param
    return english(page).read_text(), page.read_text()


def code(text: str) -> list[str]:
    """Return the lines of fenced and indented code blocks, without comments."""
    fenced = "\n".join(re.findall(r"^ *```\w*\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL))
    indented = re.findall(r"(?<=\n) {4,}[^ \n].*", text)
    return [line.partition(" #")[0].strip() for line in [*fenced.splitlines(), *indented]]


def prose(text: str) -> str:
    """Return the text without code, links' targets and HTML entities; code spans become Latin letters."""
    text = re.sub(r"^ *```\w*\n.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"(?<=\n) {4,}[^ \n].*", "", text)
    text = re.sub(r"`[^`\n]+`", "code", text)
    return re.sub(r"\]\([^)]*\)", "]", text)


def levels(text: str) -> list[str]:
    return re.findall(r"^#+(?= )", text, re.MULTILINE)


def rows(text: str) -> list[list[str]]:
    """Return the code spans in each row of each table."""
    return [sorted(re.findall(r"`[^`]+`", line)) for line in text.splitlines() if line.startswith("|")]


def links(text: str) -> list[str]:
    """Return the linked pages and addresses without anchors, which differ between the languages."""
    found = re.findall(r"\]\(([^)#]*)[^)]*\)", text)
    return sorted(link.replace(".zh-CN", "") for link in found if not link.endswith(("README.md", "README.zh-CN.md")))


def test_every_page_for_users_is_translated() -> None:
    english_only = {"CHANGELOG.md", "CONTRIBUTING.md", "RELEASE.md", "SECURITY.md", "kuscia-facts.md"}
    every = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("**/*.md")]
    all_pages = {page.name for page in every}
    translated = {page.name for page in CHINESE}
    assert {name for name in all_pages - translated if name.replace(".md", ".zh-CN.md") not in translated} == (
        english_only
    )


@pytest.mark.parametrize("index", ["README.md", "README.zh-CN.md"])
def test_index_links_every_page(index: str) -> None:
    text = (ROOT / "docs" / index).read_text()
    language = {page.name for page in (ROOT / "docs").glob("*.md") if (".zh-CN" in page.name) == (".zh-CN" in index)}
    assert [name for name in sorted(language - {index}) if f"]({name})" not in text] == []


def test_translations_have_the_same_commands(pages: tuple[str, str]) -> None:
    assert code(pages[1]) == code(pages[0])


def test_translations_have_the_same_headings(pages: tuple[str, str]) -> None:
    assert levels(pages[1]) == levels(pages[0])


def test_translations_have_the_same_tables(pages: tuple[str, str]) -> None:
    assert rows(pages[1]) == rows(pages[0])


def test_translations_have_the_same_links(pages: tuple[str, str]) -> None:
    original, translated = (links(page) for page in pages)
    assert [link for link in translated if link in original] == original


def test_translations_use_full_width_punctuation(pages: tuple[str, str]) -> None:
    text = prose(pages[1])
    wrong = [line for line in text.splitlines() if HALF_WIDTH.search(line) or SPACED.search(line)]
    assert wrong == []


@pytest.mark.parametrize("text", ["节点,", "参见(下文", "原因:无", "完成.", "见 (下文)", "， 然后"])
def test_finds_half_width_punctuation(text: str) -> None:
    assert HALF_WIDTH.search(text) or SPACED.search(text)


@pytest.mark.parametrize(
    "text", ["节点，", "Helm 3.1", "a, b", "表（code）：", "10:30", "1–63 个字符：a-z、0-9、'.' 或 '-'"]
)
def test_accepts_full_width_punctuation(text: str) -> None:
    assert not HALF_WIDTH.search(text)
    assert not SPACED.search(text)
