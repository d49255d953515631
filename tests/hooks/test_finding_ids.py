"""Every finding of `doctor` has an ID with a summary: its own, or one of the catalog of errors."""

import ast
from collections.abc import Iterator
from pathlib import Path

from kuscia_hooks import inspect
from kuscia_hooks.core.catalog import CATALOG
from kuscia_hooks.inspect.known.engines import ENGINE, JOB
from kuscia_hooks.inspect.known.events import EVENTS, OTHER_EVENT
from kuscia_hooks.inspect.known.host import HOST
from kuscia_hooks.inspect.known.kuscia import KUSCIA
from kuscia_hooks.inspect.known.routes import ROUTE_REASONS
from kuscia_hooks.inspect.known.steps import FIXES
from kuscia_hooks.inspect.known.summaries import finding_ids


def in_code() -> Iterator[str]:
    """The IDs that the code passes to Finding and Report; both branches of a choice."""
    for path in Path(inspect.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Finding", "Report"):
                first = node.args[0]
                for choice in (first.body, first.orelse) if isinstance(first, ast.IfExp) else (first,):
                    if isinstance(choice, ast.Constant):
                        yield str(choice.value)


def found() -> set[str]:
    return {
        one.id for table in (KUSCIA, ENGINE, JOB, EVENTS, (OTHER_EVENT,), HOST, ROUTE_REASONS) for one in table
    } | set(in_code())


def test_every_finding_and_fix_has_a_summary() -> None:
    assert sorted((found() | FIXES.keys()) - CATALOG.keys() - finding_ids().keys()) == []


def test_no_summary_is_unused_or_given_twice() -> None:
    assert sorted(finding_ids().keys() - found() - {"route-not-ready"}) == []
    assert sorted(finding_ids().keys() & CATALOG.keys()) == []
