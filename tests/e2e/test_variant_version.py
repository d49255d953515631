"""The commands of docs/upgrade.md: first the master, then one lite after the other; the state of the master is kept."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import PORT
from testbed.demo.releases import image_values
from testbed.images.adopt import AGAIN
from testbed.servers.databases import MARIADB
from tests.e2e import datastores, guide, messages, parties
from tests.e2e.backups import save_values, shell
from tests.e2e.variants import Variant
from tests.e2e.waiting import RECONNECT_SECONDS, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]

(UPGRADE,) = guide.commands("upgrade.md", "Upgrade")


@pytest.fixture
def made(demo: Demo, images: Path, image_refs: dict[str, str]) -> Iterator[Variant]:
    with parties.three(demo, images, image_refs, "version") as made:
        yield made


def change(made: Variant, directory: Path, party: str, ref: str) -> str:
    """Set another image in the values, run the commands of the page, and return their output."""
    component = "master" if party == "master" else "lite"
    save_values(made, directory, party, {component: {"image": image_values(ref)}})
    output = shell(made, directory, party, UPGRADE)
    assert made.pod(party)["spec"]["containers"][0]["image"] == ref
    return output


def served(made: Variant, party: str) -> str:
    """Return the version that a node's own API reports."""
    release = made.release(party)
    with made.kubectl.port_forward(release.namespace, f"service/{release.fullname}", PORT) as port:
        # Unverified: no credentials are sent.
        return httpx.get(f"https://127.0.0.1:{port}/version", verify=False).text.strip()


def test_upgrades_the_master_first_then_the_lites(made: Variant, next_kuscia: str, tmp_path: Path) -> None:
    parties.install(made)
    assert messages.passed(made.test("master"), messages.EXAMPLE_JOB)
    before, kept = served(made, "master"), parties.state(made)
    assert parties.versions(made) == dict.fromkeys(parties.LITES, before)

    lites = {party: made.pod(party)["metadata"]["uid"] for party in parties.LITES}
    assert messages.passed(change(made, tmp_path, "master", next_kuscia), messages.EXAMPLE_JOB)
    after = served(made, "master")
    assert (after == before) is next_kuscia.endswith(AGAIN)
    assert parties.versions(made) == dict.fromkeys(parties.LITES, before)
    assert {party: made.pod(party)["metadata"]["uid"] for party in parties.LITES} == lites
    assert parties.state(made) == kept

    for number, party in enumerate(parties.LITES, 1):
        change(made, tmp_path, party, next_kuscia)
        wanted = {lite: after if lite in parties.LITES[:number] else before for lite in parties.LITES}
        eventually(lambda wanted=wanted: parties.versions(made) == wanted, RECONNECT_SECONDS, f"{party} reconnects")
        assert served(made, party) == after
        assert messages.passed(made.test("master"), messages.EXAMPLE_JOB)
    made.test()
    assert parties.state(made) == kept


def test_upgrades_a_master_on_a_database(demo: Demo, images: Path, next_kuscia: str, tmp_path: Path) -> None:
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
            change(made, tmp_path, party, next_kuscia)
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
