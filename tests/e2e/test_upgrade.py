"""`helm upgrade` with unchanged values."""

from pathlib import Path
from typing import Any

import pytest

from testbed.cluster.kubectl import Kubectl
from testbed.demo.releases import RELEASES, Release, install

pytestmark = pytest.mark.cluster

KINDS = (
    "deployments,services,configmaps,secrets,serviceaccounts,roles,rolebindings,networkpolicies,"
    "persistentvolumeclaims,jobs"
)


def state(kubectl: Kubectl, release: Release) -> dict[str, Any]:
    """Return the version of every object in the namespace, except hooks and Helm's records."""
    objects = {}
    for item in kubectl.get(KINDS, "-n", release.namespace)["items"]:
        metadata = item["metadata"]
        if "helm.sh/hook" in metadata.get("annotations", {}) or item.get("type", "").startswith("helm.sh/"):
            continue
        if item["kind"] != "Deployment":
            objects[f"{item['kind']}/{metadata['name']}"] = metadata["resourceVersion"]
        else:
            objects[f"{item['kind']}/{metadata['name']}"] = metadata["generation"]
    for pod in kubectl.get("pods", "-n", release.namespace, "-l", "app.kubernetes.io/component in (master,lite)")[
        "items"
    ]:
        restarts = sum(status["restartCount"] for status in pod["status"]["containerStatuses"])
        objects[f"Pod/{pod['metadata']['name']}"] = (pod["metadata"]["uid"], restarts)
    return objects


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.party)
def test_unchanged_upgrade_changes_nothing(kubectl: Kubectl, images: Path, release: Release) -> None:
    before = state(kubectl, release)
    install(kubectl, release, images)
    assert state(kubectl, release) == before
