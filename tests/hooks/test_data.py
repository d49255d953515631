import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.cluster.ledger import reports
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.core.plan import Summary
from kuscia_hooks.kuscia import domain_data
from kuscia_hooks.steps import data
from kuscia_hooks.tables import download, examples
from tests.hooks.builders import ALICE_TABLE, OSS_SOURCE, context, data_config, run_step, secret_data
from tests.hooks.failing import fails
from tests.hooks.fakes.cluster import FakeCore
from tests.hooks.fakes.kuscia import Kuscia, Reply
from tests.hooks.fakes.s3 import FakeS3
from tests.hooks.interruptions import WAYS, Killed, interrupted
from tests.hooks.recordings import recordings


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


# Content of each kind that the release did not create, equal to the values and different from them.
OSS_INFO = {
    "endpoint": "https://s3.example.com",
    "bucket": "b",
    "prefix": "p",
    "access_key_id": "alice",
    "access_key_secret": "hunter2",
    "version": "s3v4",
}
EQUAL: dict[str, dict[str, Any]] = {
    "sources": {"type": "oss", "info": {"oss": OSS_INFO}, "access_directly": True},
    "tables": domain_data.wanted_table(data_config(), data_config().tables[0]),
    "grants": {"domaindata_id": "alice-table", "grant_domain": "bob"},
}
DIFFERENT: dict[str, dict[str, Any]] = {
    "sources": {**EQUAL["sources"], "info": {"oss": {**OSS_INFO, "bucket": "theirs"}}},
    "tables": {**EQUAL["tables"], "attributes": {"by": "hand"}},
    "grants": {**EQUAL["grants"], "grant_domain": "carol"},
}
KINDS = ("sources", "tables", "grants")


def objects(kuscia: Kuscia, kind: str) -> dict[Any, dict[str, Any]]:
    return {"sources": kuscia.sources, "tables": kuscia.tables, "grants": kuscia.grants}[kind]


KEYS: dict[str, Any] = {
    "sources": "default-data-source",
    "tables": ("alice", "alice-table"),
    "grants": "alice-table-bob",
}


def entries(core: FakeCore, kind: str) -> set[str]:
    """Return the names in the ledger."""
    return set(json.loads((core.data("configmaps", "ns", "ledger") or {}).get(kind, "{}")))


@pytest.mark.parametrize("kind", KINDS)
def test_equal_object_is_unchanged_and_not_entered(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, kind: str
) -> None:
    objects(kuscia, kind)[KEYS[kind]] = dict(EQUAL[kind])
    summary = attempt(endpoint, kube)
    assert (summary.foreign, summary.failed) == (0, 0)
    assert entries(core, kind) == set()
    assert objects(kuscia, kind)[KEYS[kind]] == EQUAL[kind]
    for other in KINDS:
        assert len(entries(core, other)) == (other != kind)


@pytest.mark.parametrize("kind", KINDS)
def test_foreign_object_is_left_alone(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3, kind: str
) -> None:
    objects(kuscia, kind)[KEYS[kind]] = dict(DIFFERENT[kind])
    summary = Summary()
    if kind == "sources":
        # Its tables would be read from a different place.
        with fails("foreign-data-source"):
            attempt(endpoint, kube, summary)
        assert kuscia.tables == {}
    else:
        attempt(endpoint, kube, summary)
    assert (summary.foreign, summary.updated) == (1, 0 if kind == "sources" else 1)
    assert objects(kuscia, kind)[KEYS[kind]] == DIFFERENT[kind]
    assert entries(core, kind) == set()
    name = KEYS[kind][1] if kind == "tables" else KEYS[kind]
    assert list(reports(kube, "ns", "ledger")[kind].foreign) == [name]
    if kind != "grants":
        assert minio.puts == [], "content of a table that others declared"
        assert kuscia.grants == {}


@pytest.mark.parametrize("kind", KINDS)
def test_adopts_a_foreign_object(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, kind: str) -> None:
    objects(kuscia, kind)[KEYS[kind]] = dict(DIFFERENT[kind])
    assert attempt(endpoint, kube, adopt=True).foreign == 0
    assert len(entries(core, kind)) == 1
    assert attempt(endpoint, kube).unchanged == 4
    found = objects(kuscia, kind)[KEYS[kind]]
    assert {key: found[key] for key in EQUAL[kind] if key != "info"} == {
        key: value for key, value in EQUAL[kind].items() if key != "info"
    }


def test_object_of_others_is_not_overwritten(kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3) -> None:
    minio.store("b", "p/alice.csv", b"id1,age\n7,8\n", {})
    with fails("object-not-uploaded"):
        attempt(endpoint, kube)
    assert minio.puts == []
    assert kuscia.tables == {}
    attempt(endpoint, kube, adopt=True)
    assert minio.puts == ["p/alice.csv"]


