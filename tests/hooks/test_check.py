import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config.check import Check
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.example_job import results, runner
from kuscia_hooks.kuscia import datastore, engine_namespace, gateway
from kuscia_hooks.kuscia.batches import BATCH
from kuscia_hooks.steps import check
from kuscia_hooks.steps.check import declared_table
from tests.hooks.builders import EXAMPLE_JOB, MYSQL, check_lite, check_master, context, secret_data
from tests.hooks.fakes.clock import FakeTime
from tests.hooks.fakes.cluster import FakeCore
from tests.hooks.fakes.kuscia import Kuscia, Reply
from tests.hooks.fakes.s3 import FakeS3
from tests.hooks.interruptions import WAYS, Killed, interrupted


@pytest.fixture(autouse=True)
def minio(monkeypatch: pytest.MonkeyPatch) -> FakeS3:
    fake = FakeS3("b")
    monkeypatch.setattr("kuscia_hooks.tables.s3.connect", fake.connect)
    fake.store("b", "p/alice.csv", b"id1,age\n1,2\n3,4\n", {})
    return fake


@pytest.fixture(autouse=True)
def ready(core: FakeCore, kuscia: Kuscia, key_pem: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    core.put("secrets", "ns", "db", data=secret_data(password="hunter2"))
    core.put("secrets", "ns", "oss", data=secret_data(access_key_id="alice", access_key_secret="hunter2"))
    monkeypatch.setattr(runner, "new_id", lambda: "psi-1")
    monkeypatch.setattr(gateway, "probe", lambda *_: None)
    for name, other in (("alice", "bob"), ("bob", "alice")):
        kuscia.join(name)
        kuscia.routes[name, other] = {}
        table = {
            "relative_uri": f"{name}.csv",
            "datasource_id": "default-data-source",
            "columns": [{"name": "id1"}],
        }
        kuscia.tables[name, f"{name}-table"] = kuscia.tables[other, f"{name}-table"] = table
        result = {**table, "relative_uri": "psi-output-1.csv", "type": "table", "attributes": {}, "author": name}
        kuscia.tables[name, "psi-output-1"] = result
    oss = {
        "endpoint": "https://s3",
        "bucket": "b",
        "prefix": "p",
        "access_key_id": "alice",
        "access_key_secret": "hunter2",
        "virtualhost": False,
    }
    kuscia.sources["default-data-source"] = {"type": "oss", "info": {"oss": oss}}


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    out = capsys.readouterr().out
    assert "hunter2" not in out
    return [line for line in out.splitlines() if line.startswith(("PASS", "FAIL"))]


def attempt(settings: Check, kube: Kube, seconds: float = 10) -> check.Report:
    return check.run_checks(settings, kube, FakeTime().deadline(seconds))


def test_checks_a_master(kube: Kube, endpoint: str, monkeypatch, capsys) -> None:
    monkeypatch.setattr(datastore, "count_rows", lambda store, password: 42 if password == "hunter2" else 0)
    report = attempt(check_master(endpoint, datastore=MYSQL, exampleJob=EXAMPLE_JOB), kube)
    assert (report.passed, report.failed) == (9, 0)
    told = lines(capsys)
    assert [line.split(":")[0] for line in told] == [
        "PASS gateway",
        "PASS KusciaAPI",
        "PASS datastore",
        "PASS nodes",
        "PASS routes",
        "PASS tables of the example job",
        "PASS example job",
        "PASS result in alice",
        "PASS result in bob",
    ]
    assert "42 rows in table kine" in told[2]
    assert "Succeeded" in told[6]


def test_checks_run_side_by_side(kube: Kube, endpoint: str, monkeypatch) -> None:
    """The checks pass only if all of them wait at the same time."""
    together = threading.Barrier(3, timeout=20)

    def wait(*_: Any) -> str:
        together.wait()
        return "alice"

    monkeypatch.setattr(gateway, "probe", wait)
    monkeypatch.setattr(engine_namespace, "reach", lambda *_: (kube, ""))
    monkeypatch.setattr(engine_namespace, "check_pods", wait)
    engines = {"namespace": "engines", "lite": "ns/kuscia-lite-alice"}
    assert attempt(check_lite(endpoint, engines=engines), kube).failed == 0


def with_engines(kuscia: Kuscia, minio: FakeS3) -> None:
    """Let each job register its result in both domains, and write the file of alice."""

    def create(body: dict[str, Any]) -> Reply:
        config = json.loads(body["tasks"][0]["task_input_config"])
        table, report = config["sf_output_ids"]
        for domain in ("alice", "bob"):
            fields = {**kuscia.tables[domain, f"{domain}-table"], "author": domain, "attributes": {}}
            uri = {"relative_uri": config["sf_output_uris"][0]}
            kuscia.tables[domain, table] = {**fields, **uri, "type": "table"}
            kuscia.tables[domain, report] = {**fields, "type": "report"}
        minio.store("b", f"p/{table}.csv", b"id1\n1\n")
        return kuscia.do_job_create(body)

    kuscia.replies["job/create"] = create


@pytest.mark.interruptions
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("at", range(4))
def test_interrupted_check_leaves_nothing_after_the_next_one(
    kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3, monkeypatch, way: str, at: int
) -> None:
    del kuscia.tables["alice", "psi-output-1"], kuscia.tables["bob", "psi-output-1"]
    tables, objects = set(kuscia.tables), set(minio.buckets["b"])
    with_engines(kuscia, minio)
    with interrupted(at, way) as writes, suppress(Killed):
        attempt(check_master(endpoint, exampleJob=EXAMPLE_JOB), kube)
    assert at < len(writes.names)
    monkeypatch.setattr(runner, "new_id", lambda: "psi-2")
    assert attempt(check_master(endpoint, exampleJob=EXAMPLE_JOB), kube).failed == 0
    assert kuscia.jobs == {}
    attempt(check_lite(endpoint, results=[]), kube)
    assert {key for key in kuscia.tables if key[0] == "alice"} == {key for key in tables if key[0] == "alice"}
    assert set(minio.buckets["b"]) == objects
    unmarked = [
        key for key, table in kuscia.tables.items() if "-output-" in key[1] and results.JOB not in table["attributes"]
    ]
    assert unmarked == []


def test_sqlite_is_not_checked(kube: Kube, endpoint: str, capsys) -> None:
    attempt(check_master(endpoint, datastore={"type": "sqlite", "path": "/x"}), kube)
    assert not any("datastore" in line for line in lines(capsys))


def example_result(kuscia: Kuscia, minio: FakeS3, job_id: str, state: str, keep: bool) -> None:
    output = f"psi-output-{job_id[4:]}"
    attributes = {results.JOB: job_id, results.STATE: state, results.KEEP: str(keep).lower()}
    table = kuscia.tables["alice", "psi-output-1"]
    fields = {"relative_uri": f"{output}.csv", "attributes": attributes}
    kuscia.tables["alice", output] = {**table, **fields}
    report = {"type": "report", "relative_uri": f"{job_id}-report", "attributes": {}}
    kuscia.tables["alice", f"{job_id}-report"] = {**table, **report}
    minio.store("b", f"p/{output}.csv", b"id1,age\n" + b"1,2\n" * 8760, {})


def test_checks_a_lite(kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3, capsys) -> None:
    minio.store("b", "p/own.csv", b"id1,age\n1,2\n", {})
    kuscia.tables["alice", "own-result"] = {**kuscia.tables["alice", "alice-table"], "relative_uri": "own.csv"}
    report = attempt(check_lite(endpoint), kube)
    assert (report.passed, report.failed) == (8, 0)
    told = lines(capsys)
    assert "PASS table alice-table: 2 rows, 2 columns" in told
    assert "PASS result own-result: 1 rows, 2 columns" in told
    assert any(line.startswith("PASS data source default-data-source: ") for line in told)
    assert any("node-alice" in line for line in told)
    assert told[-1].startswith("PASS result of the example job: none")


def test_missing_result_passes(kube: Kube, endpoint: str, capsys) -> None:
    assert attempt(check_lite(endpoint), kube).failed == 0
    assert any(line.startswith("PASS result own-result: ") for line in lines(capsys))


def test_reads_and_deletes_the_result_of_the_example_job(
    kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3, capsys
) -> None:
    example_result(kuscia, minio, "psi-1", results.PAST, keep=False)
    example_result(kuscia, minio, "psi-2", results.LATEST, keep=False)
    assert attempt(check_lite(endpoint), kube).failed == 0
    expected = "PASS result of the example job: 8760 rows, 2 columns, psi-output-2 of KusciaJob psi-2"
    assert lines(capsys)[-1] == expected
    assert set(minio.buckets["b"]) == {"p/alice.csv"}
    assert {name for domain, name in kuscia.tables if domain == "alice"} == {"alice-table", "bob-table"}
    attempt(check_lite(endpoint), kube)
    assert lines(capsys)[-1].startswith("PASS result of the example job: none")


def test_reads_an_orc_result(kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3, capsys) -> None:
    """SecretFlow's PSI writes ORC, whatever the name of the file."""
    example_result(kuscia, minio, "psi-1", results.LATEST, keep=True)
    minio.store("b", "p/psi-output-1.csv", b"ORC\x11\n\x00" * 500_000, {})
    assert attempt(check_lite(endpoint), kube).failed == 0
    expected = "3.0 MB of ORC at psi-output-1.csv, psi-output-1 of KusciaJob psi-1"
    assert lines(capsys)[-1] == f"PASS result of the example job: {expected}"


def test_result_must_be_a_table(kube: Kube, kuscia: Kuscia, endpoint: str, capsys) -> None:
    kuscia.tables["bob", "psi-output-1"]["type"] = "report"
    assert attempt(check_master(endpoint, exampleJob=EXAMPLE_JOB), kube).failed == 1
    assert lines(capsys)[-1].startswith("FAIL result in bob: [result-not-a-table] ")


def test_reports_a_table_in_a_different_data_source(kube: Kube, kuscia: Kuscia, endpoint: str, capsys) -> None:
    kuscia.tables["bob", "bob-table"] = {**kuscia.tables["bob", "bob-table"], "datasource_id": "lake"}
    assert attempt(check_master(endpoint, exampleJob=EXAMPLE_JOB), kube).failed == 1
    last = lines(capsys)[-1]
    assert last.startswith("FAIL tables of the example job: [table-in-different-data-source] ")
    assert "lake" in last
    assert "default-data-source" in last


def test_keeps_a_result_marked_keep(kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3, capsys) -> None:
    example_result(kuscia, minio, "psi-1", results.LATEST, keep=True)
    for _ in range(2):
        attempt(check_lite(endpoint), kube)
        assert "8760 rows, 2 columns, psi-output-1 of KusciaJob psi-1" in lines(capsys)[-1]


def test_ignores_results_of_earlier_runs(kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3, capsys) -> None:
    """The result of an earlier run is kept; the latest run failed."""
    example_result(kuscia, minio, "psi-1", results.PAST, keep=True)
    example_result(kuscia, minio, "psi-2", results.FAILED, keep=False)
    attempt(check_lite(endpoint), kube)
    assert lines(capsys)[-1].startswith("PASS result of the example job: none")
    assert "p/psi-output-1.csv" in minio.buckets["b"]
    assert "p/psi-output-2.csv" not in minio.buckets["b"]


def test_reports_a_result_without_object(kube: Kube, kuscia: Kuscia, endpoint: str, minio: FakeS3, capsys) -> None:
    example_result(kuscia, minio, "psi-1", results.LATEST, keep=False)
    del minio.buckets["b"]["p/psi-output-1.csv"]
    assert attempt(check_lite(endpoint), kube).failed == 1
    assert lines(capsys)[-1].startswith("FAIL result of the example job: [table-content-missing] ")
    assert ("alice", "psi-output-1") in kuscia.tables


def test_reports_outdated_access_keys(core: FakeCore, kube: Kube, endpoint: str, capsys) -> None:
    core.put("secrets", "ns", "oss", data=secret_data(access_key_id="alice", access_key_secret="hunter3"))
    assert attempt(check_lite(endpoint), kube).failed == 1
    (failed,) = [line for line in lines(capsys) if line.startswith("FAIL")]
    assert failed.startswith("FAIL data source default-data-source: [data-source-keys-outdated] ")
    assert "Secret ns/oss" in failed


def test_reports_access_keys_that_are_not_text(core: FakeCore, kube: Kube, endpoint: str, capsys) -> None:
    core.put("secrets", "ns", "oss", data=secret_data(access_key_id="alice", access_key_secret=b"\xff"))
    assert attempt(check_lite(endpoint), kube).failed == 1
    (failed,) = [line for line in lines(capsys) if line.startswith("FAIL")]
    assert "ns/oss" in failed
    assert "access_key_secret" in failed


def test_reads_only_the_header_of_a_large_table(kube: Kube, endpoint: str, monkeypatch, capsys) -> None:
    monkeypatch.setattr(declared_table, "COUNTED_BYTES", 10)
    attempt(check_lite(endpoint), kube)
    assert "PASS table alice-table: 0.0 MB, 2 columns" in lines(capsys)


def test_does_not_read_a_table_inside_the_lite(kube: Kube, kuscia: Kuscia, endpoint: str, capsys) -> None:
    kuscia.sources["default-data-source"] = {
        "type": "localfs",
        "info": {"localfs": {"path": "/x"}, "oss": None},
    }
    assert attempt(check_lite(endpoint, source=None, results=[]), kube).failed == 0
    assert any("localfs" in line for line in lines(capsys))


def test_reads_a_table_on_a_mounted_volume(kube: Kube, kuscia: Kuscia, endpoint: str, tmp_path: Path, capsys) -> None:
    """Files on a mounted volume are checked like objects."""
    volume, data = tmp_path / "storage", tmp_path / "storage/data"
    data.mkdir(parents=True)
    kuscia.sources["default-data-source"] = {"type": "localfs", "info": {"localfs": {"path": str(data)}, "oss": None}}
    (data / "alice.csv").write_text("id1,age\n1,2\n3,4")
    (data / "own-result.csv").write_text("id1,age\n" + "1,2\n" * 8760)
    kuscia.tables["alice", "own-result"] = {
        "relative_uri": "own-result.csv",
        "datasource_id": "default-data-source",
        "columns": [{"name": "id1"}],
    }
    told = attempt(check_lite(endpoint, source=None, volume=str(volume)), kube)
    assert (told.passed, told.failed) == (7, 0)
    said = lines(capsys)
    assert "PASS table alice-table: 2 rows, 2 columns" in said
    assert "PASS result own-result: 8760 rows, 2 columns" in said

    (data / "own-result.csv").write_bytes(b"ORC\n\x00" * 400_000)
    assert attempt(check_lite(endpoint, source=None, volume=str(volume)), kube).failed == 0
    assert "PASS result own-result: 2.0 MB of ORC at own-result.csv" in lines(capsys)

    (data / "alice.csv").write_text("other\n1\n")
    (data / "own-result.csv").unlink()
    told = attempt(check_lite(endpoint, source=None, volume=str(volume)), kube)
    assert (told.passed, told.failed) == (5, 2)
    said = lines(capsys)
    failed = [line for line in said if line.startswith("FAIL")]
    assert failed[0].startswith("FAIL table alice-table: [table-columns-mismatch] ")
    assert failed[0].endswith("id1")
    assert failed[1].startswith("FAIL result own-result: [table-content-missing] ")
    assert f"{data}/own-result.csv" in failed[1]

    kuscia.sources["default-data-source"]["info"] = {"localfs": {"path": "/elsewhere"}, "oss": None}
    assert attempt(check_lite(endpoint, source=None, volume=str(volume)), kube).failed == 0
    assert any("localfs" in line for line in lines(capsys))


@pytest.mark.parametrize("config", [check_master, check_lite])
def test_commands_name_the_namespace_of_the_release(
    kube: Kube, kuscia: Kuscia, endpoint: str, minio, capsys, config
) -> None:
    kuscia.route_status.update(status="Failed")
    kuscia.domains["alice"].update(node_statuses=[])
    attempt(config(endpoint), kube)
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith("    see: kubectl ")]
    assert [line for line in shown if line.endswith(" -n ns")]


