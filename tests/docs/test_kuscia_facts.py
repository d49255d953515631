"""Every citation "Kuscia facts N.N" in the repository names a chapter, section or numbered fact of that page."""

import re
import subprocess

import pytest

from tests.chart.render import ROOT

PAGE = ROOT / "docs/kuscia-facts.md"
NUMBER = r"(\d+(?:\.\d+)?)"
SEPARATOR = r"(?:, | and |, and )(?:chapter )?"
CITATION = re.compile(rf"Kuscia facts,? (?:chapters? )?{NUMBER}((?:{SEPARATOR}{NUMBER}(?![\w.#]*\w))*)")
COMMENT = re.compile(r"\n\s*(?:#|//|\*)?\s*")


def numbers_of_page() -> set[str]:
    """Return the numbers that can be cited: of headings, of the list in chapter 0 and of the table in section 12.6."""
    text = PAGE.read_text()
    headings = re.findall(rf"^###? {NUMBER}\.? ", text, re.MULTILINE)
    first_chapter = text.split("\n## 0. ")[1].split("\n## 1. ")[0]
    return {*headings, *(f"0.{number}" for number in re.findall(r"^(\d+)\. ", first_chapter, re.MULTILINE))}


def cited_in(text: str) -> list[str]:
    """Return the numbers of all citations of a text, also where a citation continues on the next line."""
    joined = COMMENT.sub(" ", text)
    return [number for found in CITATION.finditer(joined) for number in re.findall(NUMBER, found[0])]


def tracked_files() -> list[str]:
    done = subprocess.run(
        ["git", "grep", "-lI", "Kuscia$\\|Kuscia facts", "--", ":!*.jsonl"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("(Kuscia facts 7.4).", ["7.4"]),
        ("(Kuscia facts 5.3, 6.2 and\n# 16.4)", ["5.3", "6.2", "16.4"]),
        ("(Kuscia facts, chapter 4): it", ["4"]),
        ("(Kuscia\n    # facts 12.6, number 3)", ["12.6"]),
        ("Kuscia facts 6.4), a lite (16.2)", ["6.4"]),
    ],
)
def test_finds_citations(text: str, numbers: list[str]) -> None:
    assert cited_in(text) == numbers


def test_cited_numbers_exist() -> None:
    cited = {name: cited_in((ROOT / name).read_text()) for name in tracked_files()}
    assert sum(map(len, cited.values())) > 50
    known = numbers_of_page()
    unknown = {name: missing for name, found in cited.items() if (missing := sorted({*found} - known))}
    assert not unknown
