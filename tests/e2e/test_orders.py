"""The three releases in any order, ten seconds apart, in separate processes."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from testbed.cluster.kubectl import CommandError, Kubectl
from testbed.demo.releases import ALICE, BOB, MASTER, RELEASES, Release, install
from testbed.servers import s3
from tests.e2e.demo_releases import all_ready, remove_all
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.cluster

GAP_SECONDS = 10
IN_MAKE_TEST = {(MASTER, ALICE, BOB), (BOB, ALICE, MASTER)}
ORDERS = [
    pytest.param(order, id="-".join(r.party for r in order), marks=() if order in IN_MAKE_TEST else pytest.mark.long)
    for order in itertools.permutations(RELEASES)
]


@pytest.mark.parametrize("order", ORDERS)
def test_installs_in_any_order(
    kubectl: Kubectl, images: Path, image_refs: dict[str, str], order: tuple[Release, ...]
) -> None:
    remove_all(kubectl)
    s3.ensure(kubectl, image_refs["versitygw"])
    with ThreadPoolExecutor(len(order)) as pool:
        runs = []
        for release in order:
            runs.append(pool.submit(install, kubectl, release, images))
            time.sleep(GAP_SECONDS)
    for run in runs:
        run.result()
    eventually(lambda: all_ready(kubectl), 300, "four routes READY and both tables")
    for release in RELEASES:
        kubectl.helm("test", release.name, "-n", release.namespace, "--timeout", "15m")


@pytest.mark.long
def test_lite_waits_for_its_master(kubectl: Kubectl, images: Path, image_refs: dict[str, str]) -> None:
    """Without a master it stays in Init and names the endpoint. It continues once the master is installed."""
    remove_all(kubectl)
    s3.ensure(kubectl, image_refs["versitygw"])
    with pytest.raises(CommandError):
        install(kubectl, ALICE, images, timeout="40s")
    pod = kubectl.get("pods", "-n", ALICE.namespace, "-l", "app.kubernetes.io/component=lite")["items"][0]
    name = pod["metadata"]["name"]
    assert "running" in pod["status"]["initContainerStatuses"][0]["state"]
    log = kubectl.run("logs", "-n", ALICE.namespace, name, "-c", "prepare")
    assert "kuscia-master.kuscia-master.svc.cluster.local" in log
    install(kubectl, MASTER, images)
    install(kubectl, ALICE, images)
    after = kubectl.get("pods", "-n", ALICE.namespace, "-l", "app.kubernetes.io/component=lite")["items"][0]
    assert after["metadata"]["name"] == name
    install(kubectl, BOB, images)
    eventually(lambda: all_ready(kubectl), 300, "four routes READY and both tables")
