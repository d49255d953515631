"""The files of examples/monitoring."""

import json
from typing import Any

import yaml

from tests.chart.render import ROOT

EXAMPLES = ROOT / "examples/monitoring"
RULES = EXAMPLES / "kuscia.rules.yaml"
# Grafana replaces these before it sends a query.
VARIABLES = {"$__rate_interval": "5m", "$namespace": ".*", "$domain": ".*"}


def groups() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"]
    return found


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in groups() for rule in group["rules"]}


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXAMPLES / "dashboard.json").read_text())
    return found


def dashboard_queries() -> list[str]:
    """Return the queries of all panels, as Prometheus receives them."""
    queries = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    for name, value in VARIABLES.items():
        queries = [query.replace(name, value) for query in queries]
    return queries
