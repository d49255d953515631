"""Tables of the user's own in a bucket: from URLs, from a volume, already there; and what is wrong with them."""

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
from tests.e2e.datasources import LOGIN, Stores, stores
from tests.e2e.fileserver import LINE_SIZE
from tests.e2e.plugin import kuscia
from tests.e2e.variants import variant
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]

BUCKET = "data-alice"
CSV = b"id1,age,y\n" + b"".join(b"%d,0.5,1\n" % number for number in range(100))
COLUMNS = [{"name": "id1", "type": "str"}, {"name": "age", "type": "float"}]
TYPES = {"id1": "str", "y": "int", "*": "float"}


@pytest.fixture(scope="module")
def world(demo: Demo, images: Path, image_refs: dict[str, str]) -> Iterator[Stores]:
    """A master, and beside it the servers; alice is installed by the tests, one after the other."""
    with (
        variant(demo, images, "data") as made,
        stores(demo, made, image_refs, virtual_bucket=BUCKET) as found,
    ):
        made.install("master", wait=False)
        yield found


def values(world: Stores, tables: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """alice's values; `source` and `jobs` are merged."""
    source = {"endpoint": world.endpoint, "bucket": BUCKET, "createBucket": True, **fields.pop("source", {})}
    grants = [{"table": table["id"], "domain": "bob"} for table in tables]
    data = {"source": source, "tables": tables, "grants": grants, **fields.pop("data", {})}
    return {"lite": {"data": data, **fields}}


def table(name: str, **fields: Any) -> dict[str, Any]:
    columns = {} if "columnTypes" in fields else {"columns": COLUMNS}
    return {"id": name, "relativeUri": f"{name}.csv", **columns, **fields}


def job_pod(world: Stores) -> dict[str, Any]:
    """The newest pod of the data step."""
    namespace = world.made.namespace("alice")
    selector = "app.kubernetes.io/component=data"
    pods = world.kubectl.get("pods", "-n", namespace, "-l", selector)["items"]
    found: dict[str, Any] = max(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])
    return found


def log(world: Stores) -> str:
    name = job_pod(world)["metadata"]["name"]
    return world.kubectl.run("logs", name, "-n", world.made.namespace("alice"))


def says(world: Stores, *words: str) -> None:
    """The data step says all of it, and keeps trying."""

    def told() -> bool:
        text = log(world)
        missing = [word for word in words if word not in text]
        assert not missing, f"not told: {missing}\n{text}"
        return True

    eventually(told, 120, "the data step says what is wrong")
    assert job_pod(world)["status"]["phase"] == "Running"


def done(world: Stores, timeout: float = 150) -> str:
    """The step's last line, once its pod has come to its end, without a restart."""

    def ended() -> bool:
        pod = job_pod(world)
        assert pod["status"]["phase"] == "Succeeded", f"{pod['status']['phase']}: {log(world)}"
        return True

    eventually(ended, timeout, "the data step ends")
    assert job_pod(world)["status"]["containerStatuses"][0]["restartCount"] == 0
    return log(world).splitlines()[-1]


def declared(world: Stores, name: str) -> list[tuple[str, str]] | None:
    """Names and types of a table's columns as Kuscia has them."""
    with kusciaapi(world.kubectl, world.made.release("alice")) as api:
        found = api.find("domaindata/query", {"data": {"domain_id": "alice", "domaindata_id": name}})
    return None if found is None else [(column["name"], column["type"]) for column in found["columns"]]


def source_info(world: Stores) -> dict[str, Any]:
    with kusciaapi(world.kubectl, world.made.release("alice")) as api:
        found = api.call("domaindatasource/query", {"domain_id": "alice", "datasource_id": "default-data-source"})
    info: dict[str, Any] = found["info"]["oss"]
    return info


