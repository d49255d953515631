"""Rules of DataMesh (Kuscia's pkg/datamesh/metaserver), with values that were not recorded."""

import json
from typing import Any

import pytest

from kuscia_sim_testing.inprocess import ALICE, Cluster

NOT_FOUND = 'domaindatas.kuscia.secretflow "t" not found'
OSS = {"endpoint": "http://s3", "bucket": "b", "access_key_id": "i", "access_key_secret": "s"}


def table(**fields: Any) -> dict[str, Any]:
    return {"domaindata_id": "t", "type": "table", "relative_uri": "a/t.csv", **fields}


def column(type_: str, name: str = "c") -> dict[str, Any]:
    return {"name": name, "type": type_, "comment": "", "not_nullable": False}


async def make_source(cluster: Cluster, source_id: str, type_: str, part: str, **fields: Any) -> None:
    info = {"mysql": {"endpoint": "e", "user": "u", "password": "p", "database": "d"}, "oss": OSS}[type_]
    body = {"domain_id": ALICE, "datasource_id": source_id, "type": type_, "info": {part: info}, **fields}
    await cluster.ok(ALICE, "domaindatasource/create", body)


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("domaindata/create", {}, "relative uri should not be empty;type should not be empty"),
        ("domaindata/create", {"relative_uri": "u"}, "type should not be empty"),
        ("domaindatagrant/create", {}, "domaindataid should not be empty;grantdomain not be empty"),
        ("domaindatagrant/create", {"domaindata_id": "t"}, "grantdomain not be empty"),
        ("domaindatagrant/query", {}, "domaindatagrantid should not be empty"),
        ("domaindatagrant/update", {}, "domaindatagrant id should not be empty;domaindata id should not be empty"),
        ("domaindatagrant/delete", {}, "domaindatagrant id should not be empty"),
        ("domaindatasource/query", {}, "datasource id should not be empty"),
    ],
)
async def test_framework_joins_problems(cluster: Cluster, path: str, body: Any, text: str) -> None:
    assert await cluster.ask("mesh", f"datamesh/{path}", body) == {"code": 12100, "message": text}


async def test_report_requires_no_data_source(cluster: Cluster) -> None:
    await cluster.ok("mesh", "datamesh/domaindata/create", table(type="report", relative_uri=""))


async def test_rejects_invalid_grants(cluster: Cluster) -> None:
    grant = {"domaindata_id": "t", "grant_domain": "bob", "domaindatagrant_id": "g"}
    path = "datamesh/domaindatagrant"
    assert await cluster.refused("mesh", f"{path}/create", grant) == (12100, "domaindata [t] not exists")
    assert await cluster.refused("mesh", f"{path}/update", grant) == (12100, "domaindata can't be found")
    await cluster.ok("mesh", "datamesh/domaindata/create", table())
    for call in ("create", "update"):
        own = {**grant, "grant_domain": ALICE}
        assert await cluster.refused("mesh", f"{path}/{call}", own) == (12100, "grantdomain can't be self")
    nobody = {**grant, "grant_domain": ""}
    assert await cluster.refused("mesh", f"{path}/update", nobody) == (12100, "grantdomain can't be null")
    await cluster.ok("mesh", f"{path}/create", grant)
    text = "CreateDomainDataGrant failed, because domaindatagrant g is exist"
    assert await cluster.refused("mesh", f"{path}/create", grant) == (12400, text)


async def test_grant_has_no_label(cluster: Cluster) -> None:
    """Its grantee need not be a valid label, and it is in no list by grantee, unlike one from KusciaAPI.

    Kuscia's pkg/datamesh/metaserver/service/domaindatagrant.go (convertData2Spec).
    """
    grant = {"domaindata_id": "t", "grant_domain": "No Label!"}
    await cluster.ok("mesh", "datamesh/domaindata/create", table())
    await cluster.ok("mesh", "datamesh/domaindatagrant/create", {**grant, "domaindatagrant_id": "g"})
    told = await cluster.refused(ALICE, "domaindatagrant/create", {**grant, "domain_id": ALICE})
    assert told[0] == 11700
    named = {"domaindata_id": "t", "grant_domain": "bob"}
    await cluster.ok("mesh", "datamesh/domaindatagrant/create", {**named, "domaindatagrant_id": "m"})
    await cluster.ok(ALICE, "domaindatagrant/create", {**named, "domaindatagrant_id": "k", "domain_id": ALICE})
    wanted = {"data": {"domain_id": ALICE, "grant_domain": "bob"}}
    found = (await cluster.ok(ALICE, "domaindatagrant/list", wanted))["domaindatagrant_list"]
    assert [one["data"]["domaindatagrant_id"] for one in found] == ["k"]


