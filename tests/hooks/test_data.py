import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.errors import PermanentError, RetryableError
from kuscia_hooks.core.plan import Plan, Summary
from kuscia_hooks.kuscia import domain_data
from kuscia_hooks.steps import data
from kuscia_hooks.tables import download, examples
from tests.hooks.builders import ALICE_TABLE, OSS_SOURCE, context, data_config, run_step
from tests.hooks.conftest import recordings, secret_data
from tests.hooks.failing import fails
from tests.hooks.fakes.cluster import FakeCore
from tests.hooks.fakes.kuscia import Kuscia
from tests.hooks.fakes.s3 import FakeS3


def test_grant_ids_are_short_and_distinct() -> None:
    assert domain_data.grant_id("alice-table", "bob") == "alice-table-bob"
    long = domain_data.grant_id("t" * 60, "bob")
    assert len(long) == 63
    assert long == domain_data.grant_id("t" * 60, "bob")
    assert long != domain_data.grant_id("t" * 60, "carol")


def test_recorded_source_equals_its_request() -> None:
    lines = [line for line in recordings("api-transcript") if line["target"] == "lite-alice"]
    sent = json.loads(next(line for line in lines if line["note"] == "datasource create oss (doc)")["request"]["body"])
    note = "datasource query oss: secrets come back in clear"
    got = next(line for line in lines if line["note"] == note)["response"]["json"]["data"]
    assert domain_data.normal_source(sent) == domain_data.normal_source(got)


def test_built_in_source_differs_from_an_oss_source() -> None:
    note = "datasource query before create"
    built_in = next(line for line in recordings("api-transcript") if line["note"] == note)["response"]["json"]["data"]
    assert built_in["datasource_id"] == "default-data-source"
    assert domain_data.normal_source(built_in) != domain_data.normal_source(
        domain_data.wanted_source(data_config(), ("a", "b"))
    )
    local = data_config(
        source={"id": "default-data-source", "type": "localfs", "path": "/home/kuscia/var/storage/data/"}
    )
    assert domain_data.normal_source(built_in) == domain_data.normal_source(domain_data.wanted_source(local, ("", "")))


def test_recorded_table_equals_its_request() -> None:
    lines = recordings("api-transcript")
    sent = json.loads(
        next(x for x in lines if x["note"] == "domaindata create as in the doc (with author)")["request"]["body"]
    )
    got = next(x for x in lines if x["note"] == "domaindata query")["response"]["json"]["data"]
    assert domain_data.same_table(sent, got)
    for change in (
        {"name": "x"},
        {"relative_uri": "x"},
        {"attributes": {"a": "b"}},
        {"columns": sent["columns"][:1]},
    ):
        assert not domain_data.same_table({**sent, **change}, got)
    assert domain_data.same_table({**sent, "attributes": {}, "columns": []}, got)


def wanted(grants: int = 1) -> dict[str, list[dict[str, Any]]]:
    return {
        "source": [domain_data.wanted_source(data_config(), ("a", "b"))],
        "tables": [domain_data.wanted_table(data_config(), data_config().tables[0])],
        "grants": [domain_data.wanted_grant(data_config(), "alice-table", "bob")][:grants],
    }


def test_plan() -> None:
    bodies = wanted()
    absent = {kind: {_id(body): None for body in each} for kind, each in bodies.items()}
    plan = domain_data.plan_data(bodies, absent)
    assert [str(action) for action in plan.actions] == [
        "create DomainDataSource default-data-source",
        "create DomainData alice-table",
        "create DomainDataGrant alice-table-bob",
    ]
    there = {kind: {_id(body): body for body in each} for kind, each in bodies.items()}
    there["grants"] = {"alice-table-bob": {"data": bodies["grants"][0]}}
    assert domain_data.plan_data(bodies, there) == Plan((), 3)
    changed = {
        **there,
        "grants": {"alice-table-bob": {"data": {**bodies["grants"][0], "grant_domain": "carol"}}},
    }
    assert [str(a) for a in domain_data.plan_data(bodies, changed).actions] == [
        "update DomainDataGrant alice-table-bob"
    ]
    revoked = domain_data.plan_data(wanted(0), {**there, "grants": {}}, ["alice-table-bob"], ["old-table"])
    assert [str(a) for a in revoked.actions] == [
        "delete DomainDataGrant alice-table-bob (no longer in the values)",
        "delete DomainData old-table (no longer in the values)",
    ]
    assert revoked.unchanged == 2


def _id(body: dict[str, Any]) -> str:
    return body.get("domaindatagrant_id") or body.get("domaindata_id") or body["datasource_id"]


