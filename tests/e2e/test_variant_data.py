"""A user's tables in a bucket: from URLs, from a volume, already uploaded; and mistakes with them."""

import hashlib
import json
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import kusciaapi
from tests.e2e import guide, messages
from tests.e2e.backups import save_values, shell
from tests.e2e.datasources import LOGIN, Stores, stores
from tests.e2e.fileserver import LINE_SIZE
from tests.e2e.messages import Message
from tests.e2e.plugin import kuscia
from tests.e2e.variants import variant
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]

BUCKET = "data-alice"
(ROTATE_KEYS,) = guide.commands("rotation.md", "Access keys of the object store")
CSV = b"id1,age,y\n" + b"".join(b"%d,0.5,1\n" % number for number in range(100))
COLUMNS = [{"name": "id1", "type": "str"}, {"name": "age", "type": "float"}]
TYPES = {"id1": "str", "y": "int", "*": "float"}


@pytest.fixture(scope="module")
def world(demo: Demo, images: Path, image_refs: dict[str, str]) -> Iterator[Stores]:
    """A master and the servers. The tests install alice, one after the other."""
    with (
        variant(demo, images, "data") as made,
        stores(demo, made, image_refs, virtual_bucket=BUCKET) as found,
    ):
        made.install("master", wait=False)
        yield found


def values(world: Stores, tables: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """Return alice's values; `source` and `data` are merged."""
    source = {"endpoint": world.endpoint, "bucket": BUCKET, "createBucket": True, **fields.pop("source", {})}
    grants = [{"table": table["id"], "domain": "bob"} for table in tables]
    data = {"source": source, "tables": tables, "grants": grants, **fields.pop("data", {})}
    return {"lite": {"data": data, **fields}}


def table(name: str, **fields: Any) -> dict[str, Any]:
    columns = {} if "columnTypes" in fields else {"columns": COLUMNS}
    return {"id": name, "relativeUri": f"{name}.csv", **columns, **fields}


def job_pod(world: Stores) -> dict[str, Any]:
    """Return the newest pod of the data step."""
    namespace = world.made.namespace("alice")
    selector = "app.kubernetes.io/component=data"
    pods = world.kubectl.get("pods", "-n", namespace, "-l", selector)["items"]
    found: dict[str, Any] = max(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])
    return found


def log(world: Stores) -> str:
    name = job_pod(world)["metadata"]["name"]
    return world.kubectl.run("logs", name, "-n", world.made.namespace("alice"))


def wait_for_messages(world: Stores, *expected: tuple[Message, str]) -> None:
    """Wait until the data step prints all messages, each with a fact, and check that it retries."""

    def printed() -> bool:
        text = log(world)
        missing = [(message.id, fact) for message, fact in expected if not message.printed_in(text, fact)]
        assert not missing, f"missing: {missing}\n{text}"
        return True

    eventually(printed, 120, "messages of the data step")
    assert job_pod(world)["status"]["phase"] == "Running"


def wait_until_done(world: Stores, timeout: float = 150) -> dict[str, int]:
    """Wait until the pod of the step succeeds, without a restart; return its counts."""

    def ended() -> bool:
        pod = job_pod(world)
        assert pod["status"]["phase"] == "Succeeded", f"{pod['status']['phase']}: {log(world)}"
        return True

    eventually(ended, timeout, "the data step ends")
    assert job_pod(world)["status"]["containerStatuses"][0]["restartCount"] == 0
    return messages.counts(log(world))


def declared(world: Stores, name: str) -> list[tuple[str, str]] | None:
    """Return names and types of a declared table's columns; None if the table is not declared."""
    with kusciaapi(world.kubectl, world.made.release("alice")) as api:
        found = api.find("domaindata/query", {"data": {"domain_id": "alice", "domaindata_id": name}})
    return None if found is None else [(column["name"], column["type"]) for column in found["columns"]]


def source_info(world: Stores) -> dict[str, Any]:
    with kusciaapi(world.kubectl, world.made.release("alice")) as api:
        found = api.call("domaindatasource/query", {"domain_id": "alice", "datasource_id": "default-data-source"})
    info: dict[str, Any] = found["info"]["oss"]
    return info


