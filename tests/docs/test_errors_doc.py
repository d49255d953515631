"""docs/errors.md quotes messages that the chart and the steps have, and names tests that exist."""

import ast
import functools
import re
from pathlib import Path

import pytest

from tests.chart.render import CHART, ROOT
from tests.docs.test_variants_doc import TESTS as VARIANT_TESTS

DOCUMENT = ROOT / "docs/errors.md"
HEADER = ["what is wrong", "where", "message", "what to do", "test"]
# Words of Helm, of a driver or of Kuscia: the test that is named has them.
OTHERS = re.compile(r"(?:Helm|Kuscia|kubelet|driver): ")
SHORTEST = 8


def _rows() -> list[list[str]]:
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in rows if row != HEADER]


ROWS = _rows()


def _quoted(cell: str) -> str:
    """What stands between the first and the last backtick, with … where values are."""
    begin, end = cell.index("`"), cell.rindex("`")
    return cell[begin + 1 : end].replace("\\|", "|")


def _texts(tree: ast.AST) -> list[str]:
    """The text literals of a module but for docstrings, with … where a value is put in."""
    found = []
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if id(node) in docstrings:
            continue
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
            found.append("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(re.sub(r"\{\w*(![rs])?\}", "…", node.value))
    return found


@functools.cache
def _source() -> str:
    """All texts of the steps and the templates, with … where a value is put in, apart by line breaks."""
    texts = []
    for path in sorted((ROOT / "hooks/kuscia_hooks").rglob("*.py")):
        texts += _texts(ast.parse(path.read_text()))
    for path in sorted(CHART.rglob("templates/**/*")):
        if path.suffix in (".tpl", ".yaml", ".txt"):
            texts.append(re.sub(r"\{\{.*?\}\}|%[sdvq]", "…", path.read_text()))
            texts.append(re.sub(r"%[sdvq]", "…", path.read_text()))
    return "\n".join(texts)


def _occurs(message: str, source: str) -> bool:
    """Whether the message is there; one … in it may stand for more than one value."""
    pattern = "….*?".join(map(re.escape, message.split("…")))
    return re.search(pattern.removeprefix("….*?").removesuffix("….*?"), source) is not None


def test_tables_are_complete() -> None:
    assert len(ROWS) > 100
    assert [row for row in ROWS if len(row) != len(HEADER) or not all(row)] == []


@pytest.mark.parametrize("row", ROWS, ids=[f"{number}-{row[0]}" for number, row in enumerate(ROWS)])
def test_message_is_there(row: list[str]) -> None:
    _, _, message, _, test = row
    text = _quoted(message)
    assert max(len(part) for part in text.split("…")) >= SHORTEST, "too little of it to be found"
    if OTHERS.match(message):
        assert text in (ROOT / test.strip("`").partition("::")[0]).read_text()
    else:
        assert _occurs(text, _source()), text


def test_another_message_is_noticed() -> None:
    source = _source()
    assert _occurs("Secret … does not exist", source)
    for wrong in ("Secret … is not there", "Secret does not exist", "RunK needs cpu and memory"):
        assert not _occurs(wrong, source), wrong


def test_every_named_test_exists() -> None:
    for row in ROWS:
        name = row[-1].strip("`")
        file, _, function = name.partition("::")
        if file.endswith(".yaml"):
            assert "tests:" in Path(ROOT, file).read_text(), name
            continue
        tree = ast.parse((ROOT / file).read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name


def test_every_kind_of_variant_has_rows() -> None:
    """Each module of e2e tests with a variant that can be given wrong input."""
    named = {row[-1].strip("`").partition("::")[0] for row in ROWS}
    without = {
        # Their wrong input is that of the releases they are made of.
        "tests/e2e/test_variant_together.py",
        "tests/e2e/test_variant_version.py",
        "tests/e2e/test_variant_backup_database.py",
        # What is wrong with its values the chart says, whose tests are named.
        "tests/e2e/test_variant_routes.py",
    }
    modules = {name.partition("::")[0] for name in VARIANT_TESTS if "/test_variant_" in name}
    assert modules - named == without
