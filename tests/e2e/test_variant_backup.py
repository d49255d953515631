"""docs/backup.md, run as it stands: releases saved, lost and restored, with and without state and keys."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cluster.demo import Demo
from tests.cluster.releases import uninstall
from tests.e2e import guide, parties
from tests.e2e.conftest import eventually
from tests.e2e.variants import Variant

pytestmark = [pytest.mark.cluster, pytest.mark.long]
DOCUMENT = "backup.md"
SAVE = guide.commands(DOCUMENT, "Save a release")
STATE_POD, *SAVE_STATE = guide.commands(DOCUMENT, "Save the state of a master on sqlite")
KEYS, STATE, RELEASE = guide.commands(DOCUMENT, "Restore")
# Kuscia counts a gateway that is gone as alive for three minutes (Kuscia facts 16.2).
RECONNECT_SECONDS = 300


@pytest.fixture(scope="module")
def made(demo: Demo, images: Path, image_refs: dict[str, str]) -> Iterator[Variant]:
    with parties.three(demo, images, image_refs, "backup") as made:
        parties.install(made)
        assert "example job: " in made.test("master")
        yield made


def shell(made: Variant, directory: Path, party: str, *blocks: str, **more: str) -> str:
    release = made.release(party)
    own = f"secret/{party}-oss" if party in parties.LITES else ""
    variables = {"NS": release.namespace, "NAME": release.fullname, "OWN": own, **more}
    return guide.run(made.kubectl, directory, variables, *blocks)


def step_log(made: Variant, party: str, step: str) -> str:
    """The log of a step's newest pod."""
    selector, namespace = f"app.kubernetes.io/component={step}", made.namespace(party)
    order = "--sort-by=.metadata.creationTimestamp"
    pods = made.kubectl.run("get", "pods", "-n", namespace, "-l", selector, order, "-o", "name").split()
    return made.kubectl.run("logs", "-n", namespace, pods[-1])


def ready(made: Variant) -> bool:
    return all(parties.versions(made).values())


def test_all_lost_and_restored(made: Variant, tmp_path: Path) -> None:
    """Master on sqlite and both lites: saved while they run, deleted, restored at the same moment."""
    kept = parties.state(made)
    for party in parties.PARTIES:
        shell(made, tmp_path, party, *SAVE)
    shell(made, tmp_path, "master", STATE_POD, *SAVE_STATE)
    made.remove()

    with ThreadPoolExecutor(len(parties.PARTIES)) as pool:
        lites = [pool.submit(shell, made, tmp_path, party, KEYS, RELEASE) for party in parties.LITES]
        shell(made, tmp_path, "master", STATE_POD, KEYS, STATE, RELEASE)
        for done in lites:
            done.result()
    eventually(lambda: ready(made), RECONNECT_SECONDS, "both lites are back")
    assert parties.state(made) == kept
    assert "Domain" not in step_log(made, "master", "register")
    assert "created=0" in step_log(made, "master", "routes")
    for party in parties.LITES:
        assert "created=0" in step_log(made, party, "data")
    assert "example job: " in made.test()


def test_master_without_its_state(made: Variant, tmp_path: Path) -> None:
    """The keys are there, the state is not, and the lites went on running."""
    kept = parties.state(made)
    shell(made, tmp_path, "master", *SAVE)
    uninstall(made.kubectl, made.release("master"))

    shell(made, tmp_path, "master", KEYS, RELEASE)
    assert "create Domain alice" in step_log(made, "master", "register")
    again = guide.commands(DOCUMENT, "A master without its state")
    with ThreadPoolExecutor(len(parties.LITES)) as pool:
        for done in [pool.submit(shell, made, tmp_path, party, *again) for party in parties.LITES]:
            done.result()
    eventually(lambda: ready(made), RECONNECT_SECONDS, "both lites are back")
    assert "example job: " in made.test()
    certificates = dict.fromkeys(parties.LITES)
    assert {**parties.state(made), **certificates} == {**kept, **certificates}


def test_lite_without_its_key(made: Variant, tmp_path: Path) -> None:
    """A new key is refused in clear words until the master's operator admits it, once."""
    release = made.release("alice")
    before, known = made.key("alice"), parties.state(made)["alice"]
    lost = ("secret/kuscia-lite-alice-domain-key", "configmap/kuscia-lite-alice-domain-cert")
    made.kubectl.run("delete", *lost, "-n", release.namespace)
    made.install("alice", values=parties.values(made, "alice"))
    made.kubectl.run("rollout", "restart", f"deployment/{release.fullname}", "-n", release.namespace)
    words = "restore it, or set master.domains.<id>.allowRekey: true once"
    eventually(lambda: words in made.log("alice", "prepare"), 120, "prepare names the repair")
    assert made.key("alice").private_numbers() != before.private_numbers()
    assert parties.versions(made)["alice"] == ""

    (repair,) = guide.commands(DOCUMENT, "A lite without its key")
    shell(made, tmp_path, "master", repair, DOMAIN="alice")
    eventually(lambda: ready(made), RECONNECT_SECONDS, "alice is back")
    assert parties.state(made)["alice"] != known
    shell(made, tmp_path, "master", repair.replace("true", "false"), DOMAIN="alice")
    assert "example job: " in made.test()
