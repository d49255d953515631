"""The rules of single values, in the chart and in the models of the steps: the same cases, the same IDs."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kuscia_hooks.core.config.rules import RuleError, check_rule
from kuscia_hooks.core.config.value_rules import RULES
from schema.rules import rules, table
from tests.chart.error_ids import parse_errors
from tests.chart.render import CHART, Object, RenderError, render, tool
from tests.chart.value_cases import CASES, NOT_TEXT, Cases

TEXT_RULES = {name: rule for name, rule in rules().items() if "minimum" not in rule}


TEMPLATE = """
errors: |
{{- $rules := include "kuscia.valueRules" . | fromJson }}
{{- range .Values.cases }}
{{- $case := dict "path" "x" "value" .value "names" (list .rule) "example" "x" "rules" $rules }}
{{- include "kuscia.validate.scalar" $case | trim | default "{}" | nindent 2 }}
{{- end }}
"""


def _is_general(name: str) -> bool:
    """Return whether a rule is a list of values, such as TLS|NOTLS, which needs no cases."""
    return "|" in name


def test_every_rule_has_cases() -> None:
    assert set(CASES) == {name for name in rules() if not _is_general(name)}


def test_every_rule_says_what_the_value_must_be() -> None:
    assert {name: rule["rule"] for name, rule in rules().items() if not rule["rule"].startswith("must ")} == {}


def test_steps_have_every_rule_of_text() -> None:
    assert {name: (rule.id, rule.rule) for name, rule in RULES.items()} == {
        name: (rule["id"], rule["rule"]) for name, rule in TEXT_RULES.items()
    }


def _cases() -> Iterator[tuple[str, Any, str]]:
    """Yield rule, value, and the ID of the error, "" if the value is accepted."""
    for name, cases in CASES.items():
        yield from ((name, value, "") for value in cases.accepted)
        yield from ((name, value, rules()[name]["id"]) for value in cases.rejected)
        if name in TEXT_RULES:
            not_text = [value for value in NOT_TEXT if isinstance(value, bool) or not rules()[name].get("number")]
            yield from ((name, value, "text-required") for value in not_text)
    for name, rule in rules().items():
        if _is_general(name):
            for value in name.split("|"):
                yield name, value, ""
            yield from (
                (name, value, rule["id"]) for value in ("", "other", f" {value}", f"{value}\n", value.swapcase())
            )


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chart whose only template applies one rule to each entry of `cases` with the helpers of the chart."""
    chart = tmp_path_factory.mktemp("rules")
    (chart / "templates").mkdir()
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: rules, version: 1.0.0}")
    for source in CHART.glob("charts/common/templates/*.tpl"):
        shutil.copy(source, chart / "templates")
    (chart / "templates/cases.yaml").write_text(TEMPLATE)
    return chart


def test_chart_applies_each_rule(chart: Path) -> None:
    cases = list(_cases())
    values = json.dumps({"cases": [{"rule": name, "value": value} for name, value, _ in cases]})
    command = [tool("helm"), "template", "x", str(chart), "--values=-"]
    done = subprocess.run(command, input=values, text=True, capture_output=True, check=True)
    found = [json.loads(line) for line in yaml.safe_load(done.stdout)["errors"].splitlines()]
    assert len(found) == len(cases)
    wrong = [case for case, error in zip(cases, found, strict=True) if error.get("id", "") != case[2]]
    assert wrong == []


def test_steps_apply_each_rule() -> None:
    wrong = []
    for name, value, error_id in _cases():
        if name not in TEXT_RULES or not isinstance(value, str):
            continue
        try:
            check_rule(name, value)
            found = ""
        except RuleError as error:
            found = error.problems[0].id
        if found != error_id:
            wrong.append((name, value, error_id))
    assert wrong == []


def _rejected(names: list[str]) -> Any:
    """Return a value that the first of the rules rejects and all before it accept."""
    cases = CASES.get(names[0], Cases((), ("other",)))
    return cases.rejected[-1] if cases.rejected else 7


def _at(place: str, value: Any) -> Object:
    """Return values with one value at a place of the table."""
    for part in reversed(re.findall(r"\[\]|[^.\[]+", place)):
        value = [value] if part == "[]" else {"alice" if part == "*" else part: value}
    return value


def _merge(one: Any, two: Any) -> Any:
    if isinstance(one, dict) and isinstance(two, dict):
        return {key: _merge(one.get(key), two.get(key)) for key in one | two}
    if isinstance(one, list) and isinstance(two, list):
        return [_merge(one[0], two[0])]
    return one if two is None else two


def test_rejects_wrong_values_at_every_place_at_once() -> None:
    """All values are wrong at the same time, and every one is reported."""
    places = {place: checks["rules"] for place, checks in table().items() if checks.get("rules")}
    for block in ("global", "global.kuscia", "lite.runk"):
        del places[f"{block}.imagePullSecrets[]"]  # also a mapping
    assert len(places) > 200
    values: Object = {"lite": {"enabled": True}}
    for place, names in places.items():
        values = _merge(values, _at(place, _rejected(names)))
    with pytest.raises(RenderError) as error:
        render(values)
    found = {(item.path, item.id) for item in parse_errors(str(error.value))}
    expected = {
        (
            place.replace("[]", "[0]").replace("*", "alice"),
            "text-required" if _rejected(names) == 7 else rules()[names[0]]["id"],
        )
        for place, names in places.items()
    }
    assert expected - found == set()
