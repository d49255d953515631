"""Properties of all objects in every scenario."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart import k8s_schemas, kubeconform, operator_schemas
from tests.chart.render import CHART, Object, Scenario, hook, parse, pod_template, template_once
from tests.chart.scenarios import AGAIN, ALL

KUSCIA = {"master", "lite"}
OBSERVED = (["pods", "events"], ["pods/log"], ["jobs"])
COMMON_LABELS = {
    "app.kubernetes.io/name": "kuscia",
    "app.kubernetes.io/part-of": "kuscia",
    "app.kubernetes.io/managed-by": "Helm",
}


@pytest.fixture(scope="session", params=k8s_schemas.VERSIONS)
def schema_location(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the -schema-location for kubeconform, for each Kubernetes version with definitions."""
    directory: Path = tmp_path_factory.mktemp("schemas")
    operator_schemas.write(directory)
    return k8s_schemas.write(directory, request.param)


def test_objects_match_the_kubernetes_schemas(schema_location: str, tmp_path: Path) -> None:
    """All scenarios at once, for each Kubernetes version: most of the time is spent on loading the schemas."""
    for scenario in ALL:
        (tmp_path / f"{scenario.name}.yaml").write_text(scenario.text())
    summary = kubeconform.check(tmp_path, schema_location)
    assert "Invalid: 0, Errors: 0, Skipped: 0" in summary
    assert f"Summary: {sum(len(scenario.objects) for scenario in ALL)} resources" in summary


@pytest.mark.parametrize("scenario", AGAIN)
def test_rendering_is_deterministic(scenario: Scenario) -> None:
    assert template_once(scenario) == scenario.text()


@pytest.mark.parametrize("scenario", AGAIN)
def test_helm_3_renders_the_same(scenario: Scenario) -> None:
    assert _by_name(parse(scenario.text("helm3"))) == _by_name(scenario.objects)


def _by_name(objects: list[Object]) -> dict[tuple[str, str, str], Object]:
    return {(item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]): item for item in objects}


def test_no_two_objects_share_a_name(scenario: Scenario) -> None:
    assert len(_by_name(scenario.objects)) == len(scenario.objects)


def test_objects_have_the_common_labels(scenario: Scenario) -> None:
    for item in scenario.objects:
        labels = item["metadata"]["labels"]
        assert labels.items() >= COMMON_LABELS.items(), item["metadata"]["name"]
        assert labels["app.kubernetes.io/instance"] == scenario.release
        assert labels["app.kubernetes.io/component"]
        assert labels["kuscia-chart/domain"]
        assert re.fullmatch(r"kuscia-\d+\.\d+\.\d+", labels["helm.sh/chart"])


def test_pod_templates_have_no_chart_version(scenario: Scenario) -> None:
    for item in scenario.objects:
        template = pod_template(item)
        if template is not None and item["kind"] != "Pod":
            assert "helm.sh/chart" not in template["metadata"]["labels"]
            assert "helm.sh/chart" not in template["metadata"].get("annotations", {})


def test_manifest_contains_no_secrets(scenario: Scenario) -> None:
    kinds = {item["kind"] for item in scenario.objects}
    assert "Secret" not in kinds
    assert "PRIVATE KEY" not in scenario.text()
    for item in scenario.objects:
        for path, value in _texts(item):
            last = path.rsplit(".", 1)[-1]
            secret = re.search(r"(?i)(password|token|secret|keydata|accesskey)$", last)
            names = re.search(
                r"(?i)(secretName|automount|imagePullSecrets|tokenSecret|existingSecret|extraConfigRefused)", path
            )
            assert not secret or names or value in ("", "null"), f"{item['metadata']['name']}: {path} = {value}"


def _texts(node: Any, path: str = "") -> list[tuple[str, str]]:
    """Return every text in an object with its path, including texts in YAML files of ConfigMaps."""
    if isinstance(node, dict):
        return [pair for key, value in node.items() for pair in _texts(value, f"{path}.{key}")]
    if isinstance(node, list):
        return [pair for item in node for pair in _texts(item, path)]
    if isinstance(node, str) and path.endswith(".yaml"):
        return _texts(yaml.load(node, Loader=yaml.CSafeLoader), path)
    return [(path, node)] if isinstance(node, str) else []


def test_names_are_within_the_length_limits(scenario: Scenario) -> None:
    for item in scenario.objects:
        name = item["metadata"]["name"]
        if item["kind"] == "Deployment":
            assert len(name) + len("-5d5f7c9b7b-abcde") <= 63, "the pod name is the host name and the Kuscia node name"
        if item["kind"] in ("Job", "Service", "Pod"):
            assert len(name) <= 63
        if item["kind"] == "CronJob":
            assert len(name) <= 52, "its Jobs have 11 characters more"


