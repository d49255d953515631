"""examples/flux: valid for the controllers, and each party gets exactly the release of its presets."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.chart.render import CHART, PLACEHOLDER, ROOT, RenderError, render
from tests.gitops.examples import (
    CERTIFICATE,
    FLUX,
    LAYOUTS,
    SOURCES,
    check_schemas,
    edited,
    enable,
    flux,
    of_kind,
    template,
    values_of,
)

# What examples/flux/party/site.yaml sets, with a host instead of the placeholder.
SITE = {"global": {"kuscia": {"hooksImage": {"repository": "registry.example.com/kuscia-hooks"}}}}
VALUES_FILES = ("site.yaml", "values.yaml")
EACH = [(layout, namespace) for layout, parties in LAYOUTS.items() for namespace in parties]


def test_manifests_match_the_definitions_of_the_controllers(schemas: list[str]) -> None:
    check_schemas([item for layout in LAYOUTS for source in SOURCES for item in flux(layout, source)], schemas)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_party_has_its_own_objects(layout: str, source: str) -> None:
    objects = flux(layout, source)
    for kind in ("Namespace", "ServiceAccount", "RoleBinding", "HelmRelease", source):
        assert set(of_kind(objects, kind)) == set(LAYOUTS[layout]), kind
    (other,) = set(SOURCES) - {source}
    assert not of_kind(objects, other)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_release_uses_the_source_in_its_namespace(layout: str, source: str) -> None:
    """Flux can be configured to reject sources in other namespaces."""
    objects = flux(layout, source)
    for release in of_kind(objects, "HelmRelease").values():
        spec = release["spec"]
        assert ("chart" in spec) != ("chartRef" in spec)
        used = spec["chart"]["spec"]["sourceRef"] if "chart" in spec else spec["chartRef"]
        assert used == {"kind": source, "name": "kuscia"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_values_files_from_git_start_with_the_defaults_of_the_chart(layout: str) -> None:
    for release in of_kind(flux(layout, "GitRepository"), "HelmRelease").values():
        chart = release["spec"]["chart"]["spec"]
        assert chart["reconcileStrategy"] == "Revision"
        files = [ROOT / path for path in chart["valuesFiles"]]
        assert files[0] == CHART / "values.yaml"
        assert all(path.is_file() for path in files)
        assert ROOT / chart["chart"] == CHART


@pytest.mark.parametrize(("layout", "namespace"), EACH)
def test_release_is_that_of_the_presets(layout: str, namespace: str, tmp_path: Path) -> None:
    objects = flux(layout)
    release = of_kind(objects, "HelmRelease")[namespace]
    files = []
    for number, values in enumerate(values_of(objects, release)):
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(json.dumps(values))
    name = release["spec"]["releaseName"]
    rendered = template(name, namespace, *(f"--values={path}" for path in files))
    assert rendered == render(SITE, *LAYOUTS[layout][namespace], namespace=namespace)


def test_chart_rejects_each_file_with_a_placeholder_that_is_left() -> None:
    found = {path: yaml.safe_load(path.read_text()) for path in FLUX.rglob("*.yaml") if path.name in VALUES_FILES}
    left = {path.parent.name: values for path, values in found.items() if PLACEHOLDER in json.dumps(values)}
    assert set(left) == {"party", "master", "bob"}
    for values in left.values():
        with pytest.raises(RenderError, match="placeholder-left"):
            render(values)


@pytest.mark.parametrize(("layout", "namespace"), EACH)
def test_release_retries_without_limit_and_never_uninstalls(layout: str, namespace: str) -> None:
    spec = of_kind(flux(layout), "HelmRelease")[namespace]["spec"]
    for action in ("install", "upgrade"):
        assert spec[action] == {"strategy": {"name": "RetryOnFailure", "retryInterval": "1m"}}
    assert "dependsOn" not in spec
    assert spec["driftDetection"] == {"mode": "enabled"}
    assert spec["test"] == {"enable": True, "timeout": "15m", "ignoreFailures": True}


@pytest.mark.parametrize(("layout", "namespace"), EACH)
def test_account_has_permissions_in_its_namespace_only(layout: str, namespace: str) -> None:
    objects = flux(layout)
    account = of_kind(objects, "HelmRelease")[namespace]["spec"]["serviceAccountName"]
    binding = of_kind(objects, "RoleBinding")[namespace]
    assert binding["roleRef"]["name"] == "admin"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": namespace}]
    assert of_kind(objects, "ServiceAccount")[namespace]["metadata"]["name"] == account
    assert not of_kind(objects, "ClusterRoleBinding")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_flux_keeps_the_domain_key_and_the_account_that_uninstalls(layout: str) -> None:
    """The account has to exist until the HelmRelease that uses it is gone."""
    for kind in ("Namespace", "ServiceAccount", "RoleBinding"):
        found = of_kind(flux(layout), kind)
        assert found
        for item in found.values():
            assert item["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/prune"] == "disabled"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_changed_value_upgrades_at_once(layout: str) -> None:
    for item in flux(layout):
        if item["kind"] == "ConfigMap":
            assert item["metadata"]["labels"] == {"reconcile.fluxcd.io/watch": "Enabled"}


def test_certificate_of_a_partner_is_added_as_a_file(schemas: list[str], tmp_path: Path) -> None:
    """Until it exists, the other parties do not wait for it."""
    layout, namespace = "two-clusters/master-cluster", "kuscia-master"

    def edit(copy: Path) -> None:
        directory = copy / layout / "master"
        enable(directory / "kustomization.yaml", "  - name: partner-bob")
        (directory / "bob.crt").write_text(CERTIFICATE)

    objects = edited(FLUX, edit, layout)
    check_schemas(objects, schemas)
    release = of_kind(objects, "HelmRelease")[namespace]
    source = release["spec"]["valuesFrom"][-1]
    assert source["optional"] is True
    (found,) = (item for item in objects if item["metadata"]["name"] == source["name"])
    assert found["data"] == {source["valuesKey"]: CERTIFICATE}
    assert found["metadata"]["labels"] == {"reconcile.fluxcd.io/watch": "Enabled"}

    # Flux reads a value with a target path as `helm --set` does.
    values = tmp_path / "values.json"
    values.write_text(json.dumps(values_of(objects, release)[-1]))
    arguments = (f"--values={values}", "--set", f"{source['targetPath']}={CERTIFICATE}")
    rendered = template("kuscia", namespace, *arguments)
    assert any(CERTIFICATE.splitlines()[1] in json.dumps(item) for item in rendered if item["kind"] == "ConfigMap")


@pytest.mark.parametrize("source", SOURCES)
def test_private_source_reads_the_secret_of_the_guide(source: str, schemas: list[str]) -> None:
    layout = "one-cluster"

    def edit(copy: Path) -> None:
        enable(copy / ("from-git" if source == "GitRepository" else "party") / "source.yaml", "secretRef:")
        if source == "GitRepository":
            for party in LAYOUTS[layout].values():
                enable(copy / layout / party[0] / "kustomization.yaml", "components:")

    objects = edited(FLUX, edit, layout)
    check_schemas(objects, schemas)
    text = (FLUX / "README.md").read_text()
    for item in of_kind(objects, source).values():
        name = item["spec"]["secretRef"]["name"]
        assert re.search(rf"kubectl -n \S+ create secret \S+ {name} ", text)
