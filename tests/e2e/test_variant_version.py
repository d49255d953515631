"""Another Kuscia image: first the master, then one lite after the other; the state of the master is kept."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import PORT
from testbed.demo.releases import CHART, image_values
from testbed.images.adopt import AGAIN
from testbed.servers.databases import MARIADB
from tests.e2e import datastores, messages, parties
from tests.e2e.variants import Variant
from tests.e2e.waiting import RECONNECT_SECONDS, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]


@pytest.fixture
def made(demo: Demo, images: Path, image_refs: dict[str, str]) -> Iterator[Variant]:
    with parties.three(demo, images, image_refs, "version") as made:
        yield made


def change(made: Variant, party: str, ref: str) -> None:
    """Run the command of docs/upgrade.md."""
    release, component = made.release(party), "master" if party == "master" else "lite"
    sets = [f"--set-string={component}.image.{key}={value}" for key, value in image_values(ref).items()]
    made.kubectl.helm(
        "upgrade", release.name, str(CHART), "-n", release.namespace, "--reuse-values", *sets,
        "--wait", "--timeout", "8m",
    )  # fmt: skip
    assert made.pod(party)["spec"]["containers"][0]["image"] == ref


def served(made: Variant, party: str) -> str:
    """Return the version that a node's own API reports."""
    release = made.release(party)
    with made.kubectl.port_forward(release.namespace, f"service/{release.fullname}", PORT) as port:
        # Unverified: no credentials are sent.
        return httpx.get(f"https://127.0.0.1:{port}/version", verify=False).text.strip()


def test_upgrades_the_master_first_then_the_lites(made: Variant, next_kuscia: str) -> None:
    parties.install(made)
    assert messages.passed(made.test("master"), messages.EXAMPLE_JOB)
    before, kept = served(made, "master"), parties.state(made)
    assert parties.versions(made) == dict.fromkeys(parties.LITES, before)

    change(made, "master", next_kuscia)
    after = served(made, "master")
    assert (after == before) is next_kuscia.endswith(AGAIN)
    lites = {party: made.pod(party)["metadata"]["uid"] for party in parties.LITES}
    eventually(
        lambda: parties.versions(made) == dict.fromkeys(parties.LITES, before),
        RECONNECT_SECONDS,
        "both lites reconnect to the new master",
    )
    assert messages.passed(made.test("master"), messages.EXAMPLE_JOB)
    assert {party: made.pod(party)["metadata"]["uid"] for party in parties.LITES} == lites
    assert parties.state(made) == kept

    for number, party in enumerate(parties.LITES, 1):
        change(made, party, next_kuscia)
        wanted = {lite: after if lite in parties.LITES[:number] else before for lite in parties.LITES}
        eventually(lambda wanted=wanted: parties.versions(made) == wanted, RECONNECT_SECONDS, f"{party} reconnects")
        assert served(made, party) == after
        assert messages.passed(made.test("master"), messages.EXAMPLE_JOB)
    made.test()
    assert parties.state(made) == kept


def test_upgrades_a_master_on_a_database(demo: Demo, images: Path, next_kuscia: str) -> None:
    """The database keeps the state. A lite can be rolled back."""
    server, both = replace(MARIADB, namespace="v-version-mariadb"), ("master", "alice")
    with (
        datastores.running(demo, server),
        datastores.master(demo, images, server, "kuscia", "version-mysql", both) as one,
    ):
        made = one.made
        one.make_user()
        one.make_database()
        made.install_all()
        kept, before = one.kept(), served(made, "alice")
        for party in both:
            change(made, party, next_kuscia)
        wait_for_version(made, served(made, "alice"))
        assert one.kept().items() >= kept.items()
        made.test()

        made.kubectl.helm("rollback", "kuscia", "-n", made.namespace("alice"), "--wait", "--timeout", "8m")
        wait_for_version(made, before)
        made.test()


def wait_for_version(made: Variant, version: str) -> None:
    """Wait until alice's node is Ready with that version."""
    what = f"alice reconnects with {version}"
    eventually(lambda: parties.versions(made, ("alice",)) == {"alice": version}, RECONNECT_SECONDS, what)
