"""The tables of docs/errors.md and docs/errors.zh-CN.md."""

import re
from dataclasses import dataclass

from tests.chart.render import ROOT

PAGES = ("errors.md", "errors.zh-CN.md")
_ROW = re.compile(r"^\| `(?P<id>[^`]+)` \| (?P<meaning>.+?) \| (?P<where>[^|]+?) \| (?P<fix>.+?) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """One error: its ID, what it means, where it appears, how to fix it."""

    id: str
    meaning: str
    where: frozenset[str]
    fix: str


def rows(page: str) -> list[Row]:
    """Return the rows of all tables with an ID column, in order."""
    found = []
    for table in re.split(r"\n\n", (ROOT / "docs" / page).read_text()):
        if table.startswith("| ID |"):
            lines = table.strip().splitlines()[2:]
            matches = [_ROW.fullmatch(line) for line in lines]
            assert all(matches), [line for line, match in zip(lines, matches, strict=True) if not match]
            found += [Row(m["id"], m["meaning"], frozenset(m["where"].split(", ")), m["fix"]) for m in matches if m]
    return found
