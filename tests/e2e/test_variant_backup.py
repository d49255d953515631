"""The commands of docs/backup.md: releases saved, lost and restored, with and without state and keys."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from testbed.demo.releases import uninstall
from tests.e2e import guide, messages, parties
from tests.e2e.backups import (
    DOCUMENT,
    KEYS,
    RELEASE,
    SAVE_STATE,
    STATE,
    STATE_POD,
    save,
    save_values,
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
        assert messages.passed(made.test("master"), messages.EXAMPLE_JOB)
        yield made


def ready(made: Variant) -> bool:
    return all(parties.versions(made).values())


def changed_domains(made: Variant) -> set[str]:
    """Return the domains that the last run of `register` created or updated."""
    names = {name for _, name in messages.actions(step_log(made, "master", "register"))}
    return names & set(parties.LITES)


def test_restores_all_releases(made: Variant, tmp_path: Path) -> None:
    """Master on sqlite and both lites: saved while they run, deleted, restored at the same time."""
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
    eventually(lambda: ready(made), RECONNECT_SECONDS, "both lites reconnect")
    assert parties.state(made) == kept
    assert not changed_domains(made)
    assert messages.counts(step_log(made, "master", "routes"))["created"] == 0
    for party in parties.LITES:
        assert messages.counts(step_log(made, party, "data"))["created"] == 0
    assert messages.passed(made.test(), messages.EXAMPLE_JOB)


def test_restores_the_master_while_its_lites_run(made: Variant, tmp_path: Path) -> None:
    """The lites reconnect automatically, with the same pods."""
    kept, pods = parties.state(made), parties.pods(made)
    save(made, tmp_path, "master")
    shell(made, tmp_path, "master", STATE_POD, *SAVE_STATE)
    uninstall(made.kubectl, made.release("master"))

    shell(made, tmp_path, "master", STATE_POD, KEYS, STATE, RELEASE)
    eventually(lambda: ready(made), RECONNECT_SECONDS, "both lites reconnect")
    assert parties.state(made) == kept
    assert parties.pods(made) == pods
    assert not changed_domains(made)
    assert messages.counts(step_log(made, "master", "routes"))["created"] == 0
    assert messages.passed(made.test(), messages.EXAMPLE_JOB)


def test_restores_a_master_without_its_state(made: Variant, tmp_path: Path) -> None:
    """The keys are restored, the state is lost, and the lites still run."""
    kept = parties.state(made)
    save(made, tmp_path, "master")
    uninstall(made.kubectl, made.release("master"))

    shell(made, tmp_path, "master", KEYS, RELEASE)
    assert ("create", "alice") in messages.actions(step_log(made, "master", "register"))
    again = guide.commands(DOCUMENT, "A master without its state")
    for party in parties.LITES:
        save_values(made, tmp_path, party)
    with ThreadPoolExecutor(len(parties.LITES)) as pool:
        for done in [pool.submit(shell, made, tmp_path, party, *again) for party in parties.LITES]:
            done.result()
    eventually(lambda: ready(made), RECONNECT_SECONDS, "both lites reconnect")
    assert messages.passed(made.test(), messages.EXAMPLE_JOB)
    certificates = dict.fromkeys(parties.LITES)
    assert {**parties.state(made), **certificates} == {**kept, **certificates}


def test_readmits_a_lite_without_its_key(made: Variant, tmp_path: Path) -> None:
    """No new key is created automatically. The master rejects a new key until its operator admits it, once."""
    namespace, before, known = made.namespace("alice"), made.key("alice"), parties.state(made)["alice"]
    made.kubectl.run("delete", "secret", "kuscia-lite-alice-domain-key", "-n", namespace)
    with pytest.raises(CommandError):
        made.install("alice", values=parties.values(made, "alice"), timeout="60s")
    assert messages.DOMAIN_KEY_LOST.printed_in(step_log(made, "alice", "keys"))
    assert parties.versions(made)["alice"]

    for party in ("master", "alice"):
        save_values(made, tmp_path, party)
    renew, admit, close = guide.commands("rotation.md", "Domain key of a lite")
    shell(made, tmp_path, "alice", renew)
    messages.wait_for_message(made, "alice", messages.DEPLOY_TOKEN_MISMATCH, "allowRekey")
    assert made.key("alice").private_numbers() != before.private_numbers()

    shell(made, tmp_path, "master", admit, DOMAIN="alice")
    eventually(lambda: ready(made), RECONNECT_SECONDS, "alice reconnects")
    eventually(
        lambda: parties.state(made)["alice"] != known, RECONNECT_SECONDS, "data source encrypted for the new key"
    )
    shell(made, tmp_path, "master", close)
    assert messages.passed(made.test(), messages.EXAMPLE_JOB)
