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


def test_parent_has_two_lites_under_aliases(parent: Path) -> None:
    """Each object selects the pod of its own lite only."""
    aliases = ("alice", "bob")
    dependencies = [{"name": "kuscia", "version": "0.x.x", "alias": alias} for alias in aliases]
    (parent / "Chart.yaml").write_text(yaml.safe_dump(PARENT | {"dependencies": dependencies}))
    endpoint = {"endpoint": "https://kuscia-master.kuscia-master.svc.cluster.local:1080"}
    objects_of = {"pdb": {"enabled": True}, "service": {"external": {"enabled": True}}}
    objects = _render(
        parent,
        {
            alias: {
                "master": {"enabled": False},
                "lite": {
                    "enabled": True,
                    "domainId": alias,
                    "master": endpoint,
                    "runk": {"namespace": f"{alias}-engines"},
                    **objects_of,
                },
            }
            for alias in aliases
        },
    )
    pods = {alias: find(objects, "Deployment", f"kuscia-lite-{alias}")["spec"]["template"] for alias in aliases}
    selectors = [
        (item["metadata"]["labels"]["kuscia-chart/domain"], selector.get("matchLabels", selector))
        for item in objects
        if item["kind"] in ("Service", "NetworkPolicy", "PodDisruptionBudget")
        and (selector := item["spec"].get("selector") or item["spec"]["podSelector"])
    ]
    assert len(selectors) > 6
    for domain, selector in selectors:
        assert domain in aliases
        assert [alias for alias, pod in pods.items() if selector.items() <= pod["metadata"]["labels"].items()] in (
            [domain],
            [],  # the pods of steps
        )
    names = {(item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]) for item in objects}
    assert len(names) == len(objects)