def test_declares_tables_of_each_kind_of_source(world: Stores) -> None:
    """A URL with a login, a file of a volume, and an uploaded object, in a bucket with virtual-host addresses."""
    made = world.made
    world.put_file("remote.csv", CSV)
    world.put_file("mounted.csv", CSV)
    with world.client() as client:
        client.make_bucket(BUCKET)
        client.put_object(BUCKET, "in/put/there.csv", BytesIO(CSV), len(CSV))
    remote = table(
        "remote",
        url=f"{world.files}/private/remote.csv",
        urlSecret=LOGIN,
        sha256=hashlib.sha256(CSV).hexdigest(),
        size=len(CSV),
        columnTypes=TYPES,
    )
    mounted = table("mounted", claim={"name": LOGIN, "path": "mounted.csv"})
    source = {
        "endpoint": world.virtual_endpoint,
        "virtualhost": True,
        "prefix": "in/put",
        "storageType": "minio",
        "createBucket": False,
    }
    made.install("alice", values=values(world, [remote, mounted, table("there", columnTypes=TYPES)], source=source))
    counts = wait_until_done(world)
    assert (counts["created"], counts["updated"]) == (8, 1)
    assert declared(world, "remote") == declared(world, "there") == [("id1", "str"), ("age", "float"), ("y", "int")]
    assert declared(world, "mounted") == [("id1", "str"), ("age", "float")]
    assert world.names(BUCKET) == {f"in/put/{name}.csv" for name in ("remote", "mounted", "there")}
    info = source_info(world)
    assert (info["virtualhost"], info["prefix"], info["storage_type"]) == (True, "in/put", "minio")
    volume = next(one for one in job_pod(world)["spec"]["volumes"] if "persistentVolumeClaim" in one)
    assert volume["persistentVolumeClaim"] == {"claimName": LOGIN, "readOnly": True}

    logs = made.test("alice")
    assert messages.passed(logs, "table remote", "100 rows", "3 columns")
    assert world.password not in logs + log(world)


def test_updates_the_source_and_deletes_leftovers_only_with_prune(world: Stores) -> None:
    """Path style and another prefix. Removed tables and their grants are deleted only with prune, files never."""
    example = table("alice-table", example="alice")
    world.made.install("alice", values=values(world, [example]))
    counts = wait_until_done(world)
    assert (counts["updated"], counts["deleted"], counts["leftover"]) == (1, 0, 6)
    assert "mounted, remote, there" in log(world)
    assert declared(world, "remote") is not None
    assert (source_info(world)["virtualhost"], source_info(world)["prefix"]) == (False, "")

    world.made.install("alice", values=values(world, [example], data={"prune": True}))
    assert wait_until_done(world)["deleted"] == 6
    assert ("delete", "remote-bob") in messages.actions(log(world))
    assert declared(world, "remote") is None
    assert declared(world, "alice-table") is not None
    assert "in/put/remote.csv" in world.names(BUCKET)


def test_reports_all_wrong_tables_and_continues_when_they_are_fixed(world: Stores) -> None:
    """Correct tables are declared meanwhile. Each mistake is fixed where it was made."""
    short = b"id1,age\n"
    world.put_file("sum.csv", short)
    world.put_file("header.csv", b"id1,years\n")
    tables = [
        table("good", example="alice"),
        table("away", url=f"{world.files}/files/away.csv"),
        table("sum", url=f"{world.files}/files/sum.csv", sha256=hashlib.sha256(CSV).hexdigest()),
        table("header", url=f"{world.files}/files/header.csv"),
        table("login", url=f"{world.files}/private/header.csv"),
        table("lost", claim={"name": LOGIN, "path": "lost.csv"}),
        table("object", columnTypes=TYPES),
    ]
    world.made.install("alice", values=values(world, tables))
    wait_for_messages(
        world,
        (messages.DOWNLOAD_REJECTED, "away.csv"),
        (messages.CHECKSUM_MISMATCH, hashlib.sha256(short).hexdigest()),
        (messages.COLUMNS_MISMATCH, "id1, years"),
        (messages.DOWNLOAD_CREDENTIALS_REJECTED, "/private/header.csv"),
        (messages.TABLE_FILE_NOT_FOUND, f"/tables/{LOGIN}/lost.csv"),
        (messages.TABLE_OBJECT_NOT_FOUND, "object.csv"),
    )
    assert declared(world, "good") is not None
    assert declared(world, "sum") is None

    world.made.install("alice", values=values(world, [one for one in tables if one["id"] != "login"]))
    for name in ("away", "sum", "header", "lost"):
        world.put_file(f"{name}.csv", CSV)
    with world.client() as client:
        client.put_object(BUCKET, "object.csv", BytesIO(CSV), len(CSV))
    wait_until_done(world)
    assert declared(world, "object") == [("id1", "str"), ("age", "float"), ("y", "int")]
    assert all(declared(world, name) is not None for name in ("away", "sum", "header", "lost"))


