"""Pods deleted at random during the installation."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from testbed.cluster.kubectl import CommandError, Kubectl
from testbed.demo.releases import MASTER, RELEASES, install
from testbed.servers import s3
from tests.e2e.demo_releases import all_ready, remove_all
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]

SECONDS_OF_CHAOS = 60
SECONDS_BETWEEN = 4


@pytest.mark.parametrize("seed", [1, 2])
def test_installation_completes_when_pods_are_deleted(
    kubectl: Kubectl, images: Path, image_refs: dict[str, str], seed: int
) -> None:
    """Every few seconds a pod in one of the three namespaces."""
    remove_all(kubectl)
    s3.ensure(kubectl, image_refs["versitygw"])
    stop = threading.Event()
    deleted: list[str] = []

    def chaos() -> None:
        chance = random.Random(seed)
        end = time.monotonic() + SECONDS_OF_CHAOS
        while time.monotonic() < end and not stop.wait(SECONDS_BETWEEN):
            namespace = chance.choice(RELEASES).namespace
            pods = kubectl.run("get", "pods", "-n", namespace, "-o", "name").split()
            if pods:
                victim = chance.choice(pods)
                kubectl.run("delete", victim, "-n", namespace, "--wait=false", "--ignore-not-found")
                deleted.append(f"{namespace}/{victim}")

    with ThreadPoolExecutor(len(RELEASES) + 1) as pool:
        killer = pool.submit(chaos)
        runs = [pool.submit(install, kubectl, release, images) for release in RELEASES]
        try:
            for run in runs:
                run.result()
        finally:
            killer.result()
            stop.set()
    assert deleted
    eventually(lambda: all_ready(kubectl), 600, f"four routes READY and both tables after deleting {deleted}")
    try:
        kubectl.helm("test", MASTER.name, "-n", MASTER.namespace, "--timeout", "15m")
    except CommandError as error:
        pytest.fail(f"{error}\ndeleted pods: {deleted}")
