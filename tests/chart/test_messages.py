"""The message of a failed rendering: its first line, and the one without the default values of the chart."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.chart.error_ids import parse_errors
from tests.chart.render import CHART, KUBE_VERSION, PRESETS, Object, tool


def _error(chart: Path, values: Object | None = None, *arguments: str, helm: str = "helm") -> str:
    """Return what Helm prints when it rejects the values."""
    done = subprocess.run(
        [tool(helm), "template", "kuscia", str(chart), "--kube-version", KUBE_VERSION, "--values=-", *arguments],
        input=yaml.safe_dump(values or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize("number", [1, 2])
def test_first_line_has_the_number_of_errors_and_the_first_one(number: int) -> None:
    domains = {f"d{index}": {"endpoint": "https://d.ns.svc"} for index in range(number)}
    text = _error(CHART, {"master": {"domains": domains}})
    line = text.splitlines()[0]
    first, *others = parse_errors(text)
    assert len(others) == number - 1
    assert f": {number} error" in line
    assert f"[{first.id}] {first.path} {first.rule}" in line


@pytest.mark.parametrize("files", [(), ("alice",), ("master-and-alice", "rootless")], ids="-".join)
def test_reports_only_the_missing_default_values(tmp_path: Path, files: tuple[str, ...]) -> None:
    """Flux replaces the values.yaml of a chart by the files of `valuesFiles`."""
    chart = tmp_path / "kuscia"
    shutil.copytree(CHART, chart)
    merged: Object = {}
    for name in files:
        merged |= yaml.safe_load((PRESETS / f"{name}.yaml").read_text())
    (chart / "values.yaml").write_text(yaml.safe_dump(merged))
    text = _error(chart)
    assert [error.id for error in parse_errors(text)] == ["default-values-missing"]
    assert "values.yaml" in text.splitlines()[0]


@pytest.mark.parametrize("helm", ["helm", "helm3"])
@pytest.mark.parametrize(
    "block",
    [
        {"tolerations": [{"operator": "Equal"}]},
        {"affinity": {"nodeAffinty": {}}},
        {"securityContext": {"privileged": "yes"}},
        {"extraEnv": [{"name": "a", "valu": "b"}]},
        {"probes": {"liveness": {"httpGet": {"port": 0}}}},
        {"jobs": {"podSecurityContext": {"fsGroup": -1}}},
    ],
    ids=lambda block: next(iter(block)),
)
def test_errors_of_the_chart_are_shown_next_to_those_of_helm(block: Object, helm: str) -> None:
    """Helm checks the blocks for Kubernetes first, and shows the errors of the chart with an option only."""
    values = {"master": {"domainId": "Alice", **block}}
    assert parse_errors(_error(CHART, values, helm=helm)) == []
    found = parse_errors(_error(CHART, values, "--skip-schema-validation", helm=helm))
    assert [(error.id, error.path) for error in found] == [("invalid-domain-id", "master.domainId")]
