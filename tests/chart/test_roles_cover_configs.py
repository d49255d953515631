"""Each step can read exactly the Secrets that its configuration refers to."""

from typing import Any

import yaml

from tests.chart.render import Object, Scenario

STEPS = ("prepare", "register", "routes", "data", "check", "doctor")
SECRETS = {"keySecret", "passwordSecret", "credentialsSecret", "deployToken", "extraConfigSecret", "kubeconfigSecret"}


def _secrets(node: Any, namespace: str) -> set[str]:
    """Return the names of the Secrets in the release namespace that a configuration refers to."""
    if isinstance(node, list):
        return set().union(*(_secrets(item, namespace) for item in node)) if node else set()
    if not isinstance(node, dict):
        return set()
    found = set()
    for key, value in node.items():
        if key == "caBundle":
            found |= {value["name"]} if value["kind"] == "Secret" else set()
        elif key in SECRETS and value:
            if value.get("namespace", namespace) == namespace:
                found.add(value["name"])
        else:
            found |= _secrets(value, namespace)
    return found


def _readable(objects: list[Object], role: str) -> set[str]:
    return {
        name
        for item in objects
        if item["kind"] == "Role" and item["metadata"]["name"] == role
        for rule in item["rules"]
        if "secrets" in rule["resources"] and rule["verbs"] == ["get"]
        for name in rule["resourceNames"]
    }


def _token_secrets(objects: list[Object], namespace: str) -> set[str]:
    """Return the names of the Secrets with deploy tokens that a master creates in a namespace."""
    return {
        domain["tokenSecret"]
        for item in objects
        if item["kind"] == "ConfigMap" and item["metadata"]["namespace"] == namespace and "domains.yaml" in item["data"]
        for domain in yaml.safe_load(item["data"]["domains.yaml"])["domains"].values()
        if "tokenSecret" in domain
    }


def _permissions(rules: list[Object]) -> set[tuple[str, ...]]:
    """Return (API group, resource, name or "", verb) of each permission."""
    return {
        (group, resource, name, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    }


def test_steps_can_read_exactly_their_secrets(scenario: Scenario) -> None:
    checked = 0
    for item in scenario.objects:
        if item["kind"] != "ConfigMap":
            continue
        for step in STEPS:
            text = item["data"].get(f"{step}.yaml")
            if text is None:
                continue
            name = item["metadata"]["name"]
            role = name.removesuffix("-config") if step == "prepare" else name
            wanted = _secrets(yaml.safe_load(text), item["metadata"]["namespace"])
            if step == "routes":  # which creates the Secrets of missing deploy tokens
                wanted |= _token_secrets(scenario.objects, item["metadata"]["namespace"])
            assert _readable(scenario.objects, role) == wanted, (role, text)
            checked += 1
    assert checked >= 2


def test_register_can_write_exactly_its_token_secrets(scenario: Scenario) -> None:
    for item in scenario.objects:
        if item["kind"] == "ConfigMap" and "domains.yaml" in item["data"]:
            tokens = _token_secrets(scenario.objects, item["metadata"]["namespace"])
            register = item["metadata"]["name"].replace("-domains", "-register")
            granted = {
                name
                for role in scenario.objects
                if role["kind"] == "Role" and role["metadata"]["name"] == register
                for rule in role["rules"]
                if "secrets" in rule["resources"] and "delete" in rule["verbs"]
                for name in rule["resourceNames"]
            }
            assert granted == tokens


def test_no_rule_has_an_empty_list_of_names(scenario: Scenario) -> None:
    """Kubernetes reads it as all objects."""
    rules = [rule for item in scenario.objects if item["kind"] in ("Role", "ClusterRole") for rule in item["rules"]]
    assert rules
    for rule in rules:
        assert rule.get("resourceNames", ["absent"])
        assert all(rule.get("resourceNames", ["absent"]))


def test_reconcile_has_exactly_the_rules_of_its_steps(scenario: Scenario) -> None:
    rules = {item["metadata"]["name"]: item["rules"] for item in scenario.objects if item["kind"] == "Role"}
    for name, granted in rules.items():
        if name.endswith("-reconcile"):
            steps = [*rules[name.replace("-reconcile", "-register")], *rules[name.replace("-reconcile", "-routes")]]
            assert _permissions(granted) == _permissions(steps)
