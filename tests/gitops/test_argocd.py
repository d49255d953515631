"""examples/argocd: valid for the controller, and each party gets exactly the release of its presets."""

from typing import Any

import pytest
import yaml

from tests.chart.render import CHART, ROOT, Object, Scenario
from tests.gitops.examples import ARGOCD, COMPONENTS, NAMESPACES, argocd, check_schemas, template

VARIANTS = ((), COMPONENTS, COMPONENTS[:1], COMPONENTS[1:])
# As Argo CD maps the hooks of Helm. It ignores tests, and the hooks of a rollback.
PHASES = {
    "pre-install": "PreSync",
    "pre-upgrade": "PreSync",
    "post-install": "PostSync",
    "post-upgrade": "PostSync",
}


def applications(objects: list[Object]) -> dict[str, Any]:
    """Return the specs of the Applications by the namespace of the party."""
    return {item["spec"]["destination"]["namespace"]: item["spec"] for item in objects if item["kind"] == "Application"}


def test_manifests_match_the_definitions_of_the_controller(schemas: list[str]) -> None:
    check_schemas([item for components in VARIANTS for item in argocd(*components)], schemas)


@pytest.mark.parametrize("components", VARIANTS)
def test_each_party_has_an_application(components: tuple[str, ...]) -> None:
    objects = argocd(*components)
    assert set(applications(objects)) == set(NAMESPACES)
    assert {item["metadata"]["namespace"] for item in objects} == {"argocd"}


@pytest.mark.parametrize("components", [(), COMPONENTS[:1]])
@pytest.mark.parametrize("namespace", NAMESPACES)
def test_release_is_that_of_the_presets(namespace: str, components: tuple[str, ...]) -> None:
    spec = applications(argocd(*components))[namespace]
    (source,) = (item for item in spec.get("sources", [spec.get("source")]) if "ref" not in item)
    base = ROOT / source["path"] if "path" in source else ROOT
    if "path" in source:
        assert base == CHART
    files = [base / path.removeprefix("$presets/") for path in source["helm"]["valueFiles"]]
    rendered = template(source["helm"]["releaseName"], namespace, *(f"--values={path}" for path in files))
    assert rendered == Scenario("", (NAMESPACES[namespace],), namespace=namespace).objects


@pytest.mark.parametrize("components", [(), COMPONENTS])
def test_project_allows_what_the_applications_need(components: tuple[str, ...]) -> None:
    objects = argocd(*components)
    (project,) = (item for item in objects if item["kind"] == "AppProject")
    specs = applications(objects)
    assert project["spec"]["destinations"] == [
        {"namespace": namespace, "server": specs[namespace]["destination"]["server"]} for namespace in NAMESPACES
    ]
    used = {source["repoURL"] for spec in specs.values() for source in spec.get("sources", [spec.get("source")])}
    assert used <= set(project["spec"]["sourceRepos"])
    assert {spec["project"] for spec in specs.values()} == {project["metadata"]["name"]}


def test_client_side_apply_differs_in_one_option() -> None:
    server, client = applications(argocd()), applications(argocd("client-side-apply"))
    for namespace, spec in server.items():
        policy = spec["syncPolicy"]
        options = [option for option in policy["syncOptions"] if option != "ServerSideApply=true"]
        assert len(options) == len(policy["syncOptions"]) - 1
        assert client[namespace] == spec | {"syncPolicy": policy | {"syncOptions": options}}


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_hooks_map_to_the_phases_of_a_sync(namespace: str) -> None:
    """An annotation of Argo CD for hooks would make it ignore those of Helm."""
    found: dict[str, set[str]] = {}
    for item in Scenario("", (NAMESPACES[namespace],), namespace=namespace).objects:
        annotations = item["metadata"].get("annotations", {})
        assert "argocd.argoproj.io/hook" not in annotations
        hooks = annotations.get("helm.sh/hook", "").split(",")
        if item["kind"] == "Job":
            component = item["metadata"]["labels"]["app.kubernetes.io/component"]
            found[component] = {PHASES[hook] for hook in hooks if hook in PHASES}
    expected = {"keys": {"PreSync"}, "routes": {"PostSync"}, "register": set()}
    assert found == {step: expected[step] for step in found}
    assert "keys" in found


def test_tracking_is_by_annotation() -> None:
    patch = yaml.safe_load((ARGOCD / "tracking.yaml").read_text())
    assert patch == {"data": {"application.resourceTrackingMethod": "annotation"}}
