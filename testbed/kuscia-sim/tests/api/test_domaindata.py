"""Rules of tables, with values that were not recorded."""

import re
from typing import Any

from kuscia_sim_testing.inprocess import ALICE, Cluster
from kuscia_sim_testing.samples import table


async def test_completes_and_merges_tables(cluster: Cluster) -> None:
    made = await cluster.ok(ALICE, "domaindata/create", table(relative_uri="/d/My File.csv", domaindata_id=""))
    assert re.fullmatch(r"myfilecsv-[0-9a-f]{32}", made["domaindata_id"])
    key = {"data": {"domain_id": ALICE, "domaindata_id": made["domaindata_id"]}}
    found = await cluster.ok(ALICE, "domaindata/query", key)
    assert (found["name"], found["relative_uri"], found["vendor"]) == ("My File.csv", "d/My File.csv", "manual")
    first = table(vendor="secretflow", file_format="BINARY", attributes={"a": "1"})
    partition = {"type": "path", "fields": [{"name": "dt", "type": "str", "comment": "", "not_nullable": True}]}
    await cluster.ok(ALICE, "domaindata/create", {**first, "partition": partition})
    await cluster.ok(ALICE, "domaindata/create", table(name="n", vendor="other"))
    found = await cluster.ok("master", "domaindata/query", {"data": {"domain_id": ALICE, "domaindata_id": "t"}})
    assert (found["name"], found["vendor"], found["file_format"]) == ("n", "secretflow", "BINARY")
    partition["fields"] = [{**field, "not_nullable": False} for field in partition["fields"]]
    assert (found["attributes"], found["partition"]) == ({"a": "1"}, partition)


async def test_master_updates_table_of_lite(cluster: Cluster) -> None:
    await cluster.ok(ALICE, "domaindata/create", table(name="n"))
    key = {"domain_id": ALICE, "domaindata_id": "t"}
    await cluster.ok("master", "domaindata/update", {**key, "name": "m"})
    found = await cluster.ok(ALICE, "domaindata/query", {"data": key})
    assert (found["name"], found["author"]) == ("m", ALICE)
    text = "domain data source `none` is not exists in domain `alice`"
    assert await cluster.refused("master", "domaindata/update", {**key, "datasource_id": "none"}) == (11806, text)


async def test_internal_api_serves_only_tables_of_caller(cluster: Cluster) -> None:
    own = "domain's kusciaAPI could only operate its own DomainData, request.DomainID must be bob not alice"
    headers = {"Kuscia-Source": "bob"}
    key = {"domain_id": ALICE, "domaindata_id": "t"}
    bodies: dict[str, Any] = {
        "create": table(),
        "update": key,
        "delete": key,
        "query": {"data": key},
        "batchQuery": {"data": [key]},
        "list": {"data": {"domain_id": ALICE}},
    }
    for call, body in bodies.items():
        path = f"/api/v1/domaindata/{call}"
        async with cluster.clients["internal"].post(path, json=body, headers=headers) as answer:
            status = (await answer.json())["status"]
            assert (status["code"], status["message"]) == (11102, own), call


async def test_rejects_null_in_batch_of_tables(cluster: Cluster) -> None:
    """The framework reports a panic of its own check as an error (Kuscia's pkg/web/decorator, doValidate)."""
    answer = await cluster.ask("master", "domaindata/batchQuery", {"data": [None]})
    text = "runtime error: invalid memory address or nil pointer dereference"
    assert answer == {"status": {"code": 11100, "message": text}}
