"""Rules of grants, with values that were not recorded."""

from typing import Any

from kuscia_sim_testing.inprocess import ALICE, Cluster
from kuscia_sim_testing.samples import eventually, table


async def test_grant_copies_table_and_removes_it(cluster: Cluster) -> None:
    await cluster.ok(ALICE, "domaindata/create", table(name="first"))
    grant = {"domain_id": ALICE, "domaindata_id": "t", "grant_domain": "bob", "domaindatagrant_id": "g"}
    await cluster.ok(ALICE, "domaindatagrant/create", grant)
    copy = {"data": {"domain_id": "bob", "domaindata_id": "t"}}
    await eventually(cluster, "master", "domaindata/query", copy, lambda a: a["status"]["code"] == 0)
    found = await cluster.ok("master", "domaindata/query", copy)
    assert (found["vendor"], found["author"], found["name"]) == ("grant", ALICE, "first")
    await cluster.ok(ALICE, "domaindata/update", {"domain_id": ALICE, "domaindata_id": "t", "name": "second"})
    await eventually(cluster, "master", "domaindata/query", copy, lambda a: a["data"]["name"] == "second")
    await cluster.ok(ALICE, "domaindatagrant/delete", {"domain_id": ALICE, "domaindatagrant_id": "g"})
    await eventually(cluster, "master", "domaindata/query", copy, lambda a: a["status"]["code"] == 11506)
    assert (await cluster.ok("master", "domaindatagrant/list", {"data": {"domain_id": "bob"}})) == {
        "domaindatagrant_list": []
    }


async def test_grant_without_id_is_always_new(cluster: Cluster) -> None:
    await cluster.ok(ALICE, "domaindata/create", table())
    grant = {"domain_id": ALICE, "domaindata_id": "t", "grant_domain": "bob"}
    made = [(await cluster.ok(ALICE, "domaindatagrant/create", grant))["domaindatagrant_id"] for _ in range(2)]
    assert len(set(made)) == 2
    listed = await cluster.ok(ALICE, "domaindatagrant/list", {"data": {"domain_id": ALICE}})
    assert {entry["data"]["domaindatagrant_id"] for entry in listed["domaindatagrant_list"]} == set(made)


async def test_grant_cannot_change_its_table(cluster: Cluster) -> None:
    for data_id in ("t", "u"):
        await cluster.ok(ALICE, "domaindata/create", table(domaindata_id=data_id))
    grant = {"domain_id": ALICE, "domaindata_id": "t", "grant_domain": "bob", "domaindatagrant_id": "g"}
    await cluster.ok(ALICE, "domaindatagrant/create", grant)
    moved = {**grant, "domaindata_id": "u"}
    told = (11100, "domaindataid can't be changed.")
    assert await cluster.refused(ALICE, "domaindatagrant/update", moved) == told
    told = (11100, "domaindataid can't be null")
    assert await cluster.refused(ALICE, "domaindatagrant/update", {**grant, "domaindata_id": ""}) == told


async def test_batch_reports_status_of_each_grant(cluster: Cluster) -> None:
    await cluster.ok(ALICE, "domaindata/create", table())
    grant = {"domain_id": ALICE, "domaindata_id": "t", "grant_domain": "bob", "domaindatagrant_id": "g"}
    await cluster.ok(ALICE, "domaindatagrant/create", grant)
    keys = [{"domain_id": ALICE, "domaindatagrant_id": name} for name in ("g", "none", "")]
    answer = await cluster.ask(ALICE, "domaindatagrant/batchQuery", {"data": keys})
    assert answer["status"]["message"] == "BatchQuery has error. Empty/Error/Total(1/1/3)"
    assert [detail["code"] for detail in answer["status"]["details"]] == [0, 11705, 11100]
    assert answer["status"]["details"][2]["message"] == "QueryDomainDataGrantRequestData can't be null"


async def test_deleting_table_removes_grants(cluster: Cluster) -> None:
    await cluster.ok(ALICE, "domaindata/create", table())
    grant = {"domain_id": ALICE, "domaindata_id": "t", "grant_domain": "bob", "domaindatagrant_id": "g"}
    await cluster.ok(ALICE, "domaindatagrant/create", grant)
    await cluster.ok(ALICE, "domaindata/delete", {"domain_id": ALICE, "domaindata_id": "t"})
    code, text = await cluster.refused(ALICE, "domaindatagrant/query", grant)
    assert (code, text) == (11705, 'domaindatagrants.kuscia.secretflow "g" not found')


async def test_checks_grant_signatures(cluster: Cluster) -> None:
    """DataMesh signs the grants of engines; an invalid signature makes a grant unavailable."""
    await cluster.ok(ALICE, "domaindata/create", table())
    grant = {"domaindata_id": "t", "grant_domain": "bob", "description": {"a": "b"}, "author": "alice"}
    made = await cluster.ok("mesh", "datamesh/domaindatagrant/create", grant)
    key = {"domain_id": ALICE, "domaindatagrant_id": made["domaindatagrant_id"]}

    def in_phase(phase: str, text: str) -> Any:
        return lambda a: (a["data"]["status"]["phase"], a["data"]["status"]["message"]) == (phase, text)

    await eventually(cluster, ALICE, "domaindatagrant/query", key, in_phase("Ready", ""))
    forged = {"domain_id": ALICE, "domaindata_id": "t", "grant_domain": "bob", "signature": "bm8=",
              "domaindatagrant_id": "forged"}  # fmt: skip
    await cluster.ok(ALICE, "domaindatagrant/create", forged)
    await eventually(cluster, ALICE, "domaindatagrant/query", forged, in_phase("Unavailable", "Verify error"))
