"""The judge: which outputs of Helm are errors for users, and which are faults of the chart."""

import pytest

from tests.chart.render import RenderError, Scenario, template_once
from tests.fuzz.generator import Case
from tests.fuzz.judge import BY_CHART, BY_HELM, BY_SCHEMA, EXTRA_OBJECT, FAULT, refusal


def _error(values: str, release: str = "kuscia") -> str:
    with pytest.raises(RenderError) as caught:
        template_once(Scenario("", (), values, release))
    return str(caught.value)


def test_accepts_errors_of_the_chart_and_of_the_schema() -> None:
    assert refusal(Case(""), _error("master: {datastore: {type: oracle}}")).outcome == BY_CHART
    assert refusal(Case(""), _error("master: {enabled: [1]}")).outcome == BY_SCHEMA


def test_accepts_errors_of_helm_in_extra_objects_only() -> None:
    assert refusal(Case(""), _error("extraObjects: ['{{ 1 }}']")).outcome == EXTRA_OBJECT


def test_accepts_invalid_release_names_that_helm_rejects() -> None:
    error = _error("{}", "a_b")
    assert refusal(Case("", release="a_b"), error).outcome == BY_HELM
    assert refusal(Case("", release="a-b"), error).outcome == FAULT


@pytest.mark.parametrize(
    "error",
    [
        'Error: template: kuscia/templates/a.yaml:1:2: executing "a" at <.x.y>: nil pointer evaluating interface {}.y',
        "Error: YAML parse error on kuscia/templates/a.yaml: error converting YAML to JSON: yaml: line 3: mapping",
        "Error: execution error: error calling include: wrong type for value; expected string; got float64",
        "1 error in the values:\n\n  1. [a-b] x\n     value:   1\n     rule:    must be %!d(string=a)\n     example: a",
    ],
)
def test_reports_errors_of_the_template_engine(error: str) -> None:
    assert refusal(Case(""), error).outcome == FAULT
