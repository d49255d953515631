"""Report words that user-facing text does not use.

Usage: python style/check_words.py [PATH ...]

Without a path it reads all user-facing text of the repository (DEFAULT_PATHS). Of Python files it reads string
literals, docstrings included; of other files every line. Prints `file:line: "found": use …` for each hit and exits 1
if there is one.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

STYLE = Path(__file__).resolve().parent
ROOT = STYLE.parent
MAX_EXCEPTIONS = 20
SUFFIXES = {".md", ".py", ".sh", ".tpl", ".txt", ".yaml", ".yml"}
DEFAULT_PATHS = [
    "charts",
    "hooks",
    "bin",
    "bench",
    "docs",
    "values",
    "testbed",
    "examples",
    *map(str, ROOT.glob("*.md")),
]
SKIPPED = re.compile(r"/(\.\w+|__pycache__|recordings|go\.\w+|charts/kuscia/tests)(/|$)|requirements|/tests?/|/test_")


@dataclass(frozen=True)
class Rule:
    """A forbidden pattern and what to write instead."""

    pattern: re.Pattern[str]
    instead: str


@dataclass(frozen=True)
class Exempt:
    """A line where a forbidden word is right."""

    file: str
    text: str
    reason: str


@dataclass(frozen=True)
class Hit:
    """A forbidden word in a file."""

    file: str
    line: int
    found: str
    text: str
    instead: str

    def __str__(self) -> str:
        return f'{self.file}:{self.line}: "{self.found}": use {self.instead}'


def load_rules(path: Path = STYLE / "words.yaml") -> list[Rule]:
    """Return the rules of a word list."""
    entries: dict[str, str] = yaml.safe_load(path.read_text())
    return [Rule(re.compile(pattern, re.IGNORECASE), instead) for pattern, instead in entries.items()]


def load_exceptions(path: Path = STYLE / "exceptions.yaml") -> list[Exempt]:
    """Return the exempt lines.

    Raises:
        ValueError: there are more than MAX_EXCEPTIONS.
    """
    entries: list[dict[str, Any]] = yaml.safe_load(path.read_text())
    if len(entries) > MAX_EXCEPTIONS:
        raise ValueError(f"{path.name} has {len(entries)} entries, at most {MAX_EXCEPTIONS} are allowed")
    return [Exempt(**entry) for entry in entries]


def user_text(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line numbers and lines of a file that a user may read."""
    text = path.read_text()
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from enumerate(node.value.split("\n"), node.lineno)


def find_hits(lines: Iterable[tuple[int, str]], file: str, rules: list[Rule]) -> Iterator[Hit]:
    """Yield each match of a rule. A phrase that continues on the next line is found too."""
    numbered = list(lines)
    for index, (number, line) in enumerate(numbered):
        following = numbered[index + 1] if index + 1 < len(numbered) else (0, "")
        rest = re.sub(r"^[\s#>*-]+", "", following[1]) if following[0] == number + 1 else ""
        for rule in rules:
            for match in rule.pattern.finditer(f"{line.rstrip()} {rest}"):
                if match.start() < len(line.rstrip()):
                    yield Hit(file, number, match[0], line, rule.instead)


def files_below(path: Path) -> list[Path]:
    """Return a file itself, or the user-facing files of a directory."""
    if path.is_file():
        return [path]
    found = (item for item in sorted(path.rglob("*")) if item.is_file())
    return [
        item
        for item in found
        if (item.suffix in SUFFIXES or item.parent.name == "bin") and not SKIPPED.search(item.as_posix())
    ]


def check(paths: Iterable[Path], rules: list[Rule], exceptions: list[Exempt]) -> tuple[list[Hit], list[Exempt]]:
    """Return the hits that are not exempt, and the exceptions that were used."""
    hits: list[Hit] = []
    used: list[Exempt] = []
    for path in (file for top in paths for file in files_below(top)):
        name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.as_posix()
        for hit in find_hits(user_text(path), name, rules):
            exempt = [entry for entry in exceptions if entry.file == name and entry.text in hit.text]
            used += exempt
            if not exempt:
                hits.append(hit)
    return hits, used


def main(arguments: list[str]) -> int:
    """Check the given paths, or all user-facing text; return the exit code."""
    paths = [Path(argument).resolve() for argument in arguments]
    everything = [path for path in (ROOT / name for name in DEFAULT_PATHS) if path.exists()]
    exceptions = load_exceptions()
    hits, used = check(paths or everything, load_rules(), exceptions)
    for hit in hits:
        print(hit)
    unused = [] if paths else [entry for entry in exceptions if entry not in used]
    for entry in unused:
        print(f'style/exceptions.yaml: unused exception for {entry.file}: "{entry.text}"')
    return 1 if hits or unused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
