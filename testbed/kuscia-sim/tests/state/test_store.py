"""The state of a master survives a crash, and only one domain may use a datastore."""

import asyncio
import contextlib
import hashlib
import json
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kuscia_sim.state.datastore import SHARED_DATASTORE, UnsupportedDriver, datastore_url
from kuscia_sim.state.store import (
    COMPACT_AFTER,
    AlreadyExists,
    Conflict,
    LocalStore,
    NotFound,
    SharedDatastore,
    owner_reference,
)

# What go-sql-driver reads in MySQL addresses.
DSNS = json.loads((Path(__file__).parents[4] / "tests/hooks/go_mysql_dsn.json").read_text())["rows"]
WRITER = """
import asyncio, sys
from kuscia_sim.state.datastore import datastore_url
from kuscia_sim.state.store import LocalStore

async def main():
    store = await LocalStore.open(datastore_url("", sys.argv[1]), "kuscia-system")
    for number in range(100000):
        await store.create("domains", "", f"d{number}", {"spec": {"number": number}})
        print(number, flush=True)

asyncio.run(main())
"""


async def _open(path: Path, domain_id: str = "kuscia-system") -> LocalStore:
    return await LocalStore.open(datastore_url("", str(path)), domain_id)


async def test_acknowledged_writes_survive_kill(tmp_path: Path) -> None:
    database = tmp_path / "state.db"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(database)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
    )
    assert writer.stdout
    acknowledged = [int(writer.stdout.readline()) for _ in range(200)]
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    store = await _open(database)
    names = {domain["metadata"]["name"] for domain in await store.list("domains")}
    assert {f"d{number}" for number in acknowledged} <= names
    await store.close()


async def test_rejects_datastore_of_another_domain(tmp_path: Path) -> None:
    store = await _open(tmp_path / "state.db")
    await store.close()
    with pytest.raises(SharedDatastore, match=r"stat /home/kuscia/etc/kubeconfig: no such file"):
        await _open(tmp_path / "state.db", "other")
    with sqlite3.connect(tmp_path / "state.db") as database:
        rows = database.execute("SELECT name FROM kine WHERE name LIKE '/bootstrap/%'").fetchall()
    # The first 12 digits of the token's SHA-256, as in K3s.
    assert rows == [("/bootstrap/" + hashlib.sha256(b"kuscia-system").hexdigest()[:12],)]
    assert SHARED_DATASTORE.startswith("error building kubernetes client config from token")


async def test_stores_objects_as_api_server(tmp_path: Path) -> None:
    store = await _open(tmp_path / "state.db")
    made = await store.create("domains", "", "alice", {"spec": {"a": 1}})
    assert made["metadata"]["generation"] == 1
    with pytest.raises(AlreadyExists, match=r'^domains\.kuscia\.secretflow "alice" already exists$'):
        await store.create("domains", "", "alice", {})
    with pytest.raises(NotFound, match=r'^domains\.kuscia\.secretflow "bob" not found$'):
        await store.get("domains", "", "bob")
    with pytest.raises(NotFound, match=r'^namespaces "alice" not found$'):
        await store.create("domaindatas", "alice", "t", {"spec": {}})
    changed = await store.update("domains", "", "alice", {**made, "spec": {"a": 2}})
    assert changed["metadata"]["generation"] == 2
    with pytest.raises(Conflict, match="the object has been modified"):
        await store.update("domains", "", "alice", {**made, "spec": {"a": 3}})
    status = await store.update("domains", "", "alice", {**changed, "status": {"ready": True}})
    assert status["metadata"]["generation"] == 2
    await store.close()
    again = await _open(tmp_path / "state.db")
    assert await again.get("domains", "", "alice") == status
    await again.delete("domains", "", "alice")
    assert await again.list("domains") == []
    await again.close()


async def test_deletes_owned_objects(tmp_path: Path) -> None:
    store = await _open(tmp_path / "state.db")
    await store.create("namespaces", "", "alice", {})
    table = await store.create("domaindatas", "alice", "t", {"spec": {}})
    owners = {"metadata": {"ownerReferences": [owner_reference("DomainData", table)]}, "spec": {}}
    await store.create("domaindatagrants", "alice", "g", owners)
    await store.delete("domaindatas", "alice", "t")
    assert await store.list("domaindatagrants") == []
    await store.close()


async def test_compacts_and_never_reuses_revisions(tmp_path: Path) -> None:
    store = await _open(tmp_path / "state.db")
    item: dict[str, Any] = await store.create("nodes", "", "n", {"spec": {"beat": -1}})
    for beat in range(COMPACT_AFTER + 10):
        item = await store.update("nodes", "", "n", {**item, "spec": {"beat": beat}})
    await store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "state.db")) as database:
        assert database.execute("SELECT count(*) FROM kine").fetchone()[0] < COMPACT_AFTER
    again = await _open(tmp_path / "state.db")
    assert (await again.get("nodes", "", "n"))["spec"] == {"beat": COMPACT_AFTER + 9}
    newer = await again.update("nodes", "", "n", {**item, "spec": {}})
    assert int(newer["metadata"]["resourceVersion"]) > int(item["metadata"]["resourceVersion"])
    await again.close()


async def test_waits_for_change(tmp_path: Path) -> None:
    store = await _open(tmp_path / "state.db")
    start = await store.wait_change(0, 0.01)
    waiting = asyncio.create_task(store.wait_change(start, 10))
    await asyncio.sleep(0.01)
    await store.create("domains", "", "alice", {"spec": {}})
    assert await waiting > start
    await store.close()


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("", "sqlite:////var/state.db"),
        (
            "mysql://root:p@ss/w:rd@tcp(db.ns.svc.cluster.local:3306)/kine?charset=utf8mb4&parseTime=True",
            "mysql+pymysql://root:p%40ss%2Fw%3Ard@db.ns.svc.cluster.local:3306/kine?charset=utf8mb4",
        ),
        ("mysql://root:x@tcp(db)/kine", "mysql+pymysql://root:x@db:3306/kine?charset=utf8mb4"),
        ("postgres://u:p@db:5432/kine", "postgresql+psycopg://u:p@db:5432/kine"),
        ("postgresql://u:p@db/kine?sslmode=disable", "postgresql+psycopg://u:p@db/kine?sslmode=disable"),
    ],
)
def test_converts_datastore_endpoints(endpoint: str, url: str) -> None:
    assert datastore_url(endpoint, "/var/state.db").render_as_string(hide_password=False) == url


@pytest.mark.parametrize("row", DSNS, ids=lambda row: row["dsn"])
def test_reads_mysql_addresses_as_go(row: dict[str, str]) -> None:
    endpoint = f"mysql://{row['dsn']}"
    if "error" in row:
        with pytest.raises(ValueError, match=f"^{re.escape(row['error'])}$"):
            datastore_url(endpoint, "")
        return
    url = datastore_url(endpoint, "")
    found = (url.username or "", url.password or "", f"{url.host}:{url.port}", url.database)
    assert found == (row["user"], row["password"], row["addr"], row["db"])


def test_rejects_other_datastores() -> None:
    with pytest.raises(UnsupportedDriver, match=r"^Driver Name is 'oracle' Not supported$"):
        datastore_url("oracle://x", "/var/state.db")
