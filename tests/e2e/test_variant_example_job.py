"""The example job between two parties: its results, and how a failure is reported."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kuscia_hooks.example_job import results
from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import kusciaapi
from tests.e2e import messages
from tests.e2e.datasources import Stores, stores
from tests.e2e.variants import variant

pytestmark = pytest.mark.cluster

PARTIES = ("alice", "bob")
JOB = re.compile(r"\bpsi-\d{14}-[0-9a-f]+\b")


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


def results_of(world: Stores, party: str) -> list[results.Result]:
    with kusciaapi(world.kubectl, world.made.release("master")) as api:
        return results.listed(api, party)


def report(world: Stores, party: str, job_id: str) -> object:
    """Return the type of the report that the engine registered; None if there is none."""
    with kusciaapi(world.kubectl, world.made.release("master")) as api:
        wanted = {"domain_id": party, "domaindata_id": results.report_of(job_id)}
        return (api.find("domaindata/query", {"data": wanted}) or {}).get("type")


def objects(world: Stores, party: str) -> list[str]:
    return sorted(name for name in world.names(party, party) if name.startswith("psi-output"))


def test_each_party_reads_and_removes_its_result(world: Stores) -> None:
    logs = world.made.test("master")
    (submitted,) = set(JOB.findall(logs))
    assert messages.passed(logs, messages.EXAMPLE_JOB, submitted, "Succeeded")
    with kusciaapi(world.kubectl, world.made.release("master")) as api:
        assert api.find("job/query", {"job_id": submitted}) is None
    for party in PARTIES:
        (found,) = results_of(world, party)
        assert (found.job, found.state, found.keep) == (submitted, results.LATEST, False)
        assert objects(world, party) == [found.relative_uri]
        assert report(world, party, submitted) == "report"
        logs = world.made.test(party)
        assert messages.passed(logs, messages.RESULT, "8760 rows", found.id, submitted)
        assert results_of(world, party) == []
        assert report(world, party, submitted) is None
        assert objects(world, party) == []


def test_reports_a_failed_job_and_keeps_an_earlier_result(world: Stores) -> None:
    """The earlier result is not reported as that of the failed job, which fails at bob."""
    made = world.made
    made.install("master", values=job(keep=True), wait=False)
    made.test("master")
    (kept,) = results_of(world, "bob")
    assert kept.keep
    with kusciaapi(world.kubectl, made.release("master")) as api:
        assert api.call("job/query", {"job_id": kept.job})["status"]["state"] == "Succeeded"
    assert messages.passed(made.test("bob"), messages.RESULT, "8760 rows", kept.id)

    wrong = [{"domain": "alice", "table": "alice-table", "keys": ["id1"]},
             {"domain": "bob", "table": "bob-table", "keys": ["id9"]}]  # fmt: skip
    made.install("master", values=job(parties=wrong), wait=False)
    with pytest.raises(CommandError):
        made.test("master")
    log = world.kubectl.run("logs", "kuscia-master-check", "-n", made.namespace("master"))
    assert messages.failed(log, messages.EXAMPLE_JOB, "bob: ", "kubectl kuscia logs psi-")
    log = made.test("bob")
    assert messages.passed(log, messages.RESULT)
    assert "rows" not in messages.checks(log)[messages.RESULT][1]
    assert [(one.id, one.state) for one in results_of(world, "bob")] == [(kept.id, results.PAST)]
    assert objects(world, "bob") == [kept.relative_uri]
