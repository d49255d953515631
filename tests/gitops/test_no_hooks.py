"""values/no-hooks.yaml: what `kubectl apply` can apply again with other values."""

import json
from collections.abc import Callable

import pytest

from tests.chart.render import Object
from tests.gitops.examples import NAMESPACES, pruning
from tests.gitops.no_hooks import KEPT, MORE, objects

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
