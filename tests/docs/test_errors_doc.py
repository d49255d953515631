"""The error pages in both languages: complete rows, unique IDs, known places, no names of tests."""

import re

import pytest

from tests.chart.render import ROOT
from tests.docs.error_pages import PAGES, rows

STEPS = {"steps", "keys", "prepare", "seed", "register", "routes", "data", "check"}
COMMANDS = {"doctor", "logs", "invite", "adopt", "plugin"}
WHERE = {"helm", "NOTES"} | STEPS | COMMANDS


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
