"""values/no-hooks.yaml: what `kubectl apply` can apply again with other values."""

import json
from collections.abc import Callable

import pytest

from tests.chart.render import Object, render
from tests.gitops.examples import NAMESPACES

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


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_pruning_by_the_label_of_the_release_covers_every_job(namespace: str) -> None:
    for (kind, name), item in objects(namespace, {}).items():
        if kind == "Job":
            assert item["metadata"]["labels"]["app.kubernetes.io/instance"] == "kuscia", name
