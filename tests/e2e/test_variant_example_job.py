"""The example job between two parties: results of its own, read and removed by each party, and a failure told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kuscia_hooks.example_job import results
from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import kusciaapi
from tests.e2e.datasources import Stores, stores
from tests.e2e.variants import variant

pytestmark = pytest.mark.cluster

PARTIES = ("alice", "bob")


@pytest.fixture(scope="module")
def world(demo: Demo, images: Path, image_refs: dict[str, str]) -> Iterator[Stores]:
    """Master, alice and bob with the example tables."""
    parties = ("master", *PARTIES)
    with variant(demo, images, "psi", parties=parties) as made, stores(demo, made, image_refs) as found:
        made.install("master", values=job(), wait=False)
        for party, other in zip(PARTIES, reversed(PARTIES), strict=True):
            columns = {"*": "float", "id1" if party == "alice" else "id2": "str"}
            table = {"id": f"{party}-table", "relativeUri": f"{party}.csv", "example": party, "columnTypes": columns}
            grant = {"table": table["id"], "domain": other}
            data = {"source": {"endpoint": found.endpoint}, "tables": [table], "grants": [grant]}
            made.install(party, values={"lite": {"data": data}}, wait=False)
        yield found


def job(**fields: object) -> dict[str, object]:
    return {"master": {"exampleJob": {"enabled": True, "appImage": "psi-engine", **fields}}}


def left(world: Stores, party: str) -> list[results.Result]:
    with kusciaapi(world.kubectl, world.made.release("master")) as api:
        return results.listed(api, party)


def report(world: Stores, party: str, job_id: str) -> object:
    """The kind of what the engine registered beside the result."""
    with kusciaapi(world.kubectl, world.made.release("master")) as api:
        wanted = {"domain_id": party, "domaindata_id": results.report_of(job_id)}
        return (api.find("domaindata/query", {"data": wanted}) or {}).get("type")


def objects(world: Stores, party: str) -> list[str]:
    return sorted(name for name in world.names(party, party) if name.startswith("psi-output"))


def result_line(logs: str) -> str:
    return next(line for line in logs.splitlines() if "result of the example job:" in line)


def test_each_party_reads_its_own_result_and_removes_it(world: Stores) -> None:
    logs = world.made.test("master")
    submitted = next(line.split()[-1] for line in logs.splitlines() if line.startswith("submitted KusciaJob"))
    assert f"PASS example job: {submitted} Succeeded" in logs
    with kusciaapi(world.kubectl, world.made.release("master")) as api:
        assert api.find("job/query", {"job_id": submitted}) is None
    for party in PARTIES:
        (found,) = left(world, party)
        assert (found.job, found.state, found.keep) == (submitted, results.LATEST, False)
        assert objects(world, party) == [found.relative_uri]
        assert report(world, party, submitted) == "report"
        logs = world.made.test(party)
        assert result_line(logs).startswith("PASS result of the example job: 8760 rows, ")
        assert f"{found.id} of KusciaJob {submitted}" in logs
        assert left(world, party) == []
        assert report(world, party, submitted) is None
        assert objects(world, party) == []


def test_what_is_kept_and_what_fails(world: Stores) -> None:
    """A kept result is not taken for that of a later job, which fails at bob."""
    made = world.made
    made.install("master", values=job(keep=True), wait=False)
    made.test("master")
    (kept,) = left(world, "bob")
    assert kept.keep
    with kusciaapi(world.kubectl, made.release("master")) as api:
        assert api.call("job/query", {"job_id": kept.job})["status"]["state"] == "Succeeded"
    assert "PASS result of the example job: 8760 rows" in result_line(made.test("bob"))

    wrong = [{"domain": "alice", "table": "alice-table", "keys": ["id1"]},
             {"domain": "bob", "table": "bob-table", "keys": ["id9"]}]  # fmt: skip
    made.install("master", values=job(parties=wrong), wait=False)
    with pytest.raises(CommandError):
        made.test("master")
    log = world.kubectl.run("logs", "kuscia-master-check", "-n", made.namespace("master"))
    failed = log[log.index("FAIL example job: ") :]
    assert "bob: " in failed
    assert "kubectl kuscia logs psi-" in failed
    assert result_line(made.test("bob")).endswith("none; the master's helm test makes one")
    assert [(one.id, one.state) for one in left(world, "bob")] == [(kept.id, results.PAST)]
    assert objects(world, "bob") == [kept.relative_uri]