def test_files_of_the_users_own(world: Stores) -> None:
    """A URL with a login, a file of a volume, an object that is there; the bucket is made, its name in the host."""
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
    assert done(world).startswith("created=8 updated=1 ")
    assert declared(world, "remote") == declared(world, "there") == [("id1", "str"), ("age", "float"), ("y", "int")]
    assert declared(world, "mounted") == [("id1", "str"), ("age", "float")]
    assert world.names(BUCKET) == {f"in/put/{name}.csv" for name in ("remote", "mounted", "there")}
    info = source_info(world)
    assert (info["virtualhost"], info["prefix"], info["storage_type"]) == (True, "in/put", "minio")
    volume = next(one for one in job_pod(world)["spec"]["volumes"] if "persistentVolumeClaim" in one)
    assert volume["persistentVolumeClaim"] == {"claimName": LOGIN, "readOnly": True}

    logs = made.test("alice")
    assert "PASS table remote: 100 rows, 3 columns" in logs
    assert world.password not in logs + log(world)


def test_a_changed_source_and_tables_that_left(world: Stores) -> None:
    """Path style, another prefix: the data source is updated; what left the values is told, then taken away."""
    example = table("alice-table", example="alice")
    world.made.install("alice", values=values(world, [example]))
    assert "updated=1 deleted=3 " in done(world)
    text = log(world)
    assert "no longer in the values: mounted, remote, there" in text
    assert "delete DomainDataGrant remote-bob (left the values)" in text
    assert declared(world, "remote") is not None
    assert (source_info(world)["virtualhost"], source_info(world)["prefix"]) == (False, "")

    world.made.install("alice", values=values(world, [example], data={"prune": True}))
    assert "deleted=3 " in done(world)
    assert declared(world, "remote") is None
    assert declared(world, "alice-table") is not None
    assert "in/put/remote.csv" in world.names(BUCKET)


def test_wrong_tables_heal_in_place(world: Stores) -> None:
    """All that is wrong is told at once, and what is right is done; each is mended where it is wrong."""
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
    says(
        world,
        "away.csv answers 404",
        f"table sum: {world.files}/files/sum.csv has the SHA-256 " + hashlib.sha256(short).hexdigest(),
        "table header: columns that the file has not: age; its header is id1, years",
        "/private/header.csv answers 401 Unauthorized to no credentials (urlSecret names a Secret)",
        f"table lost: there is no file /tables/{LOGIN}/lost.csv",
        f"table object: bucket {BUCKET} has no object object.csv. Upload it, or say where it comes from",
    )
    assert declared(world, "good") is not None
    assert declared(world, "sum") is None

    world.made.install("alice", values=values(world, [one for one in tables if one["id"] != "login"]))
    for name in ("away", "sum", "header", "lost"):
        world.put_file(f"{name}.csv", CSV)
    with world.client() as client:
        client.put_object(BUCKET, "object.csv", BytesIO(CSV), len(CSV))
    done(world)
    assert declared(world, "object") == [("id1", "str"), ("age", "float"), ("y", "int")]
    assert all(declared(world, name) is not None for name in ("away", "sum", "header", "lost"))