@pytest.mark.parametrize(
    ("break_it", "failing", "fact"),
    [
        (lambda k, m: k.domains["bob"].update(node_statuses=[]), "nodes: [node-not-ready]", "bob"),
        (
            lambda k, m: k.domains["bob"]["node_statuses"][0].update(status="NotReady"),
            "nodes: [node-not-ready]",
            "bob NotReady",
        ),
        (
            lambda k, m: k.route_status.update(status="Failed", reason="Reason:DestinationIsNotAuthrized"),
            "routes: [route-not-ready]",
            "alice-bob (Reason:DestinationIsNotAuthrized)",
        ),
        (lambda k, m: k.route_status.update(status="Failed", reason=""), "routes: [route-not-ready]", "alice-bob"),
        (lambda k, m: k.routes.pop(("bob", "alice")), "routes: [route-not-ready]", '"bob-alice" not found'),
        (lambda k, m: k.domains.pop("bob"), "nodes: [node-not-ready]", "bob not registered"),
    ],
)
def test_reports_a_master_that_is_not_ready(
    kube: Kube, kuscia: Kuscia, endpoint: str, minio, capsys, break_it, failing, fact
) -> None:
    break_it(kuscia, minio)
    report = attempt(check_master(endpoint, exampleJob=EXAMPLE_JOB), kube)
    failed = [line for line in lines(capsys) if line.startswith("FAIL")]
    assert failed[0].startswith(f"FAIL {failing} ")
    assert fact in failed[0]
    assert failed[1].startswith("FAIL example job: ")
    assert report.failed == 2
    assert "job/create" not in kuscia.paths()


