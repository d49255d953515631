"""The files of examples/monitoring, checked by promtool: rules, scrape configuration, dashboard."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.chart import kubeconform, operator_schemas
from tests.chart.render import ROOT, find, render, tool
from tests.monitoring.examples import EXAMPLES, RULES, alerts, dashboard, dashboard_queries, groups

RULES_TEST = Path(__file__).parent / "kuscia.rules.test.yaml"
OPERATORS = {"unless", "group_left"}


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run([tool("promtool"), *arguments], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def metrics(query: str) -> set[str]:
    """Return the names of the metrics in a query."""
    for part in (r'"[^"]*"', r"\{[^}]*\}", r"\[[^]]*\]", r"\b(by|without|on) *\([^)]*\)"):
        query = re.sub(part, " ", query)
    names = re.findall(r"\b[a-zA-Z_:][\w:]*\b(?! *\()", query)
    return set(names) - OPERATORS


def listed(page: str) -> list[str]:
    """Return the metrics in the table of a README."""
    return re.findall(r"^\| `(\w+)` \| (?:gauge|counter) \|", (EXAMPLES / page).read_text(), re.MULTILINE)


def test_rules_are_valid() -> None:
    promtool("check", "rules", RULES)


def test_alerts_fire_when_they_should() -> None:
    promtool("test", "rules", RULES_TEST)


def test_every_alert_has_a_test_in_which_it_fires() -> None:
    fired = set(re.findall(r'labels: .*alertname="(\w+)", alertstate="firing"', RULES_TEST.read_text()))
    assert fired == set(alerts())


def test_prometheusrule_has_the_same_groups() -> None:
    rule = yaml.safe_load((EXAMPLES / "prometheusrule.yaml").read_text())
    assert (rule["apiVersion"], rule["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert rule["spec"] == {"groups": groups()}


def test_custom_resources_match_the_definitions_of_the_operator(tmp_path: Path) -> None:
    kubeconform.check(EXAMPLES / "prometheusrule.yaml", operator_schemas.write(tmp_path))


@pytest.mark.parametrize("preset", ["master", "alice"])
def test_values_let_prometheus_scrape_a_release(preset: str) -> None:
    objects = render(yaml.safe_load((EXAMPLES / "values.yaml").read_text()), preset)
    (monitor,) = (item for item in objects if item["kind"] == "PodMonitor")
    policy = find(objects, "NetworkPolicy", monitor["metadata"]["name"])
    assert {"port": 9091, "protocol": "TCP"} in [port for rule in policy["spec"]["ingress"] for port in rule["ports"]]


def test_scrape_configuration_is_valid(tmp_path: Path) -> None:
    config = yaml.safe_load((EXAMPLES / "scrape.yaml").read_text())
    (job,) = config["scrape_configs"]
    # Debian builds Prometheus without the discovery of Kubernetes.
    assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}]
    job["static_configs"] = [{"targets": ["192.0.2.1:9091"]}]
    path = tmp_path / "prometheus.yaml"
    path.write_text(json.dumps(config))
    promtool("check", "config", path)


@pytest.mark.parametrize("name", alerts())
@pytest.mark.parametrize("page", ["operations.md", "operations.zh-CN.md"])
def test_runbook_leads_to_doctor_and_to_the_row_of_the_alert(page: str, name: str) -> None:
    runbook = alerts()[name]["annotations"]["runbook"]
    assert runbook.startswith("kubectl kuscia doctor -n {{ $labels.namespace }}")
    assert f"{name} in docs/operations.md" in runbook
    assert re.search(rf"^\| `{name}` \|", (ROOT / "docs" / page).read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_readme_lists_exactly_the_metrics_in_use(page: str) -> None:
    queries = [*dashboard_queries(), *(alert["expr"] for alert in alerts().values())]
    assert sorted(listed(page)) == sorted(set().union(*map(metrics, queries)))


def test_queries_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(dashboard_queries())]
    path = tmp_path / "panels.yaml"
    path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", "--lint=none", path)


def test_panels_of_the_dashboard_use_its_variables() -> None:
    for panel in dashboard()["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            assert target["expr"].count('job="kuscia"') == target["expr"].count("{"), panel["title"]
            assert target["expr"].count("$domain") == target["expr"].count("{"), panel["title"]


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    cells = []
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells += [(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
        assert at["x"] + at["w"] <= 24
    assert len(cells) == len(set(cells))
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len(set(ids))
