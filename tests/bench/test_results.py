"""Figures, the file with results, and the pages made of it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench import page, results
from bench.results import Figure, Machine


def figure(measured: float | None, **fields: Any) -> Figure:
    return Figure("install-small", "New cluster", "register and routes", measured, 1.2, **fields)


@pytest.mark.parametrize(("measured", "met"), [(1.0, True), (1.2, True), (1.2004, False), (None, False)])
def test_target_is_compared_before_rounding(measured: float | None, met: bool) -> None:
    assert figure(measured).as_json()["met"] is met


def test_median_keeps_the_repeats() -> None:
    found = results.median("Check", "check-lite", "check of a lite", [3.0, 1.0, 2.0], 2.0, unit="s")
    assert found.as_json()["measured"] == 2.0
    assert found.as_json()["repeats"] == [3.0, 1.0, 2.0]


@pytest.mark.parametrize(("value", "shown"), [(0.123456, 0.123), (12.345, 12.3), (1234.5, 1234.0)])
def test_rounds_to_three_digits(value: float, shown: float) -> None:
    assert results.rounded(value) == shown


def test_save_keeps_figures_that_were_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    machine = Machine(load=[0.1])
    results.save([figure(1.0), Figure("import-seed", "Start", "Imports", 1.5, 2.0)], machine, path)
    results.save([figure(1.1), Figure("import-seed", "Start", "Imports", None, 2.0)], machine, path)
    saved = json.loads(path.read_text())
    assert {entry["id"]: entry["measured"] for entry in saved["figures"]} == {"install-small": 1.1, "import-seed": 1.5}
    assert not saved["machine"]["busy"]


def test_save_lists_figures_that_were_never_measured(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results.save([figure(None)], Machine(load=[0.1]), path)
    assert [(entry["measured"], entry["met"]) for entry in results.load(path)["figures"]] == [(None, False)]


def test_machine_is_busy_when_other_programs_run() -> None:
    assert Machine(cores=2, load=[1.5, 0.1]).busy
    assert not Machine(cores=2, load=[0.5, 2.0]).busy


def test_every_figure_of_the_last_run_says_whether_it_meets_its_target() -> None:
    for entry in results.load()["figures"]:
        if entry["measured"] is None:
            assert not entry["met"]
        elif results.rounded(entry["measured"]) != results.rounded(entry["target"]):
            assert entry["met"] is (entry["measured"] < entry["target"]), entry["id"]


def test_figures_have_unique_ids() -> None:
    ids = [entry["id"] for entry in results.load()["figures"]]
    assert len(ids) == len(set(ids))


def test_readme_shows_the_results() -> None:
    assert page.README.read_text() == page.readme(results.load())


@pytest.mark.parametrize("path", page.PAGES, ids=lambda path: path.name)
def test_performance_page_shows_the_results(path: Path) -> None:
    text = path.read_text()
    assert text == page.with_table(text, results.load(), page.PAGES[path])
    assert text.count("\n| `install-small` | ") == 1


def test_performance_page_explains_every_figure() -> None:
    text = (page.ROOT / "docs/performance.md").read_text()
    explained = text[text.index("## What is measured") :]
    patterns = [re.escape(name).replace(r"\*", ".+") for name in re.findall(r"`([a-z]+(?:-[a-z*]+)+)`", explained)]
    for entry in results.load()["figures"]:
        assert any(re.fullmatch(pattern, entry["id"]) for pattern in patterns), entry["id"]