@pytest.mark.parametrize(
    ("break_it", "failing", "fact"),
    [
        (
            lambda k, m: k.tables.pop(("alice", "alice-table")),
            "table alice-table: [kusciaapi-not-found] ",
            "alice-table",
        ),
        (lambda k, m: m.buckets["b"].clear(), "table alice-table: [table-content-missing] ", "p/alice.csv"),
        (lambda k, m: m.buckets.clear(), "table alice-table: ", "ucket b"),
        (
            lambda k, m: m.store("b", "p/alice.csv", b"x,y\n", {}),
            "table alice-table: [table-columns-mismatch] ",
            "id1",
        ),
        (
            lambda k, m: k.domains["alice"].update(node_statuses=[]),
            "registration at the master: [node-not-ready] ",
            "alice",
        ),
    ],
)
def test_reports_a_lite_that_is_not_ready(
    kube: Kube, kuscia: Kuscia, endpoint: str, minio, capsys, break_it, failing, fact
) -> None:
    break_it(kuscia, minio)
    report = attempt(check_lite(endpoint, results=[]), kube)
    (failed,) = [line for line in lines(capsys) if line.startswith("FAIL")]
    assert failed.startswith(f"FAIL {failing}")
    assert fact in failed
    assert report.failed == 1


@pytest.mark.parametrize(
    ("missing", "error_id"),
    [(("bob", "bob-table"), "table-not-declared"), (("alice", "bob-table"), "table-not-granted")],
)
def test_reports_missing_tables_of_the_example_job(
    kube: Kube, kuscia: Kuscia, endpoint: str, capsys, missing: tuple[str, str], error_id: str
) -> None:
    del kuscia.tables[missing]
    assert attempt(check_master(endpoint, exampleJob=EXAMPLE_JOB), kube).failed == 1
    (failed,) = [line for line in lines(capsys) if line.startswith("FAIL")]
    assert failed.startswith(f"FAIL tables of the example job: [{error_id}] ")
    assert "bob-table" in failed
    assert "job/create" not in kuscia.paths()