def test_a_claim_that_is_not_there(world: Stores) -> None:
    """No pod of the step can run, so doctor is who says it; the claim that comes is enough."""
    made, claim = world.made, "late-claim"
    namespace = made.namespace("alice")
    made.install("alice", values=values(world, [table("t", claim={"name": claim, "path": "t.csv"})]), wait=False)
    cause = "no node takes the pod: "
    reason = f'persistentvolumeclaim "{claim}" not found'

    def told() -> bool:
        said = kuscia(world.kubectl, "doctor", "-n", namespace).text
        return cause in said and reason in said

    eventually(told, 180, f"doctor says {reason!r}")
    metadata = {"name": claim, "namespace": namespace}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    world.kubectl.apply(
        json.dumps({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
    )
    # There is no such file; on volumes that belong to root nobody may look either.
    says(world, f"/tables/{claim}/t.csv")
    made.install("alice", values=values(world, [table("t", example="alice")]))
    done(world)


def test_wrong_store_heals_in_place(world: Stores) -> None:
    """Keys that are missing, incomplete, wrong; a bucket that is not there: one pod says it all, and ends well."""
    good = world.account("alice")
    world.secret({})
    source = {"bucket": "late-bucket", "createBucket": False}
    world.made.install("alice", values=values(world, [table("alice-table", example="alice")], source=source))
    namespace = world.made.namespace("alice")
    says(world, f"Secret {namespace}/alice-oss does not exist")
    world.secret({"access_key_id": "alice"})
    says(world, f"Secret {namespace}/alice-oss has no value under access_key_secret (it has access_key_id)")
    world.secret({**good, "access_key_secret": "wrong-and-secret"})
    says(world, f"The store refuses the keys in Secret {namespace}/alice-oss")
    world.secret(good)
    says(world, "bucket late-bucket does not exist at", "lite.data.source.createBucket: true")
    with world.client() as client:
        client.make_bucket("late-bucket")
    done(world)
    assert world.names("late-bucket") == {"alice-table.csv"}
    text = log(world)
    assert good["access_key_secret"] not in text
    assert "wrong-and-secret" not in text


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"bucket": "no-such-bucket", "createBucket": False}, "bucket no-such-bucket does not exist"),
        ({"scheme": "https"}, "does not speak https; try http://"),
    ],
    ids=["bucket", "scheme"],
)
def test_as_a_hook_it_ends_at_once(world: Stores, source: dict[str, Any], words: str) -> None:
    """Exit code 2: helm fails instead of waiting."""
    if source.get("scheme"):
        source = {"endpoint": world.endpoint.replace("http:", "https:")}
    hook = {"jobs": {"data": {"hook": True}}}
    with pytest.raises(CommandError):
        world.made.install("alice", values=values(world, [table("t", example="alice")], source=source, **hook))
    pod = job_pod(world)
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 2
    assert words in log(world)


def test_rotated_keys(world: Stores) -> None:
    """Kuscia keeps a copy of the keys: `helm test` sees that it is old, and the step run again renews it."""
    settings = values(world, [table("alice-table", example="alice")])
    world.made.install("alice", values=settings)
    done(world)
    rotated = world.account("root")
    world.secret(rotated)
    with pytest.raises(CommandError):
        world.made.test("alice")
    check = world.kubectl.run("logs", "kuscia-lite-alice-check", "-n", world.made.namespace("alice"))
    assert "FAIL data source default-data-source: " in check
    assert "other keys than Secret" in check
    assert "--set-string lite.jobs.runId=" in check

    world.made.install("alice", values={"lite": {**settings["lite"], "jobs": {"runId": "rotated"}}})
    assert "updated=1 " in done(world)
    assert source_info(world)["access_key_secret"] == rotated["access_key_secret"]
    assert "PASS data source default-data-source" in world.made.test("alice")
    world.secret(world.account("alice"))


def test_a_large_file(world: Stores) -> None:
    """1 GB through 128 MiB of memory; the download breaks off once. A pod that is deleted in mid-upload leaves nothing
    in the store, and the next one begins anew.
    """
    bucket = "large"
    big = table("big", url=f"{world.files}/made/1000", columnTypes={"id1": "str", "*": "float"})
    small = {"data": {"resources": {"limits": {"memory": "128Mi"}}}}
    world.made.install("alice", values=values(world, [big], source={"bucket": bucket}, jobs=small))
    killed, namespace = job_pod(world)["metadata"]["name"], world.made.namespace("alice")
    eventually(lambda: "going on after" in log(world), 120, "a download that broke off goes on")
    eventually(lambda: world.uploads(bucket), 180, "an upload in parts", every=0.1)
    world.kubectl.run("delete", "pod", killed, "-n", namespace, "--grace-period=0", "--force")
    assert world.names(bucket) == set()
    done(world, 400)
    assert job_pod(world)["metadata"]["name"] != killed
    assert re.search(r"[\d.]+ MB of 1000\.0 MB fetched, [\d.]+ MB/s", log(world)), "how far it is"
    assert world.uploads(bucket) == []
    with world.client() as client:
        assert client.stat_object(bucket, "big.csv").size == 1000 * 1_000_000 // LINE_SIZE * LINE_SIZE
