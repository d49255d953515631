"""The commands of docs/move.md: another datastore, another namespace, another cluster."""

import base64
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from kuscia_hooks.kuscia import domain_key
from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import kusciaapi
from testbed.demo.releases import uninstall
from testbed.servers import databases
from testbed.servers.databases import MARIADB
from tests.e2e import datastores, guide, messages, parties
from tests.e2e.backups import KEYS, RELEASE, SAVE_STATE, STATE, STATE_POD, save_values, shell, step_log
from tests.e2e.partners import away_cluster, node_port, partners
from tests.e2e.variants import Variant
from tests.e2e.waiting import RECONNECT_SECONDS, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]

DOCUMENT = "move.md"
DATASTORE, REGISTER = guide.commands(DOCUMENT, "From SQLite to MySQL or PostgreSQL")
SAVE, INSTALL, ADMIT, CONTINUE = guide.commands(DOCUMENT, "To another namespace")
(RECONNECT,) = guide.commands(DOCUMENT, "A master to another namespace")
SERVER = replace(MARIADB, namespace="v-move-mariadb")


def test_moves_the_state_from_sqlite_to_a_database(
    demo: Demo, images: Path, image_refs: dict[str, str], tmp_path: Path
) -> None:
    with datastores.running(demo, SERVER), parties.three(demo, images, image_refs, "move-state") as made:
        parties.install(made)
        assert messages.passed(made.test(), messages.EXAMPLE_JOB)
        kept = parties.state(made)
        password = databases.random_password()
        databases.set_password(demo.kubectl, SERVER, "kuscia", password)
        databases.create_database(demo.kubectl, SERVER, "kuscia", "kuscia")
        made.secret(made.namespace("master"), "kuscia-mysql", {"password": password})
        store = {"type": "mysql", "host": SERVER.host, "database": "kuscia", "user": "kuscia",
                 "existingSecret": "kuscia-mysql"}  # fmt: skip
        (tmp_path / "datastore.yaml").write_text(yaml.safe_dump({"master": {"datastore": store}}))
        for party in parties.PARTIES:
            save_values(made, tmp_path, party)
        shell(made, tmp_path, "master", DATASTORE)
        assert messages.actions(step_log(made, "master", "register"))
        with ThreadPoolExecutor(len(parties.LITES)) as pool:
            for done in [pool.submit(shell, made, tmp_path, party, REGISTER) for party in parties.LITES]:
                done.result()
        eventually(lambda: all(parties.versions(made).values()), RECONNECT_SECONDS, "both lites reconnect")
        assert databases.sql(demo.kubectl, SERVER, "SELECT COUNT(*) > 0 FROM kine", "kuscia") == "1"
        made.kubectl.run("get", "pvc", "kuscia-master-data", "-n", made.namespace("master"))
        assert messages.passed(made.test(), messages.EXAMPLE_JOB)
        certificates = dict.fromkeys(parties.LITES)
        assert {**parties.state(made), **certificates} == {**kept, **certificates}


def test_moves_a_lite_to_another_namespace(
    demo: Demo, images: Path, image_refs: dict[str, str], tmp_path: Path
) -> None:
    with parties.three(demo, images, image_refs, "move") as made:
        parties.install(made)
        key, old = made.key("alice"), made.release("alice")
        moved = replace(old, namespace="v-move-new")
        uninstall(made.kubectl, moved)
        try:
            shell(made, tmp_path, "alice", SAVE, INSTALL, OWN="secret/alice-oss", NEW=moved.namespace)
            host = f"kuscia-lite-alice.{moved.namespace}.svc.cluster.local"
            alice = {"endpoint": f"https://{host}:1080", "reader": {"namespace": moved.namespace}}
            save_values(made, tmp_path, "master", {"master": {"domains": {"alice": alice}}})
            shell(made, tmp_path, "master", ADMIT)
            shell(made, tmp_path, "alice", CONTINUE, NEW=moved.namespace)
            eventually(lambda: all(parties.versions(made).values()), RECONNECT_SECONDS, "alice reconnects")
            assert made.route("bob", "alice")["endpoint"]["host"] == host
            with kusciaapi(made.kubectl, moved) as api:
                # The token of this API is derived from the key.
                assert api.call("domain/query", {"domain_id": "alice"})["cert"]
            secret = made.kubectl.get("secret", "kuscia-lite-alice-domain-key", "-n", moved.namespace)
            moved_key = domain_key.load_key(base64.b64decode(secret["data"]["domain.key"]))
            assert moved_key.private_numbers() == key.private_numbers()
            made.kubectl.run("delete", "namespace", old.namespace, "--wait", timeout=300)
            assert messages.passed(made.test("master"), messages.EXAMPLE_JOB)
            made.kubectl.helm("test", "kuscia", "-n", moved.namespace, "--timeout", "5m")
        finally:
            uninstall(made.kubectl, moved)


