"""What changes between two versions of the chart or of an image."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.chart.render import CHART, KUBE_VERSION, PRESETS, Object, find, parse, tool, with_values

# Fields that the API server does not let change.
IMMUTABLE = {
    "Deployment": ("selector",),
    "Job": ("template", "selector", "completions"),
    "PersistentVolumeClaim": ("accessModes", "storageClassName", "volumeName"),
}
AS_JOBS: Object = {
    "master": {"jobs": {"keys": {"hook": False}, "routes": {"hook": False}}},
    "lite": {"jobs": {"keys": {"hook": False}}},
}


def _template(chart: Path, preset: str) -> list[Object]:
    command = [tool("helm"), "template", "kuscia", str(chart), "--kube-version", KUBE_VERSION]
    done = subprocess.run(
        [*command, f"--values={PRESETS / preset}.yaml"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return parse(done.stdout)


def _images(template: Object) -> set[str]:
    return {item["image"] for item in template["spec"]["containers"] + template["spec"].get("initContainers", [])}


@pytest.mark.parametrize(("preset", "name"), [("master", "kuscia-master"), ("alice", "kuscia-lite-alice")])
def test_new_chart_version_does_not_restart_kuscia(tmp_path: Path, preset: str, name: str) -> None:
    chart = tmp_path / "kuscia"
    shutil.copytree(CHART, chart)
    for path in chart.rglob("Chart.yaml"):
        path.write_text(re.sub(r"^(\s*(?:version|- version):) .*$", r"\1 99.0.0", path.read_text(), flags=re.M))
    old, new = _template(CHART, preset), _template(chart, preset)
    assert find(new, "Deployment", name)["metadata"]["labels"]["helm.sh/chart"] == "kuscia-99.0.0"
    assert find(new, "Deployment", name)["spec"] == find(old, "Deployment", name)["spec"]
    steps = [find(objects, "Job", f"{name}-keys")["spec"]["template"] for objects in (old, new)]
    assert _images(steps[0]) != _images(steps[1])


def test_image_of_the_values_is_used_by_steps_and_init_containers() -> None:
    objects = with_values("", {"global": {"kuscia": {"hooksImage": {"tag": "dev"}}}}, "master").objects
    images = {
        image
        for item in objects
        if item["kind"] in ("Deployment", "Job")
        for image in _images(item["spec"]["template"])
        if "hooks" in image
    }
    assert len(images) == 1
    assert images.pop().endswith(":dev")


@pytest.mark.parametrize("preset", ["master", "alice", "runp", "master-and-alice"])
def test_apply_without_helm_changes_no_immutable_field(preset: str) -> None:
    """`helm template --skip-tests | kubectl apply`, with all steps as Jobs, can be repeated with other values."""
    presets = ("alice", "runp") if preset == "runp" else (preset,)
    old, new = (
        {
            (item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]): item
            for item in with_values(
                "", {**AS_JOBS, "global": {"kuscia": {"hooksImage": {"tag": tag}}}}, *presets
            ).objects
            if item["kind"] != "Pod"
        }
        for tag in ("one", "two")
    )
    assert {kind for kind, _, _ in new} >= {"Job", "Deployment"}
    for key in old.keys() & new.keys():
        for field in IMMUTABLE.get(key[0], ()):
            assert old[key]["spec"].get(field) == new[key]["spec"].get(field), key
        assert old[key].get("roleRef") == new[key].get("roleRef")
    assert any(key[0] == "Job" for key in new.keys() - old.keys())
    assert not any("helm.sh/hook" in item["metadata"].get("annotations", {}) for item in new.values())