@pytest.fixture(autouse=True)
def minio(monkeypatch: pytest.MonkeyPatch) -> FakeS3:
    fake = FakeS3("b")
    monkeypatch.setattr("kuscia_hooks.tables.s3.connect", fake.connect)
    monkeypatch.setattr(examples, "table", lambda name: f"id1,age\n1,{name}\n".encode())
    return fake


@pytest.fixture(autouse=True)
def ready(core: FakeCore, kuscia: Kuscia, key_pem: bytes) -> None:
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    core.put("secrets", "ns", "oss", data=secret_data(access_key_id="alice", access_key_secret="hunter2"))
    built_in = {"localfs": {"path": "/home/kuscia/var/storage/data"}}
    kuscia.sources["default-data-source"] = {"type": "localfs", "info": built_in, "access_directly": True}


def attempt(endpoint: str, kube: Kube, summary: Summary | None = None, **fields: Any) -> Summary:
    return run_step(data.attempt, data_config(endpoint, **fields), kube, summary=summary or Summary())


def test_uploads_and_declares_everything(kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3) -> None:
    summary = attempt(endpoint, kube)
    assert (summary.created, summary.updated) == (3, 1)
    assert minio.puts == ["p/alice.csv"]
    source = kuscia.sources["default-data-source"]
    assert source["type"] == "oss"
    assert source["info"]["oss"]["access_key_secret"] == "hunter2"
    assert source["info"]["oss"]["prefix"] == "p"
    assert kuscia.tables["alice", "alice-table"]["columns"][0] == {
        "name": "id1",
        "type": "str",
        "comment": "",
    }
    assert set(kuscia.grants) == {"alice-table-bob"}


def test_second_run_changes_nothing(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3) -> None:
    attempt(endpoint, kube)
    kuscia.asked.clear()
    core.calls.clear()
    summary = attempt(endpoint, kube)
    assert (summary.created, summary.updated, summary.unchanged) == (0, 0, 4)
    assert kuscia.paths(writes=True) == []
    assert minio.puts == ["p/alice.csv"]
    assert {verb for verb, _, _ in core.calls} == {"get"}


