"""The chart works as a dependency of a parent chart."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.chart.render import CHART, KUBE_VERSION, Object, find, parse, tool

PARENT = {
    "apiVersion": "v2",
    "name": "platform",
    "version": "1.0.0",
    "dependencies": [{"name": "kuscia", "version": "0.x.x", "condition": "kuscia.enabled"}],
}


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """Return a chart that has Kuscia as its dependency."""
    chart = tmp_path / "platform"
    shutil.copytree(CHART, chart / "charts/kuscia")
    (chart / "Chart.yaml").write_text(yaml.safe_dump(PARENT))
    return chart


def _render(chart: Path, values: Object) -> list[Object]:
    done = subprocess.run(
        [tool("helm"), "template", "kuscia", str(chart), "--kube-version", KUBE_VERSION, "--values=-"],
        input=yaml.safe_dump(values),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return parse(done.stdout)


def test_parent_enables_and_configures_the_chart(parent: Path) -> None:
    values = {
        "global": {"imageRegistry": "registry.example.com", "imagePullSecrets": ["registry"], "other": {"a": 1}},
        "kuscia": {"enabled": True, "master": {"domains": {"alice": {"endpoint": "https://alice.example.com"}}}},
    }
    objects = _render(parent, values)
    pod = find(objects, "Deployment", "kuscia-master")["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"].startswith("registry.example.com/secretflow/kuscia:")
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert find(objects, "Job", "kuscia-master-register-*")


def test_parent_disables_the_chart(parent: Path) -> None:
    assert _render(parent, {"kuscia": {"enabled": False}}) == []
