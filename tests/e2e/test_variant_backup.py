"""docs/backup.md, run as it stands: releases saved, lost and restored, with and without state and keys."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from testbed.demo.releases import uninstall
from tests.e2e import guide, parties
from tests.e2e.backups import (
    DOCUMENT,
    KEYS,
    RELEASE,
    SAVE_STATE,
    STATE,
    STATE_POD,
    save,
    shell,
    step_log,
)
from tests.e2e.variants import Variant
from tests.e2e.waiting import RECONNECT_SECONDS, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]


@pytest.fixture(scope="module")
def made(demo: Demo, images: Path, image_refs: dict[str, str]) -> Iterator[Variant]:
    with parties.three(demo, images, image_refs, "backup") as made:
        parties.install(made)
        assert "example job: " in made.test("master")
        yield made


def ready(made: Variant) -> bool:
    return all(parties.versions(made).values())


def test_all_lost_and_restored(made: Variant, tmp_path: Path) -> None:
    """Master on sqlite and both lites: saved while they run, deleted, restored at the same moment."""
    kept = parties.state(made)
    save(made, tmp_path, "master")
    for party in parties.LITES:
        save(made, tmp_path, party, f"{party}-oss")
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


def test_master_lost_and_restored_while_its_lites_run(made: Variant, tmp_path: Path) -> None:
    """They reconnect by themselves: nobody touches them, and their pods stay."""
    kept, pods = parties.state(made), parties.pods(made)
    save(made, tmp_path, "master")
    shell(made, tmp_path, "master", STATE_POD, *SAVE_STATE)
    uninstall(made.kubectl, made.release("master"))

    shell(made, tmp_path, "master", STATE_POD, KEYS, STATE, RELEASE)
    eventually(lambda: ready(made), RECONNECT_SECONDS, "both lites are back")
    assert parties.state(made) == kept
    assert parties.pods(made) == pods
    assert "Domain" not in step_log(made, "master", "register")
    assert "created=0" in step_log(made, "master", "routes")
    assert "example job: " in made.test()


def test_master_without_its_state(made: Variant, tmp_path: Path) -> None:
    """The keys are there, the state is not, and the lites went on running."""
    kept = parties.state(made)
    save(made, tmp_path, "master")
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
    """No new key comes by itself; a new one is refused in clear words until the master's operator admits it, once."""
    namespace, before, known = made.namespace("alice"), made.key("alice"), parties.state(made)["alice"]
    made.kubectl.run("delete", "secret", "kuscia-lite-alice-domain-key", "-n", namespace)
    with pytest.raises(CommandError):
        made.install("alice", values=parties.values(made, "alice"), timeout="60s")
    assert "Restore the Secret from your backup" in step_log(made, "alice", "keys")
    assert parties.versions(made)["alice"]

    renew, admit = guide.commands(DOCUMENT, "A lite without its key")
    shell(made, tmp_path, "alice", renew)
    words = "restore it, or set master.domains.<id>.allowRekey: true once"
    eventually(lambda: words in made.log("alice", "prepare"), 120, "prepare names the repair")
    assert made.key("alice").private_numbers() != before.private_numbers()

    shell(made, tmp_path, "master", admit, DOMAIN="alice")
    eventually(lambda: ready(made), RECONNECT_SECONDS, "alice is back")
    eventually(lambda: parties.state(made)["alice"] != known, 180, "data encrypts its data source for the new key")
    shell(made, tmp_path, "master", admit.replace("true", "false"), DOMAIN="alice")
    assert "example job: " in made.test()
