"""examples/argocd: valid for the controller, and each party gets exactly the release of its presets."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.render import CHART, PLACEHOLDER, PRESETS, ROOT, Object, RenderError, Scenario, render
from tests.gitops.examples import (
    ARGOCD,
    CERTIFICATE,
    COMPONENTS,
    LAYOUTS,
    NAMESPACES,
    argocd,
    check_schemas,
    edited,
    template,
)

SITE = ARGOCD / "site.yaml"
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
def test_release_is_that_of_the_presets(namespace: str, components: tuple[str, ...], tmp_path: Path) -> None:
    spec = applications(argocd(*components))[namespace]
    (source,) = (item for item in spec.get("sources", [spec.get("source")]) if "ref" not in item)
    base = ROOT / source["path"] if "path" in source else ROOT
    if "path" in source:
        assert base == CHART
    site, preset = (base / path.removeprefix("$presets/") for path in source["helm"]["valueFiles"])
    assert (site.resolve(), preset.resolve()) == (SITE, PRESETS / f"{NAMESPACES[namespace]}.yaml")
    edited_site = tmp_path / "site.yaml"
    edited_site.write_text(SITE.read_text().replace(PLACEHOLDER, "example.com"))
    rendered = template(source["helm"]["releaseName"], namespace, f"--values={edited_site}", f"--values={preset}")
    image = {"global": {"kuscia": {"hooksImage": {"repository": "registry.example.com/kuscia-hooks"}}}}
    assert rendered == render(image, NAMESPACES[namespace], namespace=namespace)


def test_chart_rejects_a_forgotten_image_of_the_steps() -> None:
    with pytest.raises(RenderError, match="placeholder-left"):
        render(yaml.safe_load(SITE.read_text()))


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


README = (ARGOCD / "README.md").read_text()
# The column of its table on partners, by the source of the chart.
PARTNER = {"Git": 1, "registry": 2}


def partner_files(application: str, source: str) -> list[str]:
    """Return the files that README.md adds to an Application for a partner in another cluster."""
    (row,) = re.findall(rf"^ *\| `{application}` \|.*", README, re.MULTILINE)
    return re.findall(r"`([^`]+)`", row.split("|")[PARTNER[source] + 1])


@pytest.mark.parametrize("source", PARTNER)
@pytest.mark.parametrize("layout", ["two-clusters/master-cluster", "two-clusters/partner-cluster"])
def test_partner_in_another_cluster_gets_the_release_of_its_presets(layout: str, source: str) -> None:
    parties = LAYOUTS[layout]

    def edit(copy: Path) -> None:
        path = copy / "kustomization.yaml"
        content = yaml.safe_load(path.read_text())
        content["resources"] = ["project.yaml", *(f"{NAMESPACES[namespace]}.yaml" for namespace in parties)]
        path.write_text(yaml.safe_dump(content | ({"components": ["from-registry"]} if source == "registry" else {})))
        for namespace in parties:
            party = NAMESPACES[namespace]
            path = copy / (f"{party}.yaml" if source == "Git" else "from-registry/kustomization.yaml")
            last = rf"( *- )(\S+/values/{party}\.yaml\n)"
            added = "".join(rf"\g<1>{name}\n" for name in partner_files(f"kuscia-{party}", source))
            text, count = re.subn(last, rf"\g<0>{added}", path.read_text())
            assert count == 1
            path.write_text(text)

    specs = applications(edited(ARGOCD, edit))
    assert set(specs) == set(parties)
    for namespace, presets in parties.items():
        spec = specs[namespace]
        (chart,) = (item for item in spec.get("sources", [spec.get("source")]) if "helm" in item)
        base = ROOT / chart.get("path", "")
        names = [(base / path.removeprefix("$presets/")).resolve() for path in chart["helm"]["valueFiles"]]
        assert names == [SITE, *(PRESETS / f"{name}.yaml" for name in presets)]


def test_certificate_of_a_partner_extends_its_preset() -> None:
    """The block of README.md changes nothing else in values/partner.yaml."""
    (block,) = re.findall(r"^ *```yaml\n(.*?)^ *```$", README, re.MULTILINE | re.DOTALL)
    shown = yaml.safe_load(block)["master"]["domains"]["bob"]
    preset = yaml.safe_load((PRESETS / "partner.yaml").read_text())["master"]["domains"]["bob"]
    assert shown.pop("cert").startswith("-----BEGIN CERTIFICATE-----\n")
    assert shown == preset
    render({"master": {"domains": {"bob": {"cert": CERTIFICATE}}}}, "master", "partner", "nodeport")


def test_credentials_belong_to_the_repositories_of_the_applications() -> None:
    text = re.sub(r" \\\n\s+", " ", README)
    secrets = [
        dict(option.split("=", 1) for option in re.findall(r"--from-literal=(\S+)", line))
        for line in re.findall(r"kubectl -n argocd create secret .*", text)
    ]
    (project,) = (item for item in argocd() if item["kind"] == "AppProject")
    assert [secret["url"] for secret in secrets] == project["spec"]["sourceRepos"]
    assert [secret["type"] for secret in secrets] == ["git", "helm"]
    assert text.count("argocd.argoproj.io/secret-type=repository") == len(secrets)