class Moved(Variant):
    """The parties after the move of the master."""

    def namespace(self, party: str) -> str:
        return "v-move-master-new" if party == "master" else super().namespace(party)


def test_moves_a_master_to_another_namespace(
    demo: Demo, images: Path, image_refs: dict[str, str], tmp_path: Path
) -> None:
    """With its state on SQLite. The lites connect with their keys, and Kuscia has the same objects as before."""
    with parties.three(demo, images, image_refs, "move-master") as made:
        parties.install(made)
        assert messages.passed(made.test("master"), messages.EXAMPLE_JOB)
        kept, key = parties.state(made), made.key("master")
        after = Moved(**vars(made))
        moved = after.release("master")
        uninstall(made.kubectl, moved)
        try:
            shell(made, tmp_path, "master", STATE_POD, *SAVE_STATE)
            shell(made, tmp_path, "master", SAVE, NEW=moved.namespace, OWN="")
            made.kubectl.run("delete", "namespace", made.namespace("master"), "--wait", timeout=300)
            shell(after, tmp_path, "master", STATE_POD, KEYS, STATE, RELEASE)
            endpoint = f"https://{moved.fullname}.{moved.namespace}.svc.cluster.local:1080"
            master = {"endpoint": endpoint, "namespace": moved.namespace}
            for party in parties.LITES:
                save_values(made, tmp_path, party, {"lite": {"master": master}})
            with ThreadPoolExecutor(len(parties.LITES)) as pool:
                for done in [pool.submit(shell, made, tmp_path, party, RECONNECT) for party in parties.LITES]:
                    done.result()
            eventually(lambda: all(parties.versions(after).values()), RECONNECT_SECONDS, "both lites reconnect")
            assert parties.state(after) == kept
            assert after.key("master").private_numbers() == key.private_numbers()
            assert messages.passed(after.test(), messages.EXAMPLE_JOB)
        finally:
            uninstall(made.kubectl, moved)


def test_moves_a_lite_to_another_cluster(demo: Demo, images: Path, tmp_path: Path) -> None:
    """It is admitted by its certificate, which moves with the key. Its former cluster has no other party."""
    openings = node_port("master"), node_port("alice")
    with away_cluster(demo, "m") as away, partners(demo, images, away, "move-cluster", *openings) as both:
        former, new = both.here, both.there
        alice = former.release("alice")
        master = {"lite": {"master": {"endpoint": both.node_port("master")}}}
        former.install("alice", "partner", "nodeport", values=master, wait=False)
        config = former.kubectl.get("configmap", f"{alice.fullname}-domain-cert", "-n", alice.namespace)
        domain = {"endpoint": both.node_port("alice"), "cert": config["data"]["domain.crt"]}
        domains = {"alice": domain, "bob": {}}
        former.install("master", "partner", "nodeport", values={"master": {"domains": domains, "routes": "all"}})

        def ready() -> bool:
            with kusciaapi(former.kubectl, former.release("master")) as api:
                found = api.call("domain/query", {"domain_id": "alice"})["node_statuses"]
            return [node["status"] for node in found] == ["Ready"]

        eventually(ready, RECONNECT_SECONDS, "alice in its former cluster")
        key = former.key("alice")
        try:
            shell(former, tmp_path, "alice", SAVE, NEW=alice.namespace, OWN="")
            eventually(lambda: not ready(), RECONNECT_SECONDS, "the master misses alice")
            shell(new, tmp_path, "alice", INSTALL, NEW=alice.namespace)
            address = both.away.node_address
            moved = {"endpoint": both.node_port("alice").replace(both.home.node_address, address)}
            save_values(former, tmp_path, "master", {"master": {"domains": {"alice": moved}}})
            shell(former, tmp_path, "master", ADMIT)
            shell(new, tmp_path, "alice", CONTINUE, NEW=alice.namespace)
            eventually(ready, RECONNECT_SECONDS, "alice in its new cluster")
            assert former.route("bob", "alice")["endpoint"]["host"] == address
            assert new.key("alice").private_numbers() == key.private_numbers()
        finally:
            uninstall(new.kubectl, alice)
