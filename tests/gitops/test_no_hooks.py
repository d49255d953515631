"""values/no-hooks.yaml: what `kubectl apply` can apply again with other values."""

import json
from collections.abc import Callable

import pytest

from tests.chart.render import Object, render
from tests.gitops.examples import NAMESPACES, pruning

# Kubernetes rejects a change of these fields.
IMMUTABLE: dict[str, Callable[[Object], object]] = {
    "Deployment": lambda item: item["spec"]["selector"],
    "Job": lambda item: item["spec"]["template"],
    "PersistentVolumeClaim": lambda item: item["spec"],
    "RoleBinding": lambda item: item["roleRef"],
}
CHANGES: dict[str, Object] = {
    "Kuscia": {"master": {"image": {"tag": "1.2.0"}}, "lite": {"image": {"tag": "1.2.0"}}},
    "steps": {"global": {"kuscia": {"hooksImage": {"tag": "0.2.0"}}}},
    "domains": {"master": {"domains": {"carol": {}}}},
    "run": {"master": {"jobs": {"runId": "2"}}, "lite": {"jobs": {"runId": "2"}}},
    "labels": {"global": {"kuscia": {"commonLabels": {"team": "a"}}}},
}


def objects(namespace: str, values: Object) -> dict[tuple[str, str], Object]:
    """Return what `helm template --skip-tests` prints for a party without hooks."""
    rendered = render(values, NAMESPACES[namespace], "no-hooks", namespace=namespace)
    kept = [item for item in rendered if item["metadata"].get("annotations", {}).get("helm.sh/hook") != "test"]
    return {(item["kind"], item["metadata"]["name"]): item for item in kept}


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_has_no_hook_and_no_pod(namespace: str) -> None:
    found = objects(namespace, {})
    assert not [key for key, item in found.items() if "helm.sh/hook" in json.dumps(item)]
    assert not [name for kind, name in found if kind == "Pod"]
    assert [name for kind, name in found if kind == "Job" and "-keys-" in name]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("namespace", ["kuscia-master", "lite-alice"])
def test_a_change_leaves_immutable_fields_of_equal_names(namespace: str, change: str) -> None:
    before, after = objects(namespace, {}), objects(namespace, CHANGES[change])
    assert before != after or (namespace == "lite-alice" and change == "domains")
    for key in before.keys() & after.keys():
        if field := IMMUTABLE.get(key[0]):
            assert field(before[key]) == field(after[key]), key


# Values with which a party has objects that it does not have by default.
MORE: dict[str, Object] = {
    "kuscia-master": {
        "master": {
            "domains": {"carol": {"reader": {"namespace": "lite-carol", "serviceAccount": "kuscia-lite-carol"}}},
            "service": {"external": {"enabled": True}},
            "ingress": {"enabled": True, "className": "nginx", "host": "kuscia.example.com"},
            "pdb": {"enabled": True},
        }
    },
    "lite-alice": {
        "lite": {
            "service": {"external": {"enabled": True}},
            "ingress": {"enabled": True, "className": "nginx", "host": "alice.example.com"},
            "pdb": {"enabled": True},
        }
    },
}
# What pruning leaves: the state of the release, and what costs nothing.
KEPT = {"ConfigMap", "PersistentVolumeClaim", "Secret", "Deployment"}


def pruned_kinds() -> set[str]:
    return {option.rpartition("/")[2] for option in pruning() if option.startswith("--prune-allowlist=")}


@pytest.mark.parametrize("namespace", MORE)
def test_pruning_covers_every_object_that_values_can_remove(namespace: str) -> None:
    more = objects(namespace, MORE[namespace])
    removed = more.keys() - objects(namespace, {}).keys()
    assert {"Service", "Ingress", "PodDisruptionBudget"} <= {kind for kind, _ in removed}
    assert {kind for kind, _ in more} <= pruned_kinds() | KEPT
    for key, item in more.items():
        assert item["metadata"]["labels"]["app.kubernetes.io/instance"] == "kuscia", key


def test_pruning_never_selects_a_kind_with_keys_or_state() -> None:
    assert not pruned_kinds() & KEPT
