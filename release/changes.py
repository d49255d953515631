"""The changes of a release: from CHANGELOG.md, or from the fragments in changes/ while it is not released."""

import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from release.versions import ROOT, Mismatch

CHANGELOG = "CHANGELOG.md"
FRAGMENTS = "changes"


@dataclass(frozen=True)
class Change:
    """One change.

    Args:
        kind: a kind of Artifact Hub: added, changed, deprecated, removed, fixed or security.
        description: one sentence or more, in Markdown.
    """

    kind: str
    description: str


def kinds(root: Path = ROOT) -> dict[str, str]:
    """Return heading -> kind, as pyproject.toml defines the kinds of fragments."""
    types = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["towncrier"]["type"]
    return {item["name"]: item["directory"] for item in types}


def section(version: str, root: Path = ROOT) -> str:
    """Return the text of a released version in CHANGELOG.md without its heading; empty if it has none."""
    text = (root / CHANGELOG).read_text()
    found = re.search(rf"^## {re.escape(version)} [^\n]*\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def fragments(root: Path = ROOT) -> list[Path]:
    """Return the fragments of changes that are not released."""
    return sorted(path for path in (root / FRAGMENTS).glob("*.md") if path.name != "README.md")


def notes(version: str, root: Path = ROOT) -> str:
    """Return the changes of a version as Markdown: its section, or what the fragments will become.

    Raises:
        subprocess.CalledProcessError: towncrier failed; its output was printed.
    """
    released = section(version, root)
    if released:
        return released
    command = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", version, "--date", "unreleased"]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.partition("\n")[2].strip()


def linked(text: str, base: str) -> str:
    """Return Markdown with the links of the repository as addresses below `base`, for readers elsewhere."""
    return re.sub(r"\]\((?!https?:)", f"]({base}/", text)


def parse(text: str, root: Path = ROOT) -> list[Change]:
    """Return the changes in the text of a version.

    Raises:
        ValueError: there is a heading that is not a kind, or a text that is not a list item.
    """
    names, found, kind = kinds(root), [], ""
    for line in text.splitlines():
        if line.startswith("### "):
            heading = line.removeprefix("### ").strip()
            if heading not in names:
                raise ValueError(f"heading {heading!r} is not one of {', '.join(names)}")
            kind = names[heading]
        elif line.startswith("- "):
            found.append(Change(kind, line.removeprefix("- ").strip()))
        elif line.startswith("  ") and found:
            found[-1] = Change(kind, f"{found[-1].description} {line.strip()}")
        elif line.strip():
            raise ValueError(f"not a list item: {line!r}")
    return found


def mismatches(version: str, root: Path = ROOT) -> list[Mismatch]:
    """Return what CHANGELOG.md and changes/ do not have as a tagged release requires it."""
    wrong = [Mismatch(f"{FRAGMENTS}/{path.name}", "not in CHANGELOG.md", "towncrier build") for path in fragments(root)]
    if not section(version, root):
        wrong.append(Mismatch(CHANGELOG, "no section", f"## {version} (date)"))
    return wrong
