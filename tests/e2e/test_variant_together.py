"""A master and one lite in one release, installed with --wait."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import kusciaapi
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.cluster
RELEASE = "master-and-alice"


@pytest.fixture(scope="module")
def together(demo: Demo, images: Path) -> Iterator[Variant]:
    with variant(demo, images, "together", parties=(RELEASE,)) as made:
        made.install(RELEASE, timeout="5m")
        yield made


def pods(made: Variant) -> dict[str, Any]:
    """Return component -> pod."""
    selector = "app.kubernetes.io/component in (master,lite)"
    found = made.kubectl.get("pods", "-n", made.namespace(RELEASE), "-l", selector)["items"]
    return {pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod for pod in found}


def test_both_are_ready_after_helm_wait(together: Variant) -> None:
    statuses = {name: pod["status"]["containerStatuses"][0] for name, pod in pods(together).items()}
    ready = {name: (status["ready"], status["restartCount"]) for name, status in statuses.items()}
    assert ready == {"master": (True, 0), "lite": (True, 0)}


def test_lite_registers_at_the_master(together: Variant) -> None:
    with kusciaapi(together.kubectl, together.release(RELEASE)) as api:

        def states() -> list[str]:
            """Kuscia reports both some seconds after the pod is Ready."""
            nodes = api.call("domain/query", {"domain_id": "alice"})["node_statuses"]
            route = api.call("route/query", {"source": "alice", "destination": "kuscia-system"})
            return [*(node["status"] for node in nodes), route["status"]["status"]]

        eventually(lambda: states() == ["Ready", "Succeeded"], 120, "node Ready and route READY")


def test_helm_test_checks_both(together: Variant) -> None:
    logs = together.test()
    assert logs.count("Phase:          Succeeded") == 2


def test_unchanged_upgrade_keeps_the_pods(together: Variant) -> None:
    before = {name: pod["metadata"]["uid"] for name, pod in pods(together).items()}
    together.install(RELEASE, timeout="5m")
    assert {name: pod["metadata"]["uid"] for name, pod in pods(together).items()} == before
