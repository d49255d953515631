"""values.yaml, the schema and the presets belong together."""

import json
import re
from typing import Any

import pytest
import yaml

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
    """(path, key) of every key that the schema knows; entries of a list or a map have the path of that."""
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
    """The lines of values.yaml below a path, or below as much of it as is written there; comments are among them, and
    so are what is said right above and the examples (#  key: …) that follow an empty map or list.
    """
    block = TEXT.splitlines()
    for depth, key in enumerate(path.split(".")[1:]):
        start = [i for i, line in enumerate(block) if line.startswith(f"{'  ' * depth}{key}:")]
        if not start:
            break
        first = start[0]
        # What is said right above it.
        while first and re.match(rf"{'  ' * depth}# ", block[first - 1]):
            first -= 1
        inner = ("  " * (depth + 1), f"{'  ' * depth}#  ")
        ended = (i for i in range(start[0] + 1, len(block)) if block[i].strip() and not block[i].startswith(inner))
        block = block[first : next(ended, len(block))]
    return "\n".join(block)


def _explained(path: str, key: str) -> bool:
    """Whether the block of a path shows a key: as a default, or in a comment."""
    return bool(re.search(rf"(?<![\w/-]){re.escape(key)}:", _block(path)))


def test_every_key_of_the_schema_is_in_values_yaml() -> None:
    """In the block where it belongs, as a default or in a comment that shows it."""
    not_ours = {("", "common"), (".master", "global"), (".lite", "global")}
    missing = [
        f"{path}.{key}" for path, key in _keys(SCHEMA) if (path, key) not in not_ours and not _explained(path, key)
    ]
    assert not missing


def test_own_objects_are_strict() -> None:
    def check(node: dict[str, Any], path: str) -> None:
        node = _resolve(node)
        if node.get("properties") and path not in ("", ".global"):
            assert node.get("additionalProperties") is False or "containers" in str(node), path
        for key, value in node.get("properties", {}).items():
            check(value, f"{path}.{key}")

    check(SCHEMA, "")
    assert SCHEMA["additionalProperties"] is False


@pytest.mark.parametrize("part", ["master", "lite"])
def test_defaults_are_complete(part: str) -> None:
    known = set(SCHEMA["properties"][part]["properties"]) - {"global"}
    assert known == set(VALUES[part])


def test_the_steps_image_is_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert VALUES["global"]["kuscia"]["hooksImage"]["tag"] == chart["version"]
    for path in CHART.glob("charts/*/Chart.yaml"):
        subchart = yaml.safe_load(path.read_text())
        assert (subchart["version"], subchart["appVersion"]) == (chart["version"], chart["appVersion"])
    assert {item["name"] for item in chart["dependencies"]} == {
        path.parent.name for path in CHART.glob("charts/*/Chart.yaml")
    }


def test_kuscia_image_is_the_app_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert VALUES["master"]["image"]["tag"] == VALUES["lite"]["image"]["tag"] == chart["appVersion"]


@pytest.mark.parametrize("more", [(), ("notls",), ("mtls",), ("protocol-default",), ("rootless",)])
@pytest.mark.parametrize("party", ["alice", "bob"])
def test_presets_fit_together(party: str, more: tuple[str, ...]) -> None:
    """The master's preset reaches the lites', and lets them read their tokens, whatever goes on top of both."""
    lite = render({}, party, *more, namespace=f"lite-{party}")
    master = render({}, "master", *more, namespace="kuscia-master")
    routes = yaml.safe_load(find(master, "ConfigMap", "kuscia-master-routes")["data"]["routes.yaml"])
    check = yaml.safe_load(find(lite, "ConfigMap", f"kuscia-lite-{party}-check")["data"]["check.yaml"])
    assert routes["domains"][party]["endpoint"] == check["gateway"]
    own = yaml.safe_load(find(master, "ConfigMap", "kuscia-master-check")["data"]["check.yaml"])
    assert check["master"]["endpoint"] == own["gateway"]
    prepare = yaml.safe_load(find(lite, "ConfigMap", f"kuscia-lite-{party}-config")["data"]["prepare.yaml"])
    register = yaml.safe_load(find(master, "ConfigMap", "kuscia-master-register")["data"]["register.yaml"])
    assert prepare["deployToken"]["name"] == register["domains"][party]["tokenSecret"]
    binding = find(master, "RoleBinding", f"kuscia-master-token-{party}")
    account = find(lite, "Deployment", f"kuscia-lite-{party}")["spec"]["template"]["spec"]["serviceAccountName"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": f"lite-{party}"}]


def test_presets_have_the_guides_tables() -> None:
    columns = {}
    for party in ("alice", "bob"):
        tables = yaml.safe_load((PRESETS / f"{party}.yaml").read_text())["lite"]["data"]["tables"]
        columns[party] = [(column["name"], column["type"]) for column in tables[0]["columns"]]
    assert len(columns["alice"]) == 25
    assert len(columns["bob"]) == 21
    assert columns["alice"][0] == ("id1", "str")
    assert columns["bob"][0] == ("id2", "str")
    assert columns["bob"][-1] == ("y", "int")


def test_global_and_pass_through_blocks_are_open() -> None:
    values = {
        "global": {"imageRegistry": "for.another.chart"},
        "master": {
            "affinity": {"anything": True},
            "extraConfig": {"anything": {"deep": 1}},
            "podSecurityContext": {"x": 1},
        },
    }
    assert render(values)


BY_THE_CLUSTER: Object = {
    "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None, "supplementalGroups": [1000680000]},
    "securityContext": {"runAsUser": None, "runAsGroup": None, "readOnlyRootFilesystem": False},
}


@pytest.mark.parametrize("helm", ["helm", "helm3"])
@pytest.mark.parametrize("part", ["master", "lite"])
def test_the_steps_users_may_be_left_to_the_cluster(helm: str, part: str) -> None:
    """A key of the values takes the place of the chart's, null takes it away; what has to be root stays root."""
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
