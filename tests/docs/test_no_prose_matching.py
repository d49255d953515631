"""Tests and `doctor` match error IDs and facts. They do not contain the text of our own errors."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ERRORS = re.compile(
    r"(Retryable|Permanent|Config|Step)Error|Problem|invalid|error|Conflict|Waiting|TimedOut|DeadlineExceeded"
)
COMMAND = re.compile(r"\b(kubectl|helm|openssl|curl|mysql|psql|chown|GRANT|CREATE)\b")
"""Commands are facts: users paste them."""
RULE = re.compile(r'"(?:rule|text)" (?:\(printf )?"((?:[^"\\]|\\.)*)"')
WORDS = 4
"""A shared text of this many words is prose; shorter ones are names and facts."""


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls that create an error."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if ERRORS.fullmatch(name):
                yield node


def _texts(tree: ast.AST) -> Iterator[str]:
    """Yield the string literals of a tree; an f-string yields its constant parts."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _messages() -> dict[str, Path]:
    """Return the constant parts of error messages of the steps, with the module of each."""
    found: dict[str, Path] = {}
    for path in sorted((ROOT / "hooks/kuscia_hooks").rglob("*.py")):
        for call in _calls(ast.parse(path.read_text())):
            found |= {text.strip(): path for text in _texts(call) if len(text.split()) >= WORDS}
    return found


def _rules() -> dict[str, Path]:
    """Return the constant parts of the rules and warnings in the templates, with the template of each."""
    found: dict[str, Path] = {}
    for path in sorted((ROOT / "charts/kuscia").rglob("templates/**/*.tpl")):
        for text in RULE.findall(path.read_text()):
            found |= {part.strip(): path for part in re.split(r"%[sdvq]", text) if len(part.split()) >= WORDS}
    return found


def _matched(path: Path) -> Iterator[str]:
    """Yield the literals that a module compares with something: not docstrings, not the errors that it creates."""
    tree = ast.parse(path.read_text())
    ignored = {id(node) for call in _calls(tree) for node in ast.walk(call)}
    ignored |= {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in ignored:
            yield node.value


def _prose(text: str, messages: dict[str, Path]) -> str:
    """Return the message that contains a literal, or ""."""
    plain = re.sub(r"\\(.)", r"\1", text).strip()
    if len(plain.split()) < WORDS or COMMAND.search(plain):
        return ""
    return next((message for message in messages if plain in message or message in plain), "")


def test_finds_matched_prose() -> None:
    messages = {"the deploy token of the domain does not match": ROOT}
    assert _prose("deploy token of the domain", messages)
    assert not _prose("deploy token", messages)
    assert not _prose("Secret lite-alice/alice-oss", messages)


def test_tests_do_not_match_error_texts() -> None:
    messages = _messages()
    assert len(messages) > 80
    hits = [
        f"{path.relative_to(ROOT)}: {text!r}"
        for folder in ("tests/hooks", "tests/e2e", "hooks/kuscia_hooks/inspect")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for text in _matched(path)
        if _prose(text, messages)
    ]
    assert hits == []


def test_tests_do_not_match_rules_of_the_chart() -> None:
    rules = _rules()
    assert len(rules) > 50
    hits = [
        f"{path.relative_to(ROOT)}: {text!r}"
        for folder in ("tests/chart", "tests/e2e")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for text in _matched(path)
        if _prose(text, rules)
    ]
    hits += [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sorted((ROOT / "charts/kuscia/tests").glob("*.yaml"))
        for line in path.read_text().splitlines()
        if "attern:" in line and any(rule in line for rule in rules)
    ]
    assert hits == []
