"""The first installation of the README: master, alice and bob as their presets are, without tables."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.demo.demo import Demo
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def installed(demo: Demo, images: Path) -> Iterator[Variant]:
    with variant(demo, images, "bare", parties=("master", "alice", "bob"), bare=True) as made:
        made.install_all()
        yield made


def test_lites_are_admitted_and_connected(installed: Variant) -> None:
    for lite in ("alice", "bob"):
        installed.wait_for_node(lite)
    for source, destination in (("alice", "bob"), ("bob", "alice")):
        eventually(
            lambda source=source, destination=destination: (
                installed.route(source, destination)["status"]["status"] == "Succeeded"
            ),
            120,
            f"route {source}-{destination} READY",
        )


def test_helm_test_passes_without_tables(installed: Variant) -> None:
    assert installed.test().count("Phase:          Succeeded") == 3


def test_data_step_does_not_run(installed: Variant) -> None:
    namespace = installed.namespace("alice")
    assert installed.kubectl.get("jobs", "-n", namespace, "-l", "app.kubernetes.io/component=data")["items"] == []
