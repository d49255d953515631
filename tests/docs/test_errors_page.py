"""docs/errors.md has one row for each error ID of the chart, the steps, doctor and the kubectl plugin, and no other."""

import re

from kuscia_hooks.core.catalog import CATALOG
from kuscia_hooks.inspect.known.summaries import finding_ids
from tests.chart.error_ids import chart_error_ids, chart_warning_ids
from tests.chart.render import ROOT
from tests.docs.error_pages import Row, rows

CHART = {"helm", "NOTES"}
PLUGIN = {"plugin"}


def plugin_error_ids() -> set[str]:
    return set(re.findall(r"\b(?:fail|error) ([a-z]+(?:-[a-z]+)+) ", (ROOT / "bin/kubectl-kuscia").read_text()))


def page() -> list[Row]:
    return rows("errors.md")


def test_has_exactly_the_ids_of_the_registries() -> None:
    expected = chart_error_ids() | chart_warning_ids() | set(CATALOG) | set(finding_ids()) | plugin_error_ids()
    assert {row.id for row in page()} == expected


def test_marks_every_chart_error_with_helm() -> None:
    assert {row.id for row in page() if "helm" in row.where} == chart_error_ids()


def test_marks_every_chart_warning_with_notes() -> None:
    assert {row.id for row in page() if "NOTES" in row.where} == chart_warning_ids()


def test_marks_every_plugin_error_with_plugin() -> None:
    found = plugin_error_ids()
    assert len(found) >= 3
    assert {row.id for row in page() if "plugin" in row.where} == found


def test_marks_every_finding_of_doctor_with_doctor() -> None:
    marked = {row.id for row in page() if "doctor" in row.where}
    assert set(finding_ids()) - marked == set()


def test_lists_a_step_or_command_for_every_step_error() -> None:
    marked = {row.id for row in page() if row.where - CHART - PLUGIN}
    assert marked == set(CATALOG) | set(finding_ids())