@pytest.mark.parametrize("kind", ["tables", "grants"])
def test_id_of_a_partner_is_not_overwritten(kube: Kube, kuscia: Kuscia, endpoint: str, kind: str) -> None:
    """A table that bob granted to alice has a copy in alice's domain, with the same ID."""
    received = {**EQUAL[kind], "author": "bob", "grant_domain": "alice"}
    objects(kuscia, kind)[KEYS[kind]] = dict(received)
    with fails("id-taken-by-partner"):
        attempt(endpoint, kube, adopt=True)
    assert objects(kuscia, kind)[KEYS[kind]] == received


def test_reports_leftovers_and_prunes_exactly_those(
    kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3, capsys: pytest.CaptureFixture[str]
) -> None:
    second = {**ALICE_TABLE, "id": "second", "name": "second.csv", "relativeUri": "second.csv"}
    attempt(endpoint, kube, tables=[ALICE_TABLE, second], grants=[{"table": "second", "domain": "bob"}])
    kuscia.grants["by-hand"] = {"grant_domain": "zoe"}
    kuscia.tables["alice", "by-hand"] = {"datasource_id": "default-data-source"}
    other = {**OSS_SOURCE, "id": "lake"}
    summary = attempt(endpoint, kube, source=other)
    assert (summary.deleted, summary.leftover) == (0, 3)
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("WARNING [leftover-object]")]
    assert len(warnings) == 3
    assert set(kuscia.sources) == {"default-data-source", "lake"}
    found = reports(kube, "ns", "ledger")
    assert {kind: list(report.leftover) for kind, report in found.items()} == {
        "sources": ["default-data-source"],
        "tables": ["second"],
        "grants": ["second-bob"],
    }
    kuscia.asked.clear()
    assert attempt(endpoint, kube, source=other, prune=True).deleted == 3
    assert kuscia.paths(writes=True) == ["domaindatagrant/delete", "domaindata/delete", "domaindatasource/delete"]
    assert set(kuscia.grants) == {"alice-table-bob", "by-hand"}
    assert set(kuscia.tables) == {("alice", "alice-table"), ("alice", "by-hand")}
    assert set(kuscia.sources) == {"lake"}
    assert "p/second.csv" in minio.buckets["b"], "objects are never deleted"
    assert attempt(endpoint, kube, source=other).leftover == 0
    assert reports(kube, "ns", "ledger") == {}


