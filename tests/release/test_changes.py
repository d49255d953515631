"""The changes of a release, from CHANGELOG.md and from fragments."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from release import changes
from release.changes import Change
from release.versions import version

KINDS = {"added", "changed", "deprecated", "removed", "fixed", "security"}


def test_kinds_are_those_of_artifact_hub() -> None:
    assert set(changes.kinds().values()) == KINDS


def test_fragments_of_this_tree_have_kinds() -> None:
    for path in changes.fragments():
        assert path.name.startswith("+"), path
        assert path.name.split(".")[-2] in KINDS, path


def test_kinds_are_documented() -> None:
    page = (changes.ROOT / changes.FRAGMENTS / "README.md").read_text()
    assert {kind for kind in KINDS if f"| `{kind}` |" in page} == KINDS


def test_fragments_become_the_section_of_a_version(tree: Callable[..., Path]) -> None:
    root = tree("pyproject.toml", "[tool.towncrier]", "[tool.towncrier]")
    (root / "changes/+one.fixed.md").write_text("A release named `y` works.\n")
    draft = changes.notes("9.9.9", root)
    assert Change("fixed", "A release named `y` works.") in changes.parse(draft, root)
    assert {"changes/+one.fixed.md", "CHANGELOG.md"} <= {item.path for item in changes.mismatches("9.9.9", root)}

    command = [sys.executable, "-m", "towncrier", "build", "--yes", "--version", "9.9.9", "--date", "2030-01-01"]
    for arguments in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *arguments], cwd=root, check=True)
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    assert changes.notes("9.9.9", root) == draft
    assert changes.mismatches("9.9.9", root) == []


@pytest.mark.parametrize("text", ["### Improved\n\n- Text.", "A paragraph."])
def test_rejects_what_is_not_a_list_of_a_kind(text: str) -> None:
    with pytest.raises(ValueError, match=r"heading|item"):
        changes.parse(text)


def test_joins_the_lines_of_an_item() -> None:
    assert changes.parse("### Fixed\n\n- One\n  two.\n- Three.") == [
        Change("fixed", "One two."),
        Change("fixed", "Three."),
    ]


def test_links_work_outside_of_the_repository() -> None:
    text = "[a](docs/README.md), [b](https://example.com)"
    assert (
        changes.linked(text, "https://x/blob/v1") == "[a](https://x/blob/v1/docs/README.md), [b](https://example.com)"
    )


def test_this_tree_has_changes_to_release() -> None:
    assert changes.parse(changes.notes(version()))
