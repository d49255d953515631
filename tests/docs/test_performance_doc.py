"""docs/performance.md states the deadlines that the chart renders."""

import itertools
import json
import re

import pytest

from tests.chart.render import ROOT, Scenario, pod_template

ROWS = re.findall(r"^\| (\d+) \| (\d+) s \| (\d+) s \|$", (ROOT / "docs/performance.md").read_text(), re.MULTILINE)


def deadline(domains: int) -> int:
    """Return the default deadline of `routes` with all routes between the domains."""
    entries = {f"d{number}": {"endpoint": f"https://d{number}.example.com"} for number in range(domains)}
    scenario = Scenario("routes", values=json.dumps({"master": {"domains": entries, "routes": "all"}}))
    for template in filter(None, map(pod_template, scenario.objects)):
        for container in template["spec"]["containers"]:
            args = container.get("args", [])
            if args[:1] == ["routes"]:
                return int(args[args.index("--timeout") + 1])
    raise AssertionError("the chart renders no Job for routes")


def test_table_has_both_clusters_of_the_benchmark() -> None:
    assert [int(routes) for routes, _, _ in ROWS] == [380, 9900]


@pytest.mark.parametrize(("routes", "seconds", "fastest"), ROWS)
def test_default_deadline(routes: str, seconds: str, fastest: str) -> None:
    domains = next(number for number in itertools.count() if number * (number - 1) == int(routes))
    assert deadline(domains) == int(seconds)
    assert int(routes) // 56 in (int(fastest) - 1, int(fastest))
