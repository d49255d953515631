"""Changes of a whole cluster in its life: a new chart, a new party, all releases at once."""

import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.demo.demo import Demo
from testbed.demo.releases import ROOT
from tests.e2e import messages, parties
from tests.e2e.earlier import EARLIER
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import RECONNECT_SECONDS, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository at an earlier commit."""
    tree = tmp_path_factory.mktemp("earlier")
    done = subprocess.run(["git", "archive", EARLIER], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.fail(f"commit {EARLIER} not found; in a shallow clone, run: git fetch --unshallow")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(tree, filter="data")
    return tree


@pytest.fixture(scope="module")
def earlier_images(demo: Demo, image_refs: dict[str, str], earlier: Path) -> Path:
    """The values layer with the image of the earlier steps."""
    assert demo.local is not None
    images = [sys.executable, "-m", "testbed.images"]
    subprocess.run([*images, "load", "--cluster", demo.name, "kuscia-hooks"], cwd=earlier, check=True)
    built = subprocess.run([*images, "build", "kuscia-hooks"], cwd=earlier, capture_output=True, text=True, check=True)
    return demo.image_values(image_refs | {"kuscia-hooks": built.stdout.split()[-1]})


@pytest.fixture
def made(demo: Demo, images: Path, image_refs: dict[str, str]) -> Iterator[Variant]:
    with parties.three(demo, images, image_refs, "life") as made:
        yield made


def test_upgrades_from_an_earlier_chart(made: Variant, earlier: Path, earlier_images: Path) -> None:
    """The releases keep their identity and their state; nothing is created twice."""
    before = replace(made, chart=earlier / "charts/kuscia", images=earlier_images)
    parties.install(before)
    made.wait_for_node("alice")
    made.wait_for_node("bob")
    assert messages.passed(before.test("master"), messages.EXAMPLE_JOB)
    kept = parties.state(made)

    for party in parties.PARTIES:
        parties.install(made, party)
    made.wait_for_node("alice")
    made.wait_for_node("bob")
    assert parties.state(made) == kept
    assert messages.passed(made.test("master"), messages.EXAMPLE_JOB)
    assert messages.failures(made.test("alice", "bob")) == []


def test_upgrades_all_releases_at_once(made: Variant, demo: Demo, image_refs: dict[str, str], next_kuscia: str) -> None:
    """All parties get another Kuscia in the same moment. Lites wait for the restarted master, and do not exit."""
    parties.install(made)
    assert messages.passed(made.test("master"), messages.EXAMPLE_JOB)
    kept = parties.state(made)

    after = replace(made, images=demo.image_values(image_refs | {"kuscia": next_kuscia}))
    parties.install(after)
    after.wait_for_node("alice")
    after.wait_for_node("bob")
    for party in parties.PARTIES:
        (status,) = after.pod(party)["status"]["containerStatuses"]
        assert (status["image"].endswith(next_kuscia), status["restartCount"]) == (True, 0)
    assert parties.state(after) == kept
    assert messages.passed(after.test("master"), messages.EXAMPLE_JOB)


def test_adds_a_party(demo: Demo, images: Path) -> None:
    """The pods of the others keep running."""
    names = ("master", "alice", "carol")
    with variant(demo, images, "life-party", parties=names, bare=True) as made:
        two = replace(made, parties=("master", "alice"))
        two.install_all()
        uids = {party: two.pod(party)["metadata"]["uid"] for party in two.parties}
        endpoint = f"https://kuscia-lite-carol.{made.namespace('carol')}.svc.cluster.local:1080"
        reader = {"namespace": made.namespace("carol"), "serviceAccount": "kuscia-lite-carol"}
        values = {"master": {"domains": {"carol": {"endpoint": endpoint, "reader": reader}}}}
        made.install("master", values=values)
        made.install("carol")
        made.wait_for_node("carol")
        for source, destination in (("alice", "carol"), ("carol", "alice")):
            eventually(
                lambda pair=(source, destination): made.route(*pair)["status"]["status"] == "Succeeded",
                RECONNECT_SECONDS,
                f"route {source} to {destination}",
            )
        assert {party: made.pod(party)["metadata"]["uid"] for party in two.parties} == uids
