"""Templates show their object: few helpers, short chains of includes, and arguments that are declared.

For comparison: the charts of consul-k8s, zero-to-jupyterhub and temporalio have 35 to 75 helpers, and a chain of 1 to 4
includes in the median template.
"""

import re
import shutil
import statistics
import subprocess
from pathlib import Path

import pytest

from tests.chart.render import CHART, tool

TEMPLATES = sorted(path for path in CHART.rglob("templates/*") if path.suffix in (".tpl", ".yaml", ".txt"))
# A Deployment has a spec, a Role has rules, a ConfigMap has data.
BODY = re.compile(r"^(spec|rules|data|automountServiceAccountToken):", re.MULTILINE)
# Assertions: they print nothing into an object.
ASSERTIONS = {"kuscia.valid", "kuscia.args"}
HELPERS = 90
MEDIAN_DEPTH = 3
MAX_DEPTH = 5

_DEFINE = re.compile(r'\{\{-? ?define "([^"]+)" ?-?\}\}')
_INCLUDE = re.compile(r'include "([^"]+)"')
_ARGUMENTS = re.compile(r'include "kuscia\.args" \(list "([^"]+)" "([^"]+)" \.\)')
# A comment that documents arguments, `{ctx, step, args?}`, and the helper after it.
_DOCUMENTED = re.compile(
    r"/\*(?:(?!\*/).)*?\{(\w+\??(?:, \w+\??)*)\}(?:(?!\*/).)*\*/ ?-?\}\}\n\{\{-? define \"([^\"]+)\"", re.S
)


def _without_comments(text: str) -> str:
    return re.sub(r"\{\{-? ?/\*.*?\*/ ?-?\}\}", "", text, flags=re.S)


def _bodies() -> dict[str, str]:
    """Return the body of each helper."""
    found: dict[str, str] = {}
    for path in TEMPLATES:
        parts = _DEFINE.split(_without_comments(path.read_text()))
        for name, body in zip(parts[1::2], parts[2::2], strict=True):
            assert name not in found, f"{name} is defined twice"
            found[name] = body
    return found


BODIES = _bodies()
OBJECT_FILES = [
    path for path in TEMPLATES if path.suffix == ".yaml" and path.name not in ("validate.yaml", "extra-objects.yaml")
]


def _depth(text: str, seen: tuple[str, ...] = ()) -> int:
    names = set(_INCLUDE.findall(text)) - ASSERTIONS - set(seen)
    return max((1 + _depth(BODIES[name], (*seen, name)) for name in names), default=0)


def _own_text(path: Path) -> str:
    return _DEFINE.split(_without_comments(path.read_text()))[0]


def test_chart_has_few_helpers() -> None:
    assert len(BODIES) <= HELPERS


def test_every_helper_is_used() -> None:
    everything = "\n".join(_without_comments(path.read_text()) for path in TEMPLATES)
    used = set(_INCLUDE.findall(everything))
    for name in re.findall(r'include \(printf "([^"]+)"', everything):
        used |= {name.replace("%s", component) for component in ("master", "lite")}
    assert BODIES.keys() - used == set()


@pytest.mark.parametrize("path", OBJECT_FILES, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_object_file_shows_its_object(path: Path) -> None:
    text = _own_text(path)
    kinds = re.findall(r"^kind: \w+$", text, re.MULTILINE)
    assert kinds
    assert len(kinds) == len(re.findall(r"^apiVersion: ", text, re.MULTILINE))
    assert len(kinds) == len(re.findall(r"^  name: ", text, re.MULTILINE)) - text.count("  kind: Role\n  name: ")
    bodies = len(BODY.findall(text)) + len(re.findall(r"^roleRef:", text, re.MULTILINE))
    assert bodies == len(kinds)


def test_chains_of_includes_are_short() -> None:
    depths = {path: _depth(_own_text(path)) for path in OBJECT_FILES}
    assert statistics.median(depths.values()) <= MEDIAN_DEPTH
    assert max(depths.values()) <= MAX_DEPTH, {path.name: depth for path, depth in depths.items() if depth > MAX_DEPTH}


def _checks_arguments(path: Path) -> bool:
    """Return whether the helpers of a file check their arguments (those of validation and configuration do not)."""
    return path.suffix == ".tpl" and not path.name.startswith(("_validate", "_config", "_notes"))


def test_helpers_check_the_arguments_that_their_comments_declare() -> None:
    checked = 0
    for path in filter(_checks_arguments, TEMPLATES):
        documented = {name: arguments for arguments, name in _DOCUMENTED.findall(path.read_text())}
        for name in _DEFINE.findall(path.read_text()):
            if name == "kuscia.args":
                continue
            declared = _ARGUMENTS.findall(BODIES[name])
            wanted = [(name, documented[name].replace(",", ""))] if name in documented else []
            assert declared == wanted, f"{path.name}: {name}"
            assert declared or not re.search(r"[ (]\.ctx\b", BODIES[name]), f"{path.name}: {name}"
            checked += bool(declared)
    assert checked >= 10


@pytest.mark.parametrize(
    ("arguments", "named"),
    [('dict "ctx" .', "step"), ('dict "ctx" . "step" "x" "hook" true "pod" "" "stat" ""', "stat")],
    ids=["missing", "unknown"],
)
def test_wrong_argument_fails_with_helper_and_argument(tmp_path: Path, arguments: str, named: str) -> None:
    chart = tmp_path / "kuscia"
    shutil.copytree(CHART, chart)
    wrong = chart / "charts/master/templates/wrong.yaml"
    wrong.write_text('{{ include "kuscia.jobName" (ARGUMENTS) }}'.replace("ARGUMENTS", arguments))
    done = subprocess.run([tool("helm"), "template", "kuscia", str(chart)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert re.search(rf"helper kuscia\.jobName .* {named}\b", done.stderr)
