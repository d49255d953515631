"""A party that is added as docs/gitops.md describes: the same release with Flux and with Argo CD."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.chart.render import render
from tests.gitops.examples import ARGOCD, FLUX, edited, of_kind, values_of

NAMESPACE = "lite-carol"
EXPECTED = {"lite": {"domainId": "carol"}}


def replace(path: Path, old: str, new: str) -> None:
    """Replace a text that a file has exactly once."""
    text = path.read_text()
    assert text.count(old) == 1, (path.name, old)
    path.write_text(text.replace(old, new))


def test_flux_installs_a_copied_party() -> None:
    def edit(copy: Path) -> None:
        layout = copy / "one-cluster"
        shutil.copytree(layout / "alice", layout / "carol")
        replace(layout / "carol/kustomization.yaml", "namespace: lite-alice", f"namespace: {NAMESPACE}")
        replace(layout / "carol/values.yaml", "domainId: alice", "domainId: carol")
        replace(layout / "kustomization.yaml", "  - bob\n", "  - bob\n  - carol\n")

    objects = edited(FLUX, edit, "one-cluster")
    release = of_kind(objects, "HelmRelease")[NAMESPACE]
    (values,) = (values for values in values_of(objects, release) if "lite" in values)
    assert render(values, namespace=NAMESPACE) == render(EXPECTED, "alice", namespace=NAMESPACE)


@pytest.mark.parametrize("source", ["Git", "registry"])
def test_argocd_installs_a_copied_party(source: str) -> None:
    def edit(copy: Path) -> None:
        shutil.copy(copy / "alice.yaml", copy / "carol.yaml")
        for old, new in (
            ("name: kuscia-alice", "name: kuscia-carol"),
            ("values/alice.yaml", "values/carol.yaml"),
            ("namespace: lite-alice", f"namespace: {NAMESPACE}"),
        ):
            replace(copy / "carol.yaml", old, new)
        path = copy / "kustomization.yaml"
        content = yaml.safe_load(path.read_text())
        content["resources"].append("carol.yaml")
        if source == "registry":
            content["components"] = ["from-registry"]
            patches = copy / "from-registry/kustomization.yaml"
            component = yaml.safe_load(patches.read_text())
            (alice,) = (patch for patch in component["patches"] if patch["target"]["name"] == "kuscia-alice")
            component["patches"].append(yaml.safe_load(json.dumps(alice).replace("alice", "carol")))
            patches.write_text(yaml.safe_dump(component))
        path.write_text(yaml.safe_dump(content))
        path = copy / "project.yaml"
        project = yaml.safe_load(path.read_text())
        project["spec"]["destinations"].append(project["spec"]["destinations"][0] | {"namespace": NAMESPACE})
        path.write_text(yaml.safe_dump(project))

    objects = edited(ARGOCD, edit)
    (project,) = (item for item in objects if item["kind"] == "AppProject")
    (carol,) = (item for item in objects if item["metadata"]["name"] == "kuscia-carol")
    assert carol["spec"]["destination"] in project["spec"]["destinations"]
    assert "alice" not in json.dumps(carol)
    assert "values/carol.yaml" in json.dumps(carol)
