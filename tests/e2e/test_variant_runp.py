"""RunP: engines are processes of the lite; tables and results are files on its volume.

alice runs as root with a volume, bob rootless with an emptyDir. KUSCIA_IMAGE contains no engine; with it, set
KUSCIA_SECRETFLOW_IMAGE to an image that does.
"""

import csv
import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kuscia_hooks.tables import examples
from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import kusciaapi
from testbed.demo.releases import image_values
from testbed.servers import s3
from tests.e2e import messages
from tests.e2e.engines import DOMAIN
from tests.e2e.plugin import kuscia
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.cluster
DATA = "/home/kuscia/var/storage/data"
OWN = "id1,age\n1,2\n"
# Command lines of engines, as /proc has them.
ENGINES = ("psi_engine", "secretflow.kuscia")


@pytest.fixture(scope="module")
def layer(demo: Demo, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of the demo, except for the lites: theirs contains the engine of the example job."""
    given = os.environ.get("KUSCIA_SECRETFLOW_IMAGE", "")
    if demo.kuscia_image and not given:
        pytest.fail(
            "RunP requires a Kuscia image that contains the engine: set KUSCIA_SECRETFLOW_IMAGE=docker-archive:FILE"
        )
    values: dict[str, Any] = json.loads(images.read_text())
    values["lite"]["image"] = image_values(demo.runp_image(given))
    values["master"]["exampleJob"] = {"enabled": True, "appImage": "secretflow-image" if given else "psi-engine"}
    path = tmp_path_factory.mktemp("runp") / "images.yaml"
    path.write_text(json.dumps(values))
    return path


@pytest.fixture(scope="module")
def runp(demo: Demo, layer: Path) -> Iterator[Variant]:
    with variant(demo, layer, "runp", parties=("master", "alice", "bob"), tables=True) as made:
        with ThreadPoolExecutor(3) as pool:
            runs = [pool.submit(install, made, party) for party in made.parties]
        for run in runs:
            run.result()
        yield made


def install(made: Variant, party: str) -> str:
    if party == "master":
        return made.install(party)
    detected = {"lite": {"capacity": {"cpu": None, "memory": None}}}
    if party == "alice":
        return made.install(party, "runp", values={"lite": {**detected["lite"], "persistence": {"size": "1Gi"}}})
    # The local cluster has hostPath volumes, which belong to root and ignore fsGroup.
    return made.install(
        party, "runp", "rootless", values={"lite": {**detected["lite"], "persistence": {"enabled": False}}}
    )


def file(made: Variant, party: str, name: str) -> str:
    return made.exec(party, "cat", f"{DATA}/{name}")


def rows(text: str) -> dict[str, list[str]]:
    """Return key -> row, without the header."""
    return {row[0]: row for row in list(csv.reader(io.StringIO(text)))[1:]}


def results(made: Variant, party: str) -> list[str]:
    """Return the names of the results in a party's volume, newest first."""
    return [name for name in made.exec(party, "ls", "-t", DATA).split() if name.startswith("psi-output")]


@pytest.mark.parametrize("party", ["alice", "bob"])
def test_is_ready_and_contains_an_engine(runp: Variant, party: str) -> None:
    status = runp.pod(party)["status"]["containerStatuses"][0]
    assert (status["ready"], status["restartCount"]) == (True, 0)
    kuscia = runp.kuscia_yaml(party)
    assert (kuscia["runtime"], "runk" in kuscia, "capacity" in kuscia) == ("runp", False, False)
    assert runp.exec(party, "id", "-u").strip() == ("0" if party == "alice" else "1000")
    store = ("--store", "/home/kuscia/var/images")
    listed = runp.exec(party, "kuscia", "image", *store, "--runtime", "runp", "list").splitlines()
    assert len(listed) > 1, "the image contains no engine"


@pytest.mark.parametrize("party", ["alice", "bob"])
def test_only_prepare_has_a_serviceaccount_token(runp: Variant, party: str) -> None:
    assert "serviceaccount" not in runp.exec(party, "cat", "/proc/self/mounts")
    mounts = {
        container["name"]: {mount["name"] for mount in container["volumeMounts"]}
        for kind in ("initContainers", "containers")
        for container in runp.pod(party)["spec"][kind]
    }
    assert {name for name, mounted in mounts.items() if "api-token" in mounted} == {"prepare"}


@pytest.mark.parametrize("party", ["alice", "bob"])
def test_seed_writes_tables_to_the_volume(runp: Variant, party: str) -> None:
    """The same bytes that are uploaded to a bucket under RunK."""
    sum_, _ = runp.exec(party, "sha256sum", f"{DATA}/{party}.csv").split()
    assert sum_ == hashlib.sha256(examples.table(party)).hexdigest()
    assert messages.counts(runp.log(party, "seed"))["created"] == 1


@pytest.mark.parametrize("party", ["alice", "bob"])
def test_declares_tables(runp: Variant, party: str) -> None:
    with kusciaapi(runp.kubectl, runp.release(party)) as api:

        def table() -> dict[str, Any]:
            body = {"data": {"domain_id": party, "domaindata_id": f"{party}-table"}}
            found: dict[str, Any] = api.call("domaindata/query", body)
            return found

        eventually(table, 120, f"{party}-table is declared")
        assert (table()["datasource_id"], table()["relative_uri"]) == ("default-data-source", f"{party}.csv")
        source = api.call("domaindatasource/query", {"domain_id": party, "datasource_id": "default-data-source"})
    assert (source["type"], source["info"]["localfs"]) == ("localfs", {"path": DATA})


def test_example_job_succeeds(runp: Variant) -> None:
    log = runp.test("master")
    assert messages.passed(log, messages.EXAMPLE_JOB)
    assert messages.failures(log) == []


def test_results_are_files_with_the_intersection(runp: Variant) -> None:
    tables = {party: rows(file(runp, party, f"{party}.csv")) for party in ("alice", "bob")}
    common = set(tables["alice"]) & set(tables["bob"])
    assert len(common) == examples.COMMON
    for party, table in tables.items():
        newest = results(runp, party)[0]
        assert rows(file(runp, party, newest)) == {key: table[key] for key in common}


def test_check_reads_files_of_a_claim(runp: Variant) -> None:
    """`helm test` cannot read an emptyDir, and checks the declaration only."""
    log = runp.test("alice")
    assert messages.passed(log, "table alice-table", f"{examples.ROWS} rows", "25 columns")
    assert messages.passed(log, messages.RESULT, f"{examples.COMMON} rows", "25 columns")
    log = runp.test("bob")
    assert messages.passed(log, "table bob-table", "bob.csv", "default-data-source", "localfs")


@pytest.mark.parametrize("party", ["alice", "bob"])
def test_engines_run_as_processes_of_the_lite(runp: Variant, party: str) -> None:
    """Their output stays in the lite after they exit, and there are no engine pods."""
    logs = runp.exec(party, "sh", "-c", f"cat /home/kuscia/var/stdout/pods/{party}_*/*/*.log")
    assert "psi" in logs.lower()
    command = "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done 2>/dev/null"

    def processes() -> str:
        return runp.exec(party, "sh", "-c", command)

    assert "start -c etc/conf/kuscia.yaml" in processes()
    eventually(lambda: not any(name in processes() for name in ENGINES), 60, f"no engine runs in {party}'s lite")
    pods = runp.kubectl.get("pods", "-n", runp.namespace(party))["items"]
    assert [pod for pod in pods if DOMAIN in pod["metadata"].get("labels", {})] == []


@pytest.mark.parametrize("party", ["alice", "bob"])
def test_logs_shows_output_of_engine_processes(runp: Variant, layer: Path, party: str) -> None:
    """`kubectl kuscia logs` of a job that fails because its input is empty."""
    job = f"idle-{party}"
    runp.run_engine(json.loads(layer.read_text())["master"]["exampleJob"]["appImage"], job, party)
    try:
        with kusciaapi(runp.kubectl, runp.release("master")) as api:
            body = {"job_id": job}
            eventually(lambda: api.call("job/query", body)["status"]["state"] == "Failed", 120, f"{job} fails")
        said = kuscia(runp.kubectl, "logs", job, "-n", runp.namespace(party))
    finally:
        runp.end_job(job)
    assert said.code == 0, said
    printed = [line for line in said.text.splitlines() if line.startswith(f"{party} | ")]
    assert any("sf_" in line for line in printed), said
    counts = messages.counts(said.text)
    assert (counts["printed"], counts["lost"]) == (1, 0)


def empty_bucket(made: Variant) -> None:
    """Delete what the test wrote to the bucket of the demo's bob."""
    with s3.client(made.kubectl, "bob") as client:
        for found in client.list_objects(bucket_name="bob", prefix=f"{made.name}/", recursive=True):
            client.remove_object(bucket_name="bob", object_name=str(found.object_name))


def test_lite_can_change_to_runk_and_a_bucket(
    runp: Variant, images: Path, image_refs: dict[str, str], request: pytest.FixtureRequest
) -> None:
    """The other party still uses RunP. `data` updates the data source."""
    account = s3.Account("bob", runp.namespace("bob"), "bob-oss")
    source = {"endpoint": s3.ensure(runp.kubectl, image_refs["versitygw"], (account,)).endpoint, "prefix": runp.name}
    without_engine = dataclasses.replace(runp, images=images)
    request.addfinalizer(lambda: empty_bucket(runp))
    without_engine.install("bob", values={"lite": {"data": {"source": source}}})
    with kusciaapi(runp.kubectl, runp.release("bob")) as api:
        body = {"domain_id": "bob", "datasource_id": "default-data-source"}
        eventually(
            lambda: api.call("domaindatasource/query", body)["type"] == "oss", 120, "the data source is a bucket"
        )
    assert messages.passed(runp.test("master"), messages.EXAMPLE_JOB)
    assert messages.passed(runp.test("bob"), messages.RESULT, f"{examples.COMMON} rows", "21 columns")


def test_seed_keeps_existing_files(runp: Variant) -> None:
    before = results(runp, "alice")
    runp.exec("alice", "sh", "-c", f"printf '{OWN.encode('unicode_escape').decode()}' > {DATA}/alice.csv")
    old = runp.pod("alice")["metadata"]["name"]
    runp.kubectl.run("delete", "pod", old, "-n", runp.namespace("alice"), "--wait", timeout=120)
    runp.kubectl.run(
        "rollout",
        "status",
        "deployment/kuscia-lite-alice",
        "-n",
        runp.namespace("alice"),
        "--timeout",
        "5m",
        timeout=320,
    )
    assert file(runp, "alice", "alice.csv") == OWN
    assert results(runp, "alice") == before
    counts = messages.counts(runp.log("alice", "seed"))
    assert (counts["created"], counts["unchanged"]) == (0, 1)


def test_seed_reports_a_volume_that_is_not_writable(runp: Variant) -> None:
    """Where the storage driver ignores fsGroup, seed retries until the volume is writable."""
    with pytest.raises(CommandError):
        runp.install("bob", "runp", "rootless", timeout="60s")
    log = runp.log("bob", "seed")
    assert messages.VOLUME_WRITE_FAILED.printed_in(log, f"{DATA}/bob.csv", "1000")


def test_rejects_a_local_source_under_runk(demo: Demo, layer: Path) -> None:
    """Engine pods cannot read files of the lite."""
    with variant(demo, layer, "runp-runk", parties=("alice",), tables=True) as made:
        with pytest.raises(CommandError) as error:
            made.install("alice", "runp", values={"lite": {"runtime": "runk"}})
        assert ("localfs-with-runk", "lite.data.source.type") in messages.chart_errors(str(error.value))