def test_steps_meet_pod_security_restricted(scenario: Scenario) -> None:
    for item in scenario.objects:
        template = pod_template(item)
        if template is None or item["kind"] == "Deployment":
            continue
        spec = template["spec"]
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["runAsNonRoot"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]


def test_pods_refer_to_existing_objects(scenario: Scenario) -> None:
    accounts = {item["metadata"]["name"] for item in scenario.objects if item["kind"] == "ServiceAccount"}
    configmaps = {item["metadata"]["name"] for item in scenario.objects if item["kind"] == "ConfigMap"}
    for item in scenario.objects:
        template = pod_template(item)
        if template is None:
            continue
        spec = template["spec"]
        assert spec["serviceAccountName"] in accounts
        volumes = {volume["name"] for volume in spec["volumes"]}
        assert len(volumes) == len(spec["volumes"])
        for volume in spec["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] in configmaps
        for container in spec["containers"] + spec.get("initContainers", []):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


BLOCKS = (CHART / "charts/common/templates/_validate-blocks.tpl").read_text()


def test_reserved_names_and_paths_are_those_of_the_pods(scenario: Scenario) -> None:
    """A user's volume or mount that repeats one of the chart's is an error; the rule lists them."""
    reserved = {
        name: set(re.findall(r'"(.*?)"', BLOCKS.partition(f"${name} := list")[2].partition(" -}}")[0]))
        for name in ("volumes", "paths")
    }
    for item in scenario.objects if scenario.name != "master-gateway-certificate" else ():
        template = pod_template(item)
        if template is not None:
            spec = template["spec"]
            assert {volume["name"] for volume in spec["volumes"]} <= reserved["volumes"]
            for container in spec["containers"] + spec.get("initContainers", []):
                assert {mount["mountPath"] for mount in container["volumeMounts"]} <= reserved["paths"]


def test_roles_limit_access_by_name(scenario: Scenario) -> None:
    """Exceptions are `create`, the Role for RunK, and reading pods, logs and events. Wildcards are not allowed."""
    list_pods = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
    for item in scenario.objects:
        if item["kind"] != "Role":
            continue
        for rule in item["rules"]:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
            if not item["metadata"]["name"].endswith("-runk"):
                component = item["metadata"]["labels"]["app.kubernetes.io/component"]
                observes = (component == "doctor" and rule["resources"] in OBSERVED) or (
                    component == "check" and rule == list_pods
                )
                assert rule.get("resourceNames") or rule["verbs"] == ["create"] or observes, (
                    item["metadata"]["name"],
                    rule,
                )


def test_doctor_is_read_only(scenario: Scenario) -> None:
    roles = [
        item for item in scenario.objects if item["kind"] == "Role" and item["metadata"]["name"].endswith("-doctor")
    ]
    assert roles
    for role in roles:
        for rule in role["rules"]:
            assert set(rule["verbs"]) <= {"get", "list"}
            assert "secrets" not in rule["resources"] or rule["resourceNames"]


def test_bindings_refer_to_existing_roles(scenario: Scenario) -> None:
    roles = {
        (item["metadata"]["namespace"], item["metadata"]["name"]) for item in scenario.objects if item["kind"] == "Role"
    }
    for item in scenario.objects:
        if item["kind"] == "RoleBinding":
            assert (item["metadata"]["namespace"], item["roleRef"]["name"]) in roles
            assert item["subjects"]


def test_readiness_does_not_depend_on_post_hooks(scenario: Scenario) -> None:
    """`--wait` waits for the pods before it runs post hooks, and the pods wait for keys and register."""
    for item in scenario.objects:
        component = item["metadata"]["labels"]["app.kubernetes.io/component"]
        if item["kind"] == "Job" and component in ("keys", "register"):
            assert "post-" not in hook(item)


@pytest.mark.parametrize(
    "word", ["rand", "genCA", "genSelfSigned", "genSigned", "genPrivateKey", "lookup", "now ", "uuidv4"]
)
def test_templates_use_no_function_with_varying_results(word: str) -> None:
    for path in CHART.rglob("templates/*"):
        for expression in re.findall(r"\{\{.*?\}\}", path.read_text(), re.S):
            code = re.sub(r"/\*.*?\*/", "", expression, flags=re.S)
            code = re.sub(r'"(\\.|[^"\\])*"', "", code)
            assert not re.search(rf"\b{word}", code), f"{path}: {expression}"
