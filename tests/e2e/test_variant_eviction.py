"""A PodDisruptionBudget delays drains of the node, except for a pod that is not ready."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]


@pytest.fixture(scope="module")
def parties(demo: Demo, images: Path) -> Iterator[Variant]:
    with variant(demo, images, "eviction", parties=("master",)) as made:
        yield made


def evict(parties: Variant) -> None:
    """Ask the API server for an eviction of the master, as `kubectl drain` does, in a dry run.

    Raises:
        CommandError: it is rejected.
    """
    pod = parties.pod("master")["metadata"]
    metadata = {"name": pod["name"], "namespace": pod["namespace"]}
    request = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata,
               "deleteOptions": {"dryRun": ["All"]}}  # fmt: skip
    path = f"/api/v1/namespaces/{pod['namespace']}/pods/{pod['name']}/eviction"
    parties.kubectl.run("create", "--raw", path, "-f", "-", stdin=json.dumps(request))


def accepted(parties: Variant) -> bool:
    try:
        evict(parties)
    except CommandError:
        return False
    return True


def runs_and_is_not_ready(parties: Variant) -> bool:
    """Return whether Kuscia has started and is not ready. A pod that has not started can be evicted in any case."""
    (container,) = parties.pod("master")["status"].get("containerStatuses", [{}])
    return container.get("started", False) and not container["ready"]


def test_rejects_evictions_of_the_only_pod(parties: Variant) -> None:
    parties.install("master", values={"master": {"pdb": {"enabled": True}}})
    eventually(
        lambda: parties.kubectl.get("pdb", "-n", parties.namespace("master"))["items"][0]["status"]["currentHealthy"],
        30,
        "a healthy pod in the status of the budget",
    )
    with pytest.raises(CommandError, match="TooManyRequests"):
        evict(parties)


def test_accepts_evictions_with_max_unavailable(parties: Variant) -> None:
    parties.install("master", values={"master": {"pdb": {"enabled": True, "maxUnavailable": 1}}})
    eventually(lambda: accepted(parties), 30, "eviction accepted")


def test_accepts_evictions_of_a_pod_that_is_not_ready(parties: Variant) -> None:
    values = {
        "pdb": {"enabled": True},
        "probes": {"readiness": {"exec": {"command": ["false"]}}},
        # As a hook, it would wait for the pod.
        "jobs": {"routes": {"hook": False}},
    }
    parties.install("master", values={"master": values}, wait=False)
    eventually(lambda: runs_and_is_not_ready(parties), 120, "a pod that runs and is not ready")
    assert accepted(parties)