def test_updates_rotated_access_keys(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    attempt(endpoint, kube)
    core.put("secrets", "ns", "oss", data=secret_data(access_key_id="alice", access_key_secret="hunter3"))
    assert attempt(endpoint, kube).updated == 1
    assert kuscia.sources["default-data-source"]["info"]["oss"]["access_key_secret"] == "hunter3"


def test_rewrites_a_source_encrypted_for_a_different_domain_key(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    attempt(endpoint, kube)
    kuscia.unreadable.add("default-data-source")
    assert attempt(endpoint, kube).updated == 1
    assert attempt(endpoint, kube).unchanged == 4


def test_updates_a_changed_table(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    attempt(endpoint, kube)
    other = {**ALICE_TABLE, "attributes": {"description": "new"}}
    assert attempt(endpoint, kube, tables=[other]).updated == 1
    assert kuscia.tables["alice", "alice-table"]["attributes"] == {"description": "new"}


def test_deletes_only_grants_of_the_release(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    attempt(endpoint, kube)
    kuscia.grants["by-hand"] = {"grant_domain": "zoe"}
    assert attempt(endpoint, kube, grants=[]).deleted == 1
    assert set(kuscia.grants) == {"by-hand"}
    assert attempt(endpoint, kube, grants=[]).deleted == 0


def test_deletes_a_grant_that_was_already_deleted(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    attempt(endpoint, kube)
    kuscia.grants.clear()
    assert attempt(endpoint, kube, grants=[]).failed == 0


def test_continues_after_wrong_access_keys(kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3) -> None:
    minio.fail = "SignatureDoesNotMatch"
    with pytest.raises(PermanentError, match="ns/oss"):
        attempt(endpoint, kube)
    assert kuscia.paths(writes=True) == []
    minio.fail = None
    assert attempt(endpoint, kube).created == 3


def test_missing_bucket(kube: Kube, endpoint: str, minio: FakeS3) -> None:
    minio.buckets.clear()
    with pytest.raises(PermanentError, match="bucket b"):
        attempt(endpoint, kube)
    attempt(endpoint, kube, source={**OSS_SOURCE, "createBucket": True})
    assert "p/alice.csv" in minio.buckets["b"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (None, "Secret ns/oss"),
        ({"access_key_id": "a"}, "access_key_secret"),
        ({"access_key_id": "a", "access_key_secret": b"\xff"}, "access_key_secret"),
    ],
)
def test_missing_credentials(
    core: FakeCore, kube: Kube, endpoint: str, values: dict[str, str | bytes] | None, says: str
) -> None:
    core.objects.pop(("secrets", "ns", "oss"))
    if values is not None:
        core.put("secrets", "ns", "oss", data=secret_data(**values))
    with pytest.raises(RetryableError, match=says):
        attempt(endpoint, kube)


OWN = {**ALICE_TABLE, "example": None}


def test_declares_an_existing_object(kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3) -> None:
    with pytest.raises(PermanentError, match=r"p/alice\.csv"):
        attempt(endpoint, kube, tables=[OWN])
    assert kuscia.tables == {}
    assert kuscia.grants == {}
    minio.store("b", "p/alice.csv", b"id1,age\n1,2\n", {})
    attempt(endpoint, kube, tables=[OWN])
    assert minio.puts == []
    assert set(kuscia.grants) == {"alice-table-bob"}


def test_rejects_columns_missing_from_the_object(kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3) -> None:
    minio.store("b", "p/alice.csv", b"id1,years\n1,2\n", {})
    with pytest.raises(PermanentError, match="age"):
        attempt(endpoint, kube, tables=[OWN])
    assert kuscia.tables == {}


def test_declares_columns_of_the_header(kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3) -> None:
    minio.store("b", "p/alice.csv", b"id1,years,y\n1,2,0\n", {})
    typed = {**OWN, "columns": [], "columnTypes": {"id1": "str", "*": "float"}}
    attempt(endpoint, kube, tables=[typed])
    declared = kuscia.tables["alice", "alice-table"]["columns"]
    assert [(c["name"], c["type"]) for c in declared] == [("id1", "str"), ("years", "float"), ("y", "float")]
    minio.store("b", "p/alice.csv", b"id1,years,y,z\n1,2,0,0\n", {})
    assert attempt(endpoint, kube, tables=[typed]).updated == 1


def test_does_not_download_an_object_with_the_same_checksum(
    kube: Kube, endpoint: str, minio: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = b"id1,age\n1,2\n"
    remote = {**OWN, "url": "https://files.example.com/a.csv", "sha256": hashlib.sha256(text).hexdigest()}
    minio.store("b", "p/alice.csv", text, {"sha256": hashlib.sha256(text).hexdigest()})
    monkeypatch.setattr("kuscia_hooks.tables.download.fetch", lambda *_, **__: pytest.fail("fetched"))
    attempt(endpoint, kube, tables=[remote])
    assert minio.puts == []


def test_uploads_a_file_once_it_exists(
    kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3, tmp_path: Path
) -> None:
    path = tmp_path / "own.csv"
    mounted = {**OWN, "id": "own", "name": "own.csv", "relativeUri": "own.csv", "file": str(path)}
    (tmp_path / "other.csv").touch()
    with pytest.raises(PermanentError, match=str(path)):
        attempt(endpoint, kube, tables=[ALICE_TABLE, mounted])
    assert set(kuscia.tables) == {("alice", "alice-table")}
    path.write_bytes(b"id1,age\n1,2\n")
    attempt(endpoint, kube, tables=[ALICE_TABLE, mounted])
    assert set(kuscia.tables) == {("alice", "alice-table"), ("alice", "own")}
    assert minio.buckets["b"]["p/own.csv"].content == path.read_bytes()
    assert path.exists()


def test_discards_a_download_with_a_wrong_header(
    kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a corrected file would not be downloaded from a server without versions."""
    fetched = tmp_path / "d/file"

    def fetch(*_: Any, **__: Any) -> Path:
        fetched.parent.mkdir(exist_ok=True)
        fetched.write_text("id1,years\n")
        return fetched

    monkeypatch.setattr(download, "fetch", fetch)
    url = {"example": None, "url": "https://files.example.com/alice.csv"}
    with pytest.raises(PermanentError, match="age"):
        attempt(endpoint, kube, tables=[{**ALICE_TABLE, **url}])
    assert not fetched.exists()
    assert minio.buckets["b"] == {}


def test_prune_deletes_tables_that_left_the_values(
    kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3, capsys: pytest.CaptureFixture[str]
) -> None:
    second = {**ALICE_TABLE, "id": "second", "name": "second.csv", "relativeUri": "second.csv"}
    attempt(endpoint, kube, tables=[ALICE_TABLE, second], grants=[{"table": "second", "domain": "bob"}])
    assert attempt(endpoint, kube).deleted == 1
    assert "second-bob" not in kuscia.grants
    assert ("alice", "second") in kuscia.tables
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("WARNING")]
    assert "second" in warning
    assert "lite.data.prune: true" in warning
    assert attempt(endpoint, kube, prune=True).deleted == 1
    assert ("alice", "second") not in kuscia.tables
    assert "p/second.csv" in minio.buckets["b"]
    attempt(endpoint, kube)
    assert capsys.readouterr().out.count("WARNING") == 0


def test_unreadable_table_keeps_its_grants(kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3) -> None:
    attempt(endpoint, kube)
    minio.buckets["b"].clear()
    with pytest.raises(PermanentError, match=r"alice\.csv"):
        attempt(endpoint, kube, tables=[OWN])
    assert set(kuscia.grants) == {"alice-table-bob"}


def test_localfs_uploads_nothing(kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3) -> None:
    local = {"id": "default-data-source", "type": "localfs", "path": "/home/kuscia/var/storage/data"}
    summary = attempt(endpoint, kube, source=local)
    assert (summary.created, summary.unchanged) == (2, 1)
    assert minio.puts == []


@pytest.mark.parametrize("fault", ["500", "reset", "lost"])
def test_recovers_from_a_failed_request(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, fault: str) -> None:
    for position in range(8):
        for state in (kuscia.sources, kuscia.tables, kuscia.grants):
            state.clear()
        kuscia.faults = [""] * position + [fault]
        attempt(endpoint, kube)
        kuscia.faults.clear()
        assert len(kuscia.sources) == len(kuscia.tables) == len(kuscia.grants) == 1


def test_makes_other_changes_if_one_fails(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    kuscia.replies["domaindata/create"] = (11500, "columns are invalid", None)
    summary = Summary()
    with pytest.raises(PermanentError, match="columns are invalid"):
        attempt(endpoint, kube, summary)
    assert summary.failed == 1
    assert set(kuscia.grants) == {"alice-table-bob"}


def test_does_not_print_secrets(kube: Kube, endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    attempt(endpoint, kube)
    out = capsys.readouterr().out
    assert "hunter2" not in out
    assert "uploaded b/p/alice.csv" in out


def dry_run(endpoint: str, kube: Kube, capsys: pytest.CaptureFixture[str], **fields: Any) -> list[str]:
    """Return the planned changes of a dry run."""
    data.attempt(data_config(endpoint, **fields), context(kube, dry_run=True))
    return [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]


def test_dry_run_changes_nothing(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3, capsys: pytest.CaptureFixture[str]
) -> None:
    planned = dry_run(endpoint, kube, capsys)
    assert planned[0].startswith("create object b/p/alice.csv")
    assert "update DomainDataSource default-data-source" in planned
    assert kuscia.paths(writes=True) == []
    assert minio.puts == []
    assert {verb for verb, _, _ in core.calls} == {"get"}


def test_dry_run_shows_changed_content_and_columns(
    kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(b"id1,age\n1,2\n")
    mounted = {**OWN, "file": str(path), "columns": [], "columnTypes": {"id1": "str", "*": "float"}}
    attempt(endpoint, kube, tables=[mounted])
    kuscia.asked.clear()
    assert dry_run(endpoint, kube, capsys, tables=[mounted]) == ["4 unchanged"]
    path.write_bytes(b"id1,age,y\n1,2,3\n")
    changes = dry_run(endpoint, kube, capsys, tables=[{**mounted, "columnTypes": {"*": "str"}}])
    assert [change.split(" (")[0] for change in changes[:-1]] == [
        "update object b/p/alice.csv",
        "update DomainData alice-table",
    ]
    assert kuscia.paths(writes=True) == []
    assert minio.puts == ["p/alice.csv"]


def test_dry_run_shows_a_bucket_to_create(
    kube: Kube, endpoint: str, minio: FakeS3, capsys: pytest.CaptureFixture[str]
) -> None:
    minio.buckets.clear()
    planned = dry_run(endpoint, kube, capsys, source={**OSS_SOURCE, "createBucket": True})
    assert planned[0].startswith("create bucket b")
    assert planned[1].startswith("create object b/p/alice.csv")
    assert minio.buckets == {}


def test_dry_run_reports_a_table_that_would_fail(kube: Kube, endpoint: str) -> None:
    with fails("table-object-not-found"):
        data.attempt(data_config(endpoint, tables=[OWN]), context(kube, dry_run=True))


def test_settled_tables_need_one_request_each(kube: Kube, endpoint: str, minio: FakeS3) -> None:
    names = [f"t-{number}" for number in range(20)]
    tables = [{**OWN, "id": name, "name": name, "relativeUri": f"{name}.csv"} for name in names]
    for name in names:
        minio.store("b", f"p/{name}.csv", b"id1,age\n1,2\n")
    attempt(endpoint, kube, tables=tables, grants=[])
    minio.requests.clear()
    attempt(endpoint, kube, tables=tables, grants=[])
    objects = [name for name in minio.requests if name]
    assert sorted(objects) == sorted(f"p/{name}.csv" for name in names)
    assert len(minio.requests) - len(objects) <= 2
