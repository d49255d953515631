"""Shrink a case as long as its fault stays the same."""

from collections.abc import Callable
from dataclasses import replace

from tests.fuzz.generator import Case
from tests.fuzz.values import paths, without


def minimize(case: Case, same: Callable[[Case], bool]) -> Case:
    """Return the smallest case that can be reached by leaving things out.

    Args:
        same: whether a case still has the fault.
    """
    for name, value in (("presets", ()), ("release", "kuscia"), ("namespace", "ns"), ("helm", "helm")):
        case = _smaller(case, same, replace(case, **{name: value}))
    for preset in case.presets[1:]:
        case = _smaller(case, same, replace(case, presets=tuple(name for name in case.presets if name != preset)))
    shrunk = True
    while shrunk:
        shrunk = False
        for path in sorted(paths(case.tree), key=len):
            if path not in paths(case.tree):
                continue
            smaller = replace(case, tree=without(case.tree, path))
            if same(smaller):
                case, shrunk = smaller, True
                break
    return case


def _smaller(case: Case, same: Callable[[Case], bool], candidate: Case) -> Case:
    return candidate if candidate != case and same(candidate) else case
