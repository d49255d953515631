"""The figures of docs/production.md are those of the chart, of the benchmark and of the alert rules."""

import json
import re

import pytest
import yaml

from tests.chart.render import CHART, ROOT

PAGES = ["production.md", "production.zh-CN.md"]
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
NUMBERS = {"ten": 10, "十": 10}


def sizes(page: str) -> list[list[str]]:
    """Return requests and memory limit of each row of the table of sizes."""
    text = (ROOT / "docs" / page).read_text()
    return [re.findall(r"\d+m|\d+ [MG]i", line) for line in text.splitlines() if re.search(r"\| \d+m CPU", line)]


def expected(resources: dict[str, dict[str, str]]) -> list[str]:
    memory = [resources[kind]["memory"] for kind in ("requests", "limits")]
    return [resources["requests"]["cpu"], *(re.sub(r"(\d+)([MG]i)", r"\1 \2", size) for size in memory)]


@pytest.mark.parametrize("page", PAGES)
def test_sizes_are_the_defaults(page: str) -> None:
    master, lite, jobs = VALUES["master"], VALUES["lite"], VALUES["master"]["jobs"]
    assert sizes(page) == [expected(part["resources"]) for part in (master, lite, lite, jobs)]


@pytest.mark.parametrize("page", PAGES)
def test_memory_of_the_steps_was_measured(page: str) -> None:
    figures = json.loads((ROOT / "bench/results.json").read_text())["figures"]
    peak = max(figure["measured"] for figure in figures if figure["id"].startswith("memory-"))
    (documented,) = re.findall(r"(\d+) MB", (ROOT / "docs" / page).read_text())
    assert 0 <= int(documented) - peak < 10


@pytest.mark.parametrize("page", PAGES)
def test_counts_the_alerts(page: str) -> None:
    rules = yaml.safe_load((ROOT / "examples/monitoring/kuscia.rules.yaml").read_text())
    (number,) = re.findall(r"(ten) alerts|(十)条告警", (ROOT / "docs" / page).read_text())
    alerts = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    assert NUMBERS["".join(number)] == len(alerts)
