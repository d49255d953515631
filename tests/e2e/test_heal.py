"""Recovery from deleted pods and wrong Secrets without manual action."""

import base64
import json

import pytest

from testbed.cluster.kubectl import Kubectl
from testbed.demo import summary
from testbed.demo.releases import ALICE, MASTER, RELEASES, ROOT, Release
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.cluster


def routes_ready(kubectl: Kubectl) -> bool:
    return all(row[2] == "True" for row in summary.routes(kubectl))


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.party)
def test_recovers_from_a_deleted_pod(kubectl: Kubectl, release: Release) -> None:
    component = "master" if release is MASTER else "lite"
    kubectl.run("delete", "pod", "-n", release.namespace, "-l", f"app.kubernetes.io/component={component}")
    kubectl.run("rollout", "status", f"deploy/{release.fullname}", "-n", release.namespace, "--timeout=8m", timeout=500)
    eventually(lambda: routes_ready(kubectl), 300, "four routes READY")
    kubectl.helm("test", MASTER.name, "-n", MASTER.namespace, "--timeout", "15m")


def test_data_step_completes_once_the_s3_secret_is_corrected(kubectl: Kubectl) -> None:
    """With wrong keys it names the Secret and retries."""
    right = kubectl.get("secret", "alice-oss", "-n", ALICE.namespace)["data"]
    wrong = base64.b64encode(b"wrong-secret-value").decode()
    _patch_secret(kubectl, ALICE.namespace, "alice-oss", {"access_key_secret": wrong})
    job = _data_job(kubectl)
    try:
        kubectl.run("delete", "job", job["metadata"]["name"], "-n", ALICE.namespace)
        for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            job["metadata"].pop(field, None)
        job.pop("status")
        job["spec"].pop("selector")
        labels = job["spec"]["template"]["metadata"]["labels"]
        for label in [label for label in labels if "controller-uid" in label or "job-name" in label]:
            labels.pop(label)
        kubectl.run("create", "-f", "-", stdin=json.dumps(job))
        eventually(lambda: "alice-oss" in _data_log(kubectl), 60, "the data step names the Secret")
        assert not _data_job(kubectl)["status"].get("succeeded")
    finally:
        _patch_secret(kubectl, ALICE.namespace, "alice-oss", right)
    eventually(lambda: _data_job(kubectl)["status"].get("succeeded"), 120, "the data Job succeeds")


def test_registered_lite_starts_with_any_deploy_token(kubectl: Kubectl) -> None:
    """The master knows its key (Kuscia facts 0.12)."""
    wrong = base64.b64encode(b"garbage-token").decode()
    _patch_secret(kubectl, MASTER.namespace, "kuscia-deploy-token-alice", {"token": wrong})
    kubectl.run("delete", "pod", "-n", ALICE.namespace, "-l", "app.kubernetes.io/component=lite")
    kubectl.run("rollout", "status", f"deploy/{ALICE.fullname}", "-n", ALICE.namespace, "--timeout=8m", timeout=500)
    eventually(lambda: routes_ready(kubectl), 300, "four routes READY")


def _patch_secret(kubectl: Kubectl, namespace: str, name: str, data: dict[str, str]) -> None:
    kubectl.run("patch", "secret", name, "-n", namespace, "--type=merge", "-p", json.dumps({"data": data}))


def _data_job(kubectl: Kubectl) -> dict:
    return kubectl.get("jobs", "-n", ALICE.namespace, "-l", "app.kubernetes.io/component=data")["items"][0]


def _data_log(kubectl: Kubectl) -> str:
    return kubectl.run("logs", "-n", ALICE.namespace, "-l", "app.kubernetes.io/component=data", "--tail=50")


def test_lite_starts_after_the_service_of_the_master_was_recreated(kubectl: Kubectl) -> None:
    """The Secrets with deploy tokens belong to the Service. The next upgrade creates them again."""
    before = _tokens(kubectl)
    service = kubectl.get("service", MASTER.fullname, "-n", MASTER.namespace)
    kubectl.run("delete", "service", MASTER.fullname, "-n", MASTER.namespace)
    eventually(lambda: not _tokens(kubectl), 120, "the garbage collector deletes the Secrets with deploy tokens")
    for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        service["metadata"].pop(field, None)
    service.pop("status")
    kubectl.run("create", "-f", "-", stdin=json.dumps(service))
    kubectl.run("delete", "pod", "-n", ALICE.namespace, "-l", "app.kubernetes.io/component=lite")
    kubectl.run("rollout", "status", f"deploy/{ALICE.fullname}", "-n", ALICE.namespace, "--timeout=8m", timeout=500)
    assert not _tokens(kubectl)
    _upgrade_master(kubectl)
    assert _tokens(kubectl) == before
    eventually(lambda: routes_ready(kubectl), 300, "four routes READY")


def test_an_upgrade_restores_a_deleted_deploy_token(kubectl: Kubectl) -> None:
    before = _tokens(kubectl)
    kubectl.run("delete", "secret", "kuscia-deploy-token-alice", "-n", MASTER.namespace)
    _upgrade_master(kubectl)
    assert _tokens(kubectl) == before


def test_objects_of_the_steps_are_not_labelled_as_those_of_the_chart(kubectl: Kubectl) -> None:
    """Argo CD would prune them with its label tracking."""
    for release in RELEASES:
        made = kubectl.get(
            "secrets,configmaps", "-n", release.namespace, "-l", "app.kubernetes.io/managed-by=kuscia-hooks"
        )["items"]
        assert {item["kind"] for item in made} == {"Secret", "ConfigMap"}
        metadata = [item["metadata"] for item in made]
        assert [item["name"] for item in metadata if "app.kubernetes.io/instance" in item["labels"]] == []


def _tokens(kubectl: Kubectl) -> set[str]:
    found = kubectl.get("secrets", "-n", MASTER.namespace)["items"]
    return {item["metadata"]["name"] for item in found if "-deploy-token-" in item["metadata"]["name"]}


def _upgrade_master(kubectl: Kubectl) -> None:
    """Upgrade the master with the values that it has."""
    chart = str(ROOT / "charts/kuscia")
    kubectl.helm("upgrade", MASTER.name, chart, "-n", MASTER.namespace, "--reuse-values", "--wait", "--timeout", "5m")