async def test_shows_source_without_key(cluster: Cluster) -> None:
    await cluster.ok(ALICE, "config/create", {"data": [{"key": "k", "value": json.dumps(OSS)}]})
    for source_id, type_ in (("o", "oss"), ("db", "mysql")):
        await cluster.store.create(
            "domaindatasources", ALICE, source_id, {"spec": {"type": type_, "name": "n", "infoKey": "k"}}
        )
    config = await cluster.store.get("configmaps", ALICE, "domain-config")
    await cluster.store.update("configmaps", ALICE, "domain-config", {**config, "written": 0})
    found = await cluster.ok("mesh", "datamesh/domaindatasource/query", {"datasource_id": "o"})
    assert (found["info_key"], found["info"]["oss"]["bucket"]) == ("", "b")
    found = await cluster.ok("mesh", "datamesh/domaindatasource/query", {"datasource_id": "db"})
    assert set(found["info"].values()) == {None}


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({}, "datasource crd encryptedInfo field is not exist"),
        ({"data": {"encryptedInfo": "bm8="}}, "decrypt data source info failed, crypto/rsa: decryption error"),
        ({"infoKey": "none"}, "unexpected end of JSON input"),
    ],
)
async def test_rejects_unreadable_sources(cluster: Cluster, spec: Any, text: str) -> None:
    await cluster.store.create("domaindatasources", ALICE, "bad", {"spec": {"type": "oss", "name": "n", **spec}})
    told = await cluster.refused("mesh", "datamesh/domaindatasource/query", {"datasource_id": "bad"})
    assert told == (12302, text)


async def test_rejects_unsupported_columns(cluster: Cluster) -> None:
    await make_source(cluster, "proxied", "oss", "oss")
    await make_source(cluster, "direct", "oss", "oss", access_directly=True)
    await make_source(cluster, "db", "mysql", "database")
    odd = [column("INT"), column("Decimal", "d")]
    body = table(columns=odd, datasource_id="proxied")
    text = "Col[d].Type=decimal is invalid for DataProxy"
    assert await cluster.refused("mesh", "datamesh/domaindata/create", body) == (12306, text)
    await cluster.ok("mesh", "datamesh/domaindata/create", table(columns=odd, datasource_id="direct"))
    assert await cluster.refused("mesh", "datamesh/domaindata/update", body) == (12306, text)
    binary = table(columns=[column("binary")], datasource_id="db", domaindata_id="b")
    text = "Col[c].Type=binary is invalid for mysql"
    assert await cluster.refused("mesh", "datamesh/domaindata/create", binary) == (12306, text)
    await cluster.ok("mesh", "datamesh/domaindata/update", {**body, "datasource_id": "db", "file_format": "CSV"})
    found = await cluster.ok("mesh", "datamesh/domaindata/query", {"domaindata_id": "t"})
    assert [one["type"] for one in found["columns"]] == ["int", "Decimal"]
    assert found["file_format"] == "UNKNOWN"


async def test_health_is_ready(cluster: Cluster) -> None:
    for node in ("mesh", "master"):
        async with cluster.clients[node].post("/healthZ", data=b"{}") as answer:
            assert (await answer.json())["data"] == {"ready": True}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("{} x", "invalid character 'x' after top-level value"),
        ("", "unexpected end of JSON input"),
        ('{"a"', "unexpected end of JSON input"),
        ("{]", "invalid character ']' looking for beginning of object key string"),
        ('{"path": 5}', "json: cannot unmarshal number into Go struct field LocalDataSourceInfo.path of type string"),
    ],
)
async def test_rejects_configuration_that_is_not_info(cluster: Cluster, value: str, text: str) -> None:
    await cluster.ok(ALICE, "config/create", {"data": [{"key": "k", "value": value}]})
    config = await cluster.store.get("configmaps", ALICE, "domain-config")
    await cluster.store.update("configmaps", ALICE, "domain-config", {**config, "written": 0})
    source = {"domain_id": ALICE, "datasource_id": "f", "type": "localfs"}
    await cluster.ok(ALICE, "domaindatasource/create", {**source, "info": {"localfs": {"path": "/p"}}})
    await cluster.ok(ALICE, "domaindatasource/update", {**source, "info_key": "k"})
    assert await cluster.refused(ALICE, "domaindatasource/query", source) == (11802, text)


async def test_datamesh_errors_have_no_envelope(cluster: Cluster) -> None:
    answer = await cluster.ask("mesh", "datamesh/domaindata/query", {})
    assert answer == {"code": 12100, "message": "domaindata id should not be empty"}
    answer = await cluster.ask("mesh", "datamesh/domaindata/query", {"domaindata_id": 5})
    text = "json: cannot unmarshal number into Go struct field QueryDomainDataRequest.domaindata_id of type string"
    assert answer == {"code": 12101, "message": text}
    assert await cluster.refused("mesh", "datamesh/domaindata/query", {"domaindata_id": "t"}) == (12201, NOT_FOUND)