def test_continues_when_a_missing_claim_is_created(world: Stores) -> None:
    """No pod of the step can run, so only doctor reports it."""
    made, claim = world.made, "late-claim"
    namespace = made.namespace("alice")
    made.install("alice", values=values(world, [table("t", claim={"name": claim, "path": "t.csv"})]), wait=False)

    def reported() -> bool:
        text = kuscia(world.kubectl, "doctor", "-n", namespace).text
        return messages.CLAIM_NOT_FOUND.printed_in(text, claim)

    eventually(reported, 180, f"doctor reports the claim {claim}")
    metadata = {"name": claim, "namespace": namespace}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    world.kubectl.apply(
        json.dumps({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
    )
    # The volume contains no such file, or belongs to root and is not readable.
    eventually(lambda: f"/tables/{claim}/t.csv" in log(world), 120, "the data step names the file")
    made.install("alice", values=values(world, [table("t", example="alice")]))
    wait_until_done(world)


def test_continues_when_the_store_is_fixed(world: Stores) -> None:
    """Keys that are missing, incomplete and wrong; then a missing bucket. One pod reports all of it and succeeds."""
    good = world.account("alice")
    world.secret({})
    source = {"bucket": "late-bucket", "createBucket": False}
    world.made.install("alice", values=values(world, [table("alice-table", example="alice")], source=source))
    namespace = world.made.namespace("alice")
    secret = f"{namespace}/alice-oss"
    wait_for_messages(world, (messages.SECRET_NOT_FOUND, secret))
    world.secret({"access_key_id": "alice"})
    wait_for_messages(world, (messages.SECRET_KEY_MISSING, "access_key_secret"))
    world.secret({**good, "access_key_secret": "wrong-and-secret"})
    wait_for_messages(world, (messages.S3_CREDENTIALS_REJECTED, secret))
    world.secret(good)
    wait_for_messages(world, (messages.BUCKET_NOT_FOUND, "late-bucket"), (messages.BUCKET_NOT_FOUND, "createBucket"))
    with world.client() as client:
        client.make_bucket("late-bucket")
    wait_until_done(world)
    assert world.names("late-bucket") == {"alice-table.csv"}
    text = log(world)
    assert good["access_key_secret"] not in text
    assert "wrong-and-secret" not in text


@pytest.mark.parametrize(
    ("source", "message", "fact"),
    [
        ({"bucket": "no-such-bucket", "createBucket": False}, messages.BUCKET_NOT_FOUND, "no-such-bucket"),
        ({"scheme": "https"}, messages.S3_WRONG_SCHEME, "http://"),
    ],
    ids=["bucket", "scheme"],
)
def test_hook_fails_at_once(world: Stores, source: dict[str, Any], message: Message, fact: str) -> None:
    """Exit code 2: helm fails instead of waiting."""
    if source.get("scheme"):
        source = {"endpoint": world.endpoint.replace("http:", "https:")}
    hook = {"jobs": {"data": {"hook": True}}}
    with pytest.raises(CommandError):
        world.made.install("alice", values=values(world, [table("t", example="alice")], source=source, **hook))
    pod = job_pod(world)
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 2
    assert message.printed_in(log(world), fact)


def test_helm_test_reports_rotated_keys(world: Stores, tmp_path: Path) -> None:
    """Kuscia has a copy of the keys. The commands of docs/rotation.md update it."""
    settings = values(world, [table("alice-table", example="alice")])
    world.made.install("alice", values=settings)
    wait_until_done(world)
    rotated = world.account("root")
    world.secret(rotated)
    with pytest.raises(CommandError):
        world.made.test("alice")
    check = world.kubectl.run("logs", "kuscia-lite-alice-check", "-n", world.made.namespace("alice"))
    assert messages.failed(check, messages.DATA_SOURCE, "set lite.jobs.runId ")
    assert messages.DATA_SOURCE_KEYS_OUTDATED.printed_in(check)

    for name, value in rotated.items():
        (tmp_path / name).write_text(value)
    save_values(world.made, tmp_path, "alice")
    shell(world.made, tmp_path, "alice", ROTATE_KEYS, SECRET="alice-oss")
    assert wait_until_done(world)["updated"] == 1
    assert source_info(world)["access_key_secret"] == rotated["access_key_secret"]
    assert messages.passed(world.made.test("alice"), messages.DATA_SOURCE)
    world.secret(world.account("alice"))


def test_uploads_1_gb_with_128_mib_of_memory(world: Stores) -> None:
    """The download is interrupted once. A pod that is deleted during the upload leaves nothing in the store, and the
    next one starts again.
    """
    bucket = "large"
    big = table("big", url=f"{world.files}/made/1000", columnTypes={"id1": "str", "*": "float"})
    small = {"data": {"resources": {"limits": {"memory": "128Mi"}}}}
    world.made.install("alice", values=values(world, [big], source={"bucket": bucket}, jobs=small))
    killed, namespace = job_pod(world)["metadata"]["name"], world.made.namespace("alice")
    eventually(lambda: messages.DOWNLOAD_INTERRUPTED.printed_in(log(world)), 120, "the download is interrupted")
    eventually(lambda: world.uploads(bucket), 180, "an upload in parts", every=0.1)
    world.kubectl.run("delete", "pod", killed, "-n", namespace, "--grace-period=0", "--force")
    assert world.names(bucket) == set()
    wait_until_done(world, 400)
    assert job_pod(world)["metadata"]["name"] != killed
    assert re.search(r"[\d.]+ MB of 1000\.0 MB .*[\d.]+ MB/s", log(world)), "progress with size and speed"
    assert world.uploads(bucket) == []
    with world.client() as client:
        assert client.stat_object(bucket, "big.csv").size == 1000 * 1_000_000 // LINE_SIZE * LINE_SIZE
