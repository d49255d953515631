"""Relative links and anchors of all Markdown files resolve, and so do pages that other files name."""

import posixpath
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.chart.render import ROOT
from tests.docs.pages import PAGES, tracked

CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^]]+\]: (\S+)$", re.MULTILINE)
NAMED = re.compile(
    r"(?<![\w./-])(?<!SecretFlow's )((?:docs|values|examples|testbed|hooks|bench)/[\w./-]+\.md)(#[\w-]+)?"
)


@cache
def anchors(path: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    text = re.sub(r"^ *```.*?^ *```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    found: Counter[str] = Counter()
    result = set()
    for heading in re.findall(r"^#+ (.*)", text, re.MULTILINE):
        title = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        result.add(f"{slug}-{found[slug]}" if found[slug] else slug)
        found[slug] += 1
    return result


def dead(page: str, links: list[str]) -> list[str]:
    """Return the links of a page without a file in the repository, or without such a heading."""
    result = []
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        file = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
        target = ROOT / file
        if file.startswith("../") or not target.exists() or (anchor and anchor not in anchors(target)):
            result.append(link)
    return result


def links(text: str) -> list[str]:
    return [inline or reference for inline, reference in LINK.findall(CODE.sub("", text))]


@pytest.mark.parametrize("page", PAGES)
def test_links_resolve(page: str) -> None:
    place = "CHANGELOG.md" if page.startswith("changes/+") else page  # which fragments become a part of
    assert dead(place, links((ROOT / page).read_text())) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith(("README", "docs/", "values/"))])
def test_links_are_named_by_titles(page: str) -> None:
    """Readers of the site see titles, not file names."""
    assert re.findall(r"\[`?[\w./-]+\.md`?\]\((?!http)[^)]*\)", (ROOT / page).read_text()) == []


def test_finds_links() -> None:
    assert sum(len(links((ROOT / page).read_text())) for page in PAGES) > 300
    assert links("[a](b.md#c) `[d](e.md)`\n```\n[f](g.md)\n```\n[h]: i.md\n") == ["b.md#c", "i.md"]


@pytest.mark.parametrize(
    "link", ["nothing.md", "docs/README.md#nothing", "#nothing", "../README.md", "docs/nothing/", "docs/errors.md#-"]
)
def test_reports_dead_links(link: str) -> None:
    assert dead("README.md", [link]) == [link]


def test_pages_named_by_other_files_exist() -> None:
    """In comments, messages, NOTES and errors, relative to the repository."""
    files = tracked("*.yaml", "*.yml", "*.tpl", "*.txt", "*.py", "*.sh", "*.json", "bin/*", "Makefile", "*Dockerfile")
    named = 0
    for file in {*files} - {"tests/docs/test_links.py"}:
        found = ["".join(match) for match in NAMED.findall((ROOT / file).read_text(errors="replace"))]
        named += len(found)
        assert dead("", found) == [], file
    assert named > 20