def test_reports_a_failed_example_job(kube: Kube, kuscia: Kuscia, endpoint: str, capsys) -> None:
    kuscia.job_states = [{"state": "Failed", "err_msg": "ErrImagePull", "tasks": []}]
    assert attempt(check_master(endpoint, exampleJob=EXAMPLE_JOB), kube).failed == 1
    assert any(line.startswith("FAIL example job: ") and "ErrImagePull" in line for line in lines(capsys))


def test_reports_an_unreachable_gateway(kube: Kube, endpoint: str, monkeypatch) -> None:
    def refuse(*_: Any) -> None:
        raise RetryableError(
            "not-a-gateway",
            "https://own:1080 is not a gateway",
            see="curl -kvs https://own:1080/",
        )

    monkeypatch.setattr(gateway, "probe", refuse)
    report = attempt(check_master(endpoint), kube)
    assert report.failed == 1
    assert report.passed == 3


def test_reports_an_unreachable_kusciaapi(kube: Kube, capsys) -> None:
    report = attempt(check_master("http://127.0.0.1:9", exampleJob=EXAMPLE_JOB), kube, 3)
    assert (report.passed, report.failed) == (1, 1)
    assert "FAIL KusciaAPI" in lines(capsys)[-1]


def test_waits_until_routes_are_ready(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    """Routes become READY while the check waits."""
    kuscia.route_status.update(status="Failed", reason="")
    path = "route/status/batchQuery"

    def answer(body: dict[str, Any]) -> Reply:
        if len(kuscia.bodies(path)) == 3:
            kuscia.route_status.update(status="Succeeded")
        return kuscia.do_route_status_batchQuery(body)

    kuscia.replies[path] = answer
    assert attempt(check_master(endpoint), kube, 60).failed == 0
    assert len(kuscia.bodies(path)) == 3


def test_reads_many_routes_in_batches(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    names = [f"lite-{number}" for number in range(20)]
    routes = [{"source": a, "destination": b} for a in names for b in names if a != b]
    for route in routes:
        kuscia.routes[route["source"], route["destination"]] = {}
    assert attempt(check_master(endpoint, routes=routes), kube).failed == 0
    sizes = [len(body["route_keys"]) for body in kuscia.bodies("route/status/batchQuery")]
    assert sorted(sizes) == [380 % BATCH, *[BATCH] * (380 // BATCH)]


def test_lists_what_the_steps_left_alone(core: FakeCore, kube: Kube, endpoint: str, capsys) -> None:
    data = {"tables.report": '{"leftover":["old-table"]}', "grants.report": '{"foreign":["a-bob"]}', "tables": "{}"}
    core.put("configmaps", "ns", "ledger", data=data)
    assert check.attempt(check_lite(endpoint, ledger="ledger"), context(kube)).exit_code == 0
    told = [line.split(" (")[0] for line in capsys.readouterr().out.splitlines() if line.startswith("INFO")]
    assert told == ["INFO foreign grants: a-bob", "INFO leftover tables: old-table"]


@pytest.mark.parametrize(("broken", "code"), [(False, 0), (True, 1)])
def test_exit_code_is_1_if_a_check_failed(kube: Kube, kuscia: Kuscia, endpoint: str, broken: bool, code: int) -> None:
    if broken:
        kuscia.domains["bob"].update(node_statuses=[])
    outcome = check.attempt(check_master(endpoint), context(kube))
    assert outcome.exit_code == code
    assert f"failed={code} " in outcome.line


def absent(kuscia: Kuscia, domain: str) -> None:
    """Let a domain never have registered: its routes do not become READY."""
    kuscia.domains[domain]["node_statuses"] = []
    for pair in kuscia.routes:
        if domain in pair:
            kuscia.route_statuses[pair] = {"status": "Failed", "reason": "DestinationUnreachable"}


@pytest.mark.parametrize(
    ("mode", "seconds", "failed", "nodes"), [("fail", 270, 2, "FAIL nodes: "), ("report", 90, 0, "PASS nodes: ")]
)
def test_ends_within_five_minutes_when_a_domain_is_absent(
    kube: Kube,
    kuscia: Kuscia,
    endpoint: str,
    capsys: pytest.CaptureFixture[str],
    mode: str,
    seconds: float,
    failed: int,
    nodes: str,
) -> None:
    """The timeout of Flux is five minutes. Routes of an absent domain are not waited for."""
    absent(kuscia, "bob")
    fake_time = FakeTime()
    config = check_master(endpoint, absentDomains=mode, exampleJob=EXAMPLE_JOB)
    report = check.run_checks(config, kube, fake_time.deadline(900))
    out = capsys.readouterr().out.splitlines()
    assert 0 < fake_time.latest < seconds
    assert report.failed == sum(line.startswith("FAIL ") for line in out) == failed
    (line,) = [line for line in out if line.startswith(nodes)]
    assert "bob" in line
    assert any(line.startswith("PASS routes: 0 READY") for line in out)
    assert kuscia.jobs == {}


def test_reported_absence_does_not_hide_other_routes(
    kube: Kube, kuscia: Kuscia, endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kuscia.join("carol")
    kuscia.routes["alice", "carol"] = {}
    kuscia.route_statuses["alice", "carol"] = {"status": "Failed", "reason": "TokenNotGenerate"}
    absent(kuscia, "bob")
    pairs = [("alice", "bob"), ("alice", "carol")]
    routes = [{"source": source, "destination": destination} for source, destination in pairs]
    domains: dict[str, Any] = {"alice": {}, "bob": {}, "carol": {}}
    config = check_master(endpoint, absentDomains="report", domains=domains, routes=routes)
    report = check.run_checks(config, kube, FakeTime().deadline(900))
    assert report.failed == 1
    assert "FAIL routes" in capsys.readouterr().out
