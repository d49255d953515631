"""values.yaml, the schema and the presets are consistent."""

import json
import re
from fnmatch import fnmatch
from typing import Any

import pytest
import yaml

from schema.rules import table
from schema.source import keys, read
from tests.chart.render import CHART, PRESETS, Object, find, parse, pod_template, render, template_once, with_values

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
TEXT = (CHART / "values.yaml").read_text()


def _resolve(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        target: Any = SCHEMA
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def _keys(node: dict[str, Any], path: str = "") -> list[tuple[str, str]]:
    """Return (path, key) of every key in the schema. Entries of a list or mapping have its path."""
    node = _resolve(node)
    found = []
    for key, value in node.get("properties", {}).items():
        found.append((path, key))
        found += _keys(value, f"{path}.{key}")
    for entries in (node.get("items"), node.get("additionalProperties")):
        if isinstance(entries, dict):
            found += _keys(entries, path)
    return found


def _block(path: str) -> str:
    """Return the lines of values.yaml under a path, or under the longest part of it that exists.

    They include the comment above the key and the examples (#  key: …) after an empty list or mapping.
    """
    block = TEXT.splitlines()
    for depth, key in enumerate(path.split(".")[1:]):
        start = [i for i, line in enumerate(block) if line.startswith(f"{'  ' * depth}{key}:")]
        if not start:
            break
        first = start[0]
        # The comment above the key.
        while first and re.match(rf"{'  ' * depth}# ", block[first - 1]):
            first -= 1
        inner = ("  " * (depth + 1), f"{'  ' * depth}#  ")
        ended = (i for i in range(start[0] + 1, len(block)) if block[i].strip() and not block[i].startswith(inner))
        block = block[first : next(ended, len(block))]
    return "\n".join(block)


def _explained(path: str, key: str) -> bool:
    """Return whether the block of a path shows a key, as a default or in a comment."""
    return bool(re.search(rf"(?<![\w/-]){re.escape(key)}:", _block(path)))


# Blocks that templates print as they are; their keys are used by Kubernetes, Kuscia or a step.
PRINTED = (
    "extraObjects",
    "*.ingress.tls",
    "*.hostAliases",
    "*.resources",
    "master.routes",
    "master.appImages.*.image",
    "master.appImages.*.deployTemplates",
    "master.exampleJob",
    "lite.capacity",
    "lite.data.source",
    "lite.data.tables",
    "lite.data.grants",
)
# For Helm: a parent chart's condition, and a library chart.
NOT_USED = {"enabled", "common"}


def test_every_value_is_used_by_a_template() -> None:
    """Validation alone is not a use."""
    used = "\n".join(
        path.read_text()
        for path in CHART.rglob("templates/*")
        if not path.name.startswith(("_values", "_validate", "validate"))
    )
    for key in keys(read()):
        leaf = key.path.rpartition(".")[2]
        block = any(fnmatch(key.path, part) for name in PRINTED for part in (f"{name}.*", f"{name}[[][]]*"))
        if block or leaf == "*" or leaf.endswith("[]") or key.path in NOT_USED:
            continue
        assert re.search(rf'\.{leaf}\b|"{leaf}"', used), key.path


def test_values_yaml_shows_every_key_of_the_schema() -> None:
    # The last is for a parent chart.
    # In the formats of KusciaAPI and Kubernetes.
    formats = (
        ".extraObjects",
        ".master.appImages.deployTemplates.containers",
        ".global.imagePullSecrets",
        ".global.kuscia.imagePullSecrets",
        ".lite.runk.imagePull",
    )
    added_by_helm = {("", "common"), (".master", "global"), (".lite", "global"), ("", "enabled")}
    missing = [
        f"{path}.{key}"
        for path, key in _keys(SCHEMA)
        if (path, key) not in added_by_helm
        and not path.startswith(formats)
        and not path.endswith(".resources")
        and not _explained(path, key)
    ]
    assert not missing


def test_only_values_of_others_accept_unknown_keys() -> None:
    objects = {key.path for key in keys(read()) if "properties" in key.node}
    assert {path for path in objects if not table()[path].get("closed")} == {
        "global",
        "extraObjects[]",
        "extraObjects[].metadata",
    }


@pytest.mark.parametrize("part", ["master", "lite"])
def test_defaults_are_complete(part: str) -> None:
    known = set(SCHEMA["properties"][part]["properties"]) - {"global"}
    assert known == set(VALUES[part])


def test_steps_image_has_the_chart_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    job = find(render({}), "Job", "kuscia-master-keys")
    assert job["spec"]["template"]["spec"]["containers"][0]["image"].endswith(f"/kuscia-hooks:{chart['version']}")
    for path in CHART.glob("charts/*/Chart.yaml"):
        subchart = yaml.safe_load(path.read_text())
        assert (subchart["version"], subchart["appVersion"]) == (chart["version"], chart["appVersion"])
    assert {item["name"] for item in chart["dependencies"]} == {
        path.parent.name for path in CHART.glob("charts/*/Chart.yaml")
    }


def test_kuscia_image_has_the_app_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert VALUES["master"]["image"]["tag"] == VALUES["lite"]["image"]["tag"] == chart["appVersion"]


@pytest.mark.parametrize("more", [(), ("notls",), ("mtls",), ("protocol-default",), ("rootless",)])
@pytest.mark.parametrize("party", ["alice", "bob"])
def test_presets_of_master_and_lites_match(party: str, more: tuple[str, ...]) -> None:
    """Endpoints and token access of master.yaml match the presets of the lites, with any overlay on both."""
    lite = render({}, party, *more, namespace=f"lite-{party}")
    master = render({}, "master", *more, namespace="kuscia-master")
    domains = yaml.safe_load(find(master, "ConfigMap", "kuscia-master-domains")["data"]["domains.yaml"])["domains"]
    check = yaml.safe_load(find(lite, "ConfigMap", f"kuscia-lite-{party}-check")["data"]["check.yaml"])
    assert domains[party]["endpoint"] == check["gateway"]
    own = yaml.safe_load(find(master, "ConfigMap", "kuscia-master-check")["data"]["check.yaml"])
    assert check["master"]["endpoint"] == own["gateway"]
    prepare = yaml.safe_load(find(lite, "ConfigMap", f"kuscia-lite-{party}-config")["data"]["prepare.yaml"])
    assert prepare["deployToken"]["name"] == domains[party]["tokenSecret"]
    binding = find(master, "RoleBinding", f"kuscia-master-token-{party}")
    account = find(lite, "Deployment", f"kuscia-lite-{party}")["spec"]["template"]["spec"]["serviceAccountName"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": f"lite-{party}"}]


def test_presets_have_the_tables_of_the_kuscia_guide() -> None:
    columns = {}
    for party in ("alice", "bob"):
        tables = yaml.safe_load((PRESETS / f"{party}-tables.yaml").read_text())["lite"]["data"]["tables"]
        columns[party] = [(column["name"], column["type"]) for column in tables[0]["columns"]]
    assert len(columns["alice"]) == 25
    assert len(columns["bob"]) == 21
    assert columns["alice"][0] == ("id1", "str")
    assert columns["bob"][0] == ("id2", "str")
    assert columns["bob"][-1] == ("y", "int")


class _StrictLoader(yaml.SafeLoader):
    """Rejects a key that a mapping has twice, as the API server's decoder warns about it."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]  # type: ignore[no-untyped-call]
        assert len(keys) == len(set(keys)), f"line {node.start_mark.line}: {keys}"
        return super().construct_mapping(node, deep)


@pytest.mark.parametrize("runtime", ["runk", "runp"])
def test_values_never_add_a_key_twice(runtime: str) -> None:
    """Each open block has a key that the chart sets in the same mapping."""
    probes = {kind: {"httpGet": {"path": "/", "port": 1}} for kind in ("startup", "readiness", "liveness")}
    common: Object = {
        "probes": probes,
        "persistence": {"annotations": {"helm.sh/resource-policy": "delete"}},
        "ingress": {"enabled": True, "annotations": {"nginx.ingress.kubernetes.io/backend-protocol": "HTTPS"}},
        "podSecurityContext": {"fsGroup": 7},
        "securityContext": {"capabilities": {"drop": ["ALL"]}},
        "jobs": {
            "podLabels": {"sidecar.istio.io/inject": "true"},
            "podAnnotations": {"sidecar.istio.io/inject": "true"},
            "podSecurityContext": {"runAsUser": 7},
            "securityContext": {"runAsUser": 7},
        },
    }
    lite: Object = {"enabled": True, "domainId": "alice", "runtime": runtime, "rootless": True}
    values = {
        "master": {**common, "rootless": True},
        "lite": {**common, **lite, "master": {"endpoint": "https://master.example.com"}},
    }
    text = with_values("", values).text()
    assert list(yaml.load_all(text, Loader=_StrictLoader))


def test_passes_unknown_keys_of_open_blocks_through() -> None:
    values = {
        "global": {"imageRegistry": "for.another.chart"},
        "master": {"extraConfig": {"anything": {"deep": 1}}},
    }
    objects = render(values)
    config = yaml.safe_load(find(objects, "ConfigMap", "kuscia-master-config")["data"]["kuscia.yaml"])
    assert config["anything"] == {"deep": 1}


BY_THE_CLUSTER: Object = {
    "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None, "supplementalGroups": [1000680000]},
    "securityContext": {"runAsUser": None, "runAsGroup": None, "readOnlyRootFilesystem": False},
}


@pytest.mark.parametrize("helm", ["helm", "helm3"])
@pytest.mark.parametrize("part", ["master", "lite"])
def test_values_override_the_security_contexts_of_steps(helm: str, part: str) -> None:
    """A key in the values replaces that of the chart, null removes it, and containers that require root keep it."""
    text = template_once(with_values("", {part: {"jobs": BY_THE_CLUSTER}}, "master-and-alice"), helm)
    steps = 0
    for item in parse(text):
        template = pod_template(item)
        if template is None or f"kuscia-{part}" not in item["metadata"]["name"]:
            continue
        spec = template["spec"]
        step_containers = spec.get("initContainers", [])
        if item["kind"] != "Deployment":
            assert spec["securityContext"] == {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
                "supplementalGroups": [1000680000],
            }
            step_containers = spec["containers"]
        for container in step_containers:
            context = container["securityContext"]
            root = {"runAsUser": 0, "runAsGroup": 0}
            is_root = part == "master" and container["name"] == "prepare"
            assert {key: context[key] for key in root if key in context} == (root if is_root else {})
            assert context["readOnlyRootFilesystem"] is False
            assert context["allowPrivilegeEscalation"] is False
            steps += 1
    assert steps >= 4