def test_forgets_leftovers_that_were_deleted(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    attempt(endpoint, kube)
    kuscia.grants.clear()
    summary = attempt(endpoint, kube, grants=[])
    assert (summary.leftover, summary.failed) == (0, 0)
    assert entries(core, "grants") == set()


def test_objects_listed_by_an_earlier_release_belong_to_this_one(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str
) -> None:
    """Earlier versions recorded tables and grants with longer hashes, and no data source."""
    for kind in KINDS:
        objects(kuscia, kind)[KEYS[kind]] = dict(DIFFERENT[kind])
    data = {"tables": '{"alice-table":"0123456789ab"}', "grants": '{"alice-table-bob":"0123456789ab"}'}
    core.put("configmaps", "ns", "ledger", data=data)
    summary = attempt(endpoint, kube)
    assert (summary.updated, summary.foreign) == (3, 0)
    assert all(len(entries(core, kind)) == 1 for kind in KINDS)


def test_new_ledger_without_data_source_does_not_own_it(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    kuscia.sources["default-data-source"] = dict(EQUAL["sources"])
    attempt(endpoint, kube)
    with fails("foreign-data-source"):
        attempt(endpoint, kube, source={**OSS_SOURCE, "prefix": "q"})


@pytest.mark.interruptions
@pytest.mark.parametrize("changed", [False, True], ids=["same values", "changed values"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("at", range(10))
def test_run_after_an_interruption_reaches_the_values(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3, way: str, changed: bool, at: int
) -> None:
    """What an interrupted run left is complete, or in the ledger, so that prune finds it."""
    kuscia.tables["alice", "by-hand"] = by_hand = {"datasource_id": "default-data-source"}
    with interrupted(at, way) as writes, suppress(Killed, StepError):
        attempt(endpoint, kube)
    assert at < len(writes.names)
    later: dict[str, Any] = {}
    if changed:
        other = {**ALICE_TABLE, "id": "other", "name": "other.csv", "relativeUri": "other.csv"}
        later = {"tables": [other], "grants": [{"table": "other", "domain": "carol"}]}
    attempt(endpoint, kube, prune=True, **later)
    name = "other" if changed else "alice-table"
    assert set(kuscia.tables) == {("alice", name), ("alice", "by-hand")}, writes.names
    assert set(kuscia.grants) == {f"{name}-{'carol' if changed else 'bob'}"}, writes.names
    assert kuscia.tables["alice", "by-hand"] is by_hand
    assert [entries(core, kind) for kind in KINDS] == [{"default-data-source"}, {name}, set(kuscia.grants)]
    assert minio.buckets["b"][f"p/{name.replace('-table', '')}.csv"]
    kuscia.asked.clear()
    assert attempt(endpoint, kube, **later).unchanged == 4
    assert kuscia.paths(writes=True) == []


def test_interruptions_cover_every_write(kube: Kube, endpoint: str) -> None:
    with interrupted() as writes:
        attempt(endpoint, kube)
    assert len(writes.names) == 10
    assert {"upload", "create_configmap", "set_configmap"} < set(writes.names)
    assert {path for path in writes.names if "/" in path} == {
        "domaindatasource/update",
        "domaindata/create",
        "domaindatagrant/create",
    }


def test_copies_with_different_values_leave_nothing_without_an_entry(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str
) -> None:
    """A second copy runs completely while the first one creates its table."""
    other = {**ALICE_TABLE, "id": "other", "name": "other.csv", "relativeUri": "other.csv"}

    def meanwhile(body: dict[str, Any]) -> Reply:
        del kuscia.replies["domaindata/create"]
        kuscia.unlocked(lambda: attempt(endpoint, kube, tables=[other], grants=[{"table": "other", "domain": "carol"}]))
        return kuscia.do_domaindata_create(body)

    kuscia.replies["domaindata/create"] = meanwhile
    attempt(endpoint, kube)
    assert entries(core, "tables") == {name for _, name in kuscia.tables} == {"alice-table", "other"}
    assert entries(core, "grants") == set(kuscia.grants) == {"alice-table-bob", "other-carol"}


def test_number_of_requests_does_not_depend_on_the_number_of_tables(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    tables = [
        {**ALICE_TABLE, "id": f"t-{number}", "name": f"t-{number}", "relativeUri": f"t-{number}.csv"}
        for number in range(30)
    ]
    grants = [{"table": table["id"], "domain": domain} for table in tables for domain in ("bob", "carol")]
    attempt(endpoint, kube, tables=tables, grants=grants)
    kuscia.asked.clear()
    assert attempt(endpoint, kube, tables=tables, grants=grants).unchanged == 1 + 2 * 30 + 60
    assert sorted(kuscia.paths()) == [
        "domaindata/batchQuery",
        "domaindatagrant/list",
        "domaindatasource/query",
        "healthZ",
    ]


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
    kube: Kube, endpoint: str, minio: FakeS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


def test_unreadable_table_keeps_its_grants(kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3) -> None:
    attempt(endpoint, kube)
    minio.buckets["b"].clear()
    with pytest.raises(PermanentError, match=r"alice\.csv"):
        attempt(endpoint, kube, tables=[OWN])
    assert set(kuscia.grants) == {"alice-table-bob"}


def test_localfs_uploads_nothing(kube: Kube, endpoint: str, minio: FakeS3) -> None:
    local = {"id": "default-data-source", "type": "localfs", "path": "/home/kuscia/var/storage/data"}
    summary = attempt(endpoint, kube, source=local)
    assert (summary.created, summary.unchanged) == (2, 1)
    assert minio.puts == []


@pytest.mark.parametrize("fault", ["500", "reset", "lost"])
def test_recovers_from_a_failed_request(kube: Kube, kuscia: Kuscia, endpoint: str, fault: str) -> None:
    for position in range(8):
        for state in (kuscia.sources, kuscia.tables, kuscia.grants):
            state.clear()
        kuscia.faults = [""] * position + [fault]
        attempt(endpoint, kube)
        kuscia.faults.clear()
        assert len(kuscia.sources) == len(kuscia.tables) == len(kuscia.grants) == 1


def test_makes_other_changes_if_one_fails(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    """A table without columns, one that the store does not have, and a partner that does not exist."""
    names = ("refused", "absent", "good")
    tables = [{**ALICE_TABLE, "id": name, "name": name, "relativeUri": f"{name}.csv"} for name in names]
    tables[1]["example"] = None

    def create(body: dict[str, Any]) -> Reply:
        if body["domaindata_id"] == "refused":
            return 11500, "columns are invalid", None
        return kuscia.do_domaindata_create(body)

    def grant(body: dict[str, Any]) -> Reply:
        if body["grant_domain"] == "nobody":
            return 11305, 'namespaces "nobody" not found', None
        return kuscia.do_domaindatagrant_create(body)

    kuscia.replies |= {"domaindata/create": create, "domaindatagrant/create": grant}
    grants = [{"table": name, "domain": "bob"} for name in names] + [{"table": "good", "domain": "nobody"}]
    summary = Summary()
    with fails("several-retryable") as caught:
        attempt(endpoint, kube, summary, tables=tables, grants=grants)
    assert summary.failed == 3
    assert set(kuscia.tables) == {("alice", "good")}
    assert set(kuscia.grants) == {"good-bob"}
    assert entries(core, "tables") == {"good"}
    assert all(name in caught.value.message for name in ("refused", "absent.csv", "good-nobody"))


def test_tables_need_their_data_source(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    kuscia.replies["domaindatasource/update"] = (11801, "invalid endpoint", None)
    with fails("kusciaapi-rejected"):
        attempt(endpoint, kube)
    assert kuscia.tables == kuscia.grants == {}


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
    assert planned[1].startswith("update DomainDataSource default-data-source")
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
