"""The error pages in both languages: one row for each error ID of the chart, the steps, doctor and the plugin."""

import re

import pytest

from kuscia_hooks.core.catalog import CATALOG
from kuscia_hooks.inspect.known.summaries import finding_ids
from tests.chart.error_ids import chart_error_ids, chart_warning_ids
from tests.chart.render import ROOT
from tests.docs.error_pages import PAGES, rows

STEPS = {"steps", "keys", "prepare", "seed", "register", "routes", "data", "check"}
COMMANDS = {"doctor", "logs", "invite", "adopt", "plugin"}
WHERE = {"helm", "NOTES"} | STEPS | COMMANDS


def plugin_error_ids() -> set[str]:
    return set(re.findall(r"\b(?:fail|error) ([a-z]+(?:-[a-z]+)+) ", (ROOT / "bin/kubectl-kuscia").read_text()))


def ids_at(*places: str) -> set[str]:
    """Return the IDs of the errors that appear at one of the places."""
    return {row.id for row in rows("errors.md") if row.where & set(places)}


@pytest.mark.parametrize("page", PAGES)
def test_ids_are_unique_slugs(page: str) -> None:
    ids = [row.id for row in rows(page)]
    assert len(ids) > 100
    assert len(ids) == len(set(ids))
    assert [error_id for error_id in ids if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", error_id)] == []


@pytest.mark.parametrize("page", PAGES)
def test_places_are_known(page: str) -> None:
    assert {place for row in rows(page) for place in row.where} == WHERE


def test_both_languages_have_the_same_errors() -> None:
    english, chinese = ([(row.id, row.where) for row in rows(page)] for page in PAGES)
    assert chinese == english


@pytest.mark.parametrize("page", PAGES)
def test_first_section_is_about_helm(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    first = text.split("\n## ")[1]
    assert "context deadline exceeded" in first
    assert "cannot reuse a name that is still in use" in first


@pytest.mark.parametrize("page", PAGES)
def test_each_fix_says_what_to_do(page: str) -> None:
    """A name alone, such as that of a value, leaves open whether to set, change or remove it."""
    outside_code = {row.id: re.sub(r"`[^`]*`", "", row.fix) for row in rows(page)}
    assert [
        error_id for error_id, text in outside_code.items() if not re.search(r"[a-z]{3}|[\u3400-\u9fff]{2}", text)
    ] == []


def test_pages_for_users_name_no_tests() -> None:
    for page in PAGES:
        assert "::test_" not in (ROOT / "docs" / page).read_text()


def test_has_exactly_the_ids_of_the_registries() -> None:
    expected = chart_error_ids() | chart_warning_ids() | set(CATALOG) | set(finding_ids()) | plugin_error_ids()
    assert {row.id for row in rows("errors.md")} == expected


def test_marks_every_chart_error_with_helm() -> None:
    assert ids_at("helm") == chart_error_ids()


def test_marks_every_chart_warning_with_notes() -> None:
    assert ids_at("NOTES") == chart_warning_ids()


def test_marks_every_plugin_error_with_plugin() -> None:
    found = plugin_error_ids()
    assert len(found) >= 3
    assert ids_at("plugin") == found


def test_marks_every_finding_of_doctor_with_doctor() -> None:
    assert set(finding_ids()) - ids_at("doctor") == set()


def test_lists_a_step_or_command_for_every_step_error() -> None:
    assert ids_at(*STEPS, *COMMANDS - {"plugin"}) == set(CATALOG) | set(finding_ids())
