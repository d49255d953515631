"""docs/backup.md, run as it stands: releases saved, lost and restored, with and without state and keys."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster import databases
from tests.cluster.databases import MARIADB, POSTGRES, Server
from tests.cluster.demo import Demo
from tests.cluster.kubectl import CommandError
from tests.cluster.releases import uninstall
from tests.e2e import datastores, guide, parties
from tests.e2e.conftest import eventually
from tests.e2e.datastores import Master
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
    variables = {"NS": release.namespace, "NAME": release.fullname, **more}
    return guide.run(made.kubectl, directory, variables, *blocks)


def save(made: Variant, directory: Path, party: str, own: str = "") -> None:
    shell(made, directory, party, *SAVE, OWN=f"secret/{own}" if own else "")


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
    assert parties.state(made)["alice"] != known
    shell(made, tmp_path, "master", admit.replace("true", "false"), DOMAIN="alice")
    assert "example job: " in made.test()


def at_the_server(one: Master, heading: str) -> None:
    """Run the document's commands for that kind of server where its clients are, as the master's user."""
    (block,) = guide.commands(DOCUMENT, heading, datastores.PRESETS[one.server.name])
    login = f"""cd /tmp; umask 077; export PGHOST=127.0.0.1 PGUSER={one.user} PGPASSWORD={one.password}
printf '[client]\nhost=127.0.0.1\nuser={one.user}\npassword={one.password}\n' > kine.cnf
"""
    pod = (f"deployment/{one.server.name}", "-c", "server")
    shell = ("bash", "-euo", "pipefail", "-s")
    one.made.kubectl.run("exec", "-i", "-n", one.server.namespace, *pod, "--", *shell, stdin=login + block)


@pytest.mark.parametrize("server", [MARIADB, POSTGRES], ids=lambda server: server.name)
def test_database_lost_and_restored(demo: Demo, images: Path, server: Server, tmp_path: Path) -> None:
    """The same with a master on a database, whose table is dumped while it runs."""
    kind, both = datastores.PRESETS[server.name], ("master", "alice")
    server = replace(server, namespace=f"v-backup-{server.name}")
    with (
        datastores.running(demo, server),
        datastores.master(demo, images, server, "kuscia", f"backup-{kind}", both) as made_one,
    ):
        one, made = replace(made_one, password="plain"), made_one.made
        one.set_secret(one.password)
        one.make_user()
        one.make_database()
        made.install_all()
        kept = one.kept()
        save(made, tmp_path, "master", f"kuscia-{kind}")
        save(made, tmp_path, "alice")
        at_the_server(one, "Save the state of a master on MySQL or PostgreSQL")
        made.remove()
        databases.drop(demo.kubectl, server, one.database, one.user)

        one.make_user()
        one.make_database()
        at_the_server(one, "Restore")
        with ThreadPoolExecutor(len(both)) as pool:
            for done in [pool.submit(shell, made, tmp_path, party, KEYS, RELEASE) for party in both]:
                done.result()
        eventually(lambda: parties.versions(made, ("alice",))["alice"], RECONNECT_SECONDS, "alice is back")
        assert one.kept().items() >= kept.items()
        assert "Domain" not in step_log(made, "master", "register")
        assert "created=0" in step_log(made, "master", "routes")
        made.test()
