"""Rules behind the recordings, with values that were not recorded; the applications run in this process."""

import asyncio
import base64
import datetime
import json
import re
from typing import Any

import pytest
from cryptography import x509

from kuscia_sim import credentials
from kuscia_sim.api.appimage import canonical_quantity
from kuscia_sim_testing.inprocess import ALICE, Cluster

NIL = "doBizProcess panic, err: runtime error: invalid memory address or nil pointer dereference"
NOT_FOUND = 'domaindatas.kuscia.secretflow "t" not found'


def table(**fields: Any) -> dict[str, Any]:
    wanted = {"domain_id": ALICE, "domaindata_id": "t", "type": "table", "relative_uri": "a/t.csv"}
    return {**wanted, **fields}


async def eventually(cluster: Cluster, node: str, path: str, body: Any, wanted: Any) -> None:
    for _ in range(100):
        answer = await cluster.ask(node, path, body)
        if wanted(answer):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(answer)


async def test_lite_forwards_or_rejects_by_role(cluster: Cluster) -> None:
    not_here = (11104, "kuscia lite api not support this interface now")
    for path in ("domain/create", "domain/delete", "appimage/create", "appimage/list"):
        assert await cluster.refused(ALICE, path, {"domain_id": "x", "name": "x"}) == not_here
    other = "domain's kusciaAPI could only operate its own Domain, request.DomainID must be alice not bob"
    for path in ("domain/query", "domain/update"):
        assert await cluster.refused(ALICE, path, {"domain_id": "bob"}) == (11102, other)
    assert (await cluster.ok(ALICE, "domain/query", {"domain_id": ALICE}))["domain_id"] == ALICE
    route = {"source": ALICE, "destination": "bob", "authentication_type": "Token",
             "endpoint": {"host": "h", "ports": [{"port": 1, "protocol": "HTTP"}]}}  # fmt: skip
    code, text = await cluster.refused(ALICE, "route/create", route)
    assert code == 11102
    assert text.endswith("request.Destination must be alice not bob")
    assert await cluster.refused(ALICE, "route/create", {**route, "source": ""}) == (
        11100,
        "source can not be empty",
    )
    own = "kuscia lite api could only operate it's own domaindata, the domainid of request must be alice, not bob"
    assert await cluster.refused(ALICE, "domaindata/create", table(domain_id="bob")) == (11100, own)
    mine = "domain alice can't operate domain bob data source"
    assert await cluster.refused(ALICE, "domaindatasource/list", {"domain_id": "bob"}) == (11808, mine)


async def test_lite_without_master_returns_11103(cluster: Cluster) -> None:
    cluster.internal.down = True
    assert await cluster.refused(ALICE, "domain/query", {"domain_id": ALICE}) == (11103, "connection refused")


async def test_lite_cannot_parse_framework_errors_of_master(cluster: Cluster) -> None:
    bad = {"source": "bob", "destination": ALICE, "authentication_type": "MTLS",
           "endpoint": {"host": "h", "ports": [{"name": "http", "port": 1, "protocol": "GRPCS"}]}}  # fmt: skip
    await cluster.ok("master", "route/create", bad)
    key = {"source": "bob", "destination": ALICE}
    assert await cluster.ask("master", "route/query", key) == {"status": {"code": 11101, "message": NIL}}
    text = "proto: cannot parse invalid wire-format data"
    assert await cluster.ask(ALICE, "route/query", key) == {
        "status": {"code": 11103, "message": text, "details": []},
        "data": None,
    }


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"endpoint": {"host": "http://h", "ports": [{"port": 1, "protocol": "HTTP"}]}}, 11400, "spec.endpoint.host"),
        ({"endpoint": {"host": "h_h", "ports": [{"port": 1, "protocol": "HTTP"}]}}, 11400, "should match"),
        ({"token_config": {}}, 11400, 'Unsupported value: "": supported values: "RSA-GEN", "UID-RSA-GEN"'),
        (
            {"token_config": {"token_gen_method": "RSA-GEN", "rolling_update_period": -1}},
            11400,
            "spec.tokenConfig.rollingUpdatePeriod in body should be greater than or equal to 0",
        ),
        ({"body_encryption": {"algorithm": "DES"}}, 11400, 'supported values: "AES", "SM4"'),
        ({"transit": {"transit_method": "X"}}, 11400, 'supported values: "THIRD-DOMAIN", "REVERSE-TUNNEL"'),
        ({"transit": {}}, 11100, "tranist method is required when transit is not empty"),
        (
            {"transit": {"transit_method": "THIRD-DOMAIN"}},
            11100,
            "domain is required when transit method is third domain",
        ),
        ({"endpoint": {"ports": [{"port": 65536}]}}, 11100, "endpoint port should be positive"),
        (
            {
                "endpoint": {"ports": [{"port": 65536, "protocol": "HTTP"}]},
                "transit": {"transit_method": "REVERSE-TUNNEL"},
            },
            11400,
            "spec.endpoint.ports[0].port: Invalid value: 65536: spec.endpoint.ports[0].port in body should be less",
        ),
    ],
)  # fmt: skip
async def test_rejects_invalid_routes(cluster: Cluster, change: Any, code: int, text: str) -> None:
    route = {"source": ALICE, "destination": "bob", "authentication_type": "Token",
             "endpoint": {"host": "h", "ports": [{"port": 1, "protocol": "grpcs"}]}}  # fmt: skip
    got = await cluster.refused("master", "route/create", {**route, **change})
    assert got[0] == code
    assert text in got[1]


async def test_query_returns_route_options(cluster: Cluster) -> None:
    route = {
        "source": ALICE,
        "destination": "bob",
        "authentication_type": "MTLS",
        "endpoint": {"host": "1.2.3.4", "ports": [{"name": "p", "port": 443, "protocol": "grpcs"}]},
        "mtls_config": {"tls_ca": "a", "source_client_cert": "b", "source_client_private_key": "c"},
        "transit": {"transit_method": "THIRD-DOMAIN", "domain": {"domain_id": "carol"}},
        "body_encryption": {"algorithm": "SM4"},
    }  # fmt: skip
    await cluster.ok("master", "route/create", route)
    found = await cluster.ok("master", "route/query", {"source": ALICE, "destination": "bob"})
    port = {"name": "p", "port": 443, "protocol": "GRPC", "isTLS": True, "path_prefix": ""}
    assert found["endpoint"] == {"host": "1.2.3.4", "ports": [port]}
    assert found["token_config"] is None
    for field in ("mtls_config", "transit", "body_encryption"):
        assert found[field] == route[field]


async def test_accepts_all_certificate_forms(cluster: Cluster) -> None:
    pem = credentials.cert_pem(credentials.ca_certificate(credentials.new_key(), "x"))
    frame = re.sub(r"-----[A-Z ]+-----\n", "", pem).strip()
    forms = [credentials.b64(pem), pem, frame, frame.replace("\n", ""), pem.replace("\n", "\r\n"),
             credentials.b64(credentials.b64(pem))]  # fmt: skip
    for number, form in enumerate(forms):
        await cluster.ok("master", "domain/create", {"domain_id": f"c{number}", "cert": form})
        kept = (await cluster.ok("master", "domain/query", {"domain_id": f"c{number}"}))["cert"]
        assert x509.load_pem_x509_certificate(base64.b64decode(kept)).subject.rfc4514_string() == "CN=x"


@pytest.mark.parametrize(
    ("cert", "text"),
    [("%", "cert must be encoded with base64"), ("YQ==", "cert format is invalid, must be an x509 certificate")],
)
async def test_rejects_invalid_certificates(cluster: Cluster, cert: str, text: str) -> None:
    assert await cluster.refused("master", "domain/create", {"domain_id": "c", "cert": cert}) == (11100, text)


async def test_first_pem_block_must_be_certificate(cluster: Cluster) -> None:
    key = credentials.new_key()
    pem = credentials.cert_pem(credentials.ca_certificate(key, "x"))
    bundle = pem + "-----BEGIN X-----\nYQ==\n-----END X-----\n"
    await cluster.ok("master", "domain/create", {"domain_id": "c", "cert": credentials.b64(bundle)})
    code, _ = await cluster.refused(
        "master",
        "domain/create",
        {"domain_id": "d", "cert": credentials.b64("-----BEGIN X-----\nYQ==\n-----END X-----\n" + pem)},
    )
    assert code == 11100


async def test_domain_that_becomes_partner_gets_protocol(cluster: Cluster) -> None:
    await cluster.ok("master", "domain/create", {"domain_id": "c"})
    await cluster.ok("master", "domain/update", {"domain_id": "c", "role": "partner"})
    assert (await cluster.store.get("domains", "", "c"))["spec"]["interConnProtocols"] == ["kuscia"]


async def test_api_server_rejects_names_that_match_regex(cluster: Cluster) -> None:
    code, text = await cluster.refused("master", "domain/create", {"domain_id": "a..b"})
    assert code == 11300
    assert text.startswith('Domain.kuscia.secretflow "a..b" is invalid: metadata.name: Invalid value: "a..b": ')
    code, text = await cluster.refused("master", "domain/query", {"domain_id": "a/b"})
    assert (code, text) == (11301, """invalid resource name "a/b": [may not contain '/']""")


DECRYPTION = "crypto/rsa: decryption error"
NO_NAMESPACE = """invalid namespace "a/b": [may not contain '/']"""
NO_NAME = """invalid resource name "a/b": [may not contain '/']"""


@pytest.mark.parametrize(
    ("node", "path", "body", "code", "text"),
    [
        ("master", "log/node/query", {}, 13201, "resource name may not be empty"),
        (ALICE, "log/node/query", {"task_id": "a/b"}, 13201, NO_NAME),
        (ALICE, "log/task/query", {}, 13200,
         "failed to get pod node from master, err: resource name may not be empty"),
        ("master", "job/query", {"job_id": "a/b"}, 11202, NO_NAME),
        ("master", "job/status/batchQuery", {"job_ids": ["a/b"]}, 11203, NO_NAME),
        ("master", "job/delete", {"job_id": "a/b%"}, 11204,
         """invalid resource name "a/b%": [may not contain '/' may not contain '%']"""),
        ("master", "job/stop", {"job_id": ".."}, 11205, """invalid resource name "..": [may not be '..']"""),
        ("master", "domain/create", {"domain_id": "x", "master_domain_id": "a/b"}, 11100,
         f"check master domain id failed with err {NO_NAME}"),
        ("master", "domain/update", {"domain_id": "bob", "master_domain_id": "a/b"}, 11100,
         f"check master domain id failed with err {NO_NAME}"),
        (ALICE, "domaindata/create", table(datasource_id="a/b"), 11802, NO_NAME),
        ("master", "domaindata/list", {"data": {"domain_id": "a/b"}}, 11503, NO_NAMESPACE),
        ("master", "domaindatagrant/list", {"data": {"domain_id": "a/b"}}, 11503, NO_NAMESPACE),
        ("master", "domaindatasource/list", {"domain_id": "a/b"}, 11808, NO_NAMESPACE),
    ],
)  # fmt: skip
async def test_client_rejects_names(cluster: Cluster, node: str, path: str, body: Any, code: int, text: str) -> None:
    assert await cluster.refused(node, path, body) == (code, text)


@pytest.mark.parametrize(
    ("path", "body", "code", "text"),
    [
        ("domaindatasource/query", {"datasource_id": "a/b"}, 12302, NO_NAME),
        ("domaindata/query", {"domaindata_id": "a/b"}, 12201, NO_NAME),
        ("domaindata/update", {"domaindata_id": "a/b"}, 12202, NO_NAME),
        ("domaindata/delete", {"domaindata_id": "a/b"}, 12205, NO_NAME),
        ("domaindata/create", {"datasource_id": "a/b", "type": "t", "relative_uri": "u"}, 12306,
         f"query DataSource a/b of DomainData fail: {NO_NAME}"),
        ("domaindatagrant/query", {"domaindatagrant_id": "a/b"}, 12402, NO_NAME),
        ("domaindatagrant/delete", {"domaindatagrant_id": "a/b"}, 12403,
         f"Delete domainDataGrantId:a/b failed, detail:{NO_NAME}"),
    ],
)  # fmt: skip
async def test_datamesh_client_rejects_names(cluster: Cluster, path: str, body: Any, code: int, text: str) -> None:
    assert await cluster.refused("mesh", f"datamesh/{path}", body) == (code, text)


async def test_partner_is_its_own_master(cluster: Cluster) -> None:
    await cluster.ok("master", "domain/create", {"domain_id": "p", "role": "partner"})
    found = await cluster.ok("master", "domain/query", {"domain_id": "p"})
    assert found["master_domain_id"] == "p"
    wrong = {"domain_id": "q", "role": "", "master_domain_id": "p"}
    text = "master domain role is partner, but current role is "
    assert await cluster.refused("master", "domain/create", wrong) == (11100, text)


@pytest.mark.parametrize(
    ("role", "cert", "method"),
    [("", False, "RSA-GEN"), ("", True, "RSA-GEN"), ("partner", False, "RSA-GEN"), ("partner", True, "UID-RSA-GEN")],
)
async def test_token_method_of_a_new_domain(cluster: Cluster, role: str, cert: bool, method: str) -> None:
    """As recorded, and for a partner without a certificate by Kuscia facts 16.6."""
    text = credentials.cert_pem(credentials.ca_certificate(credentials.new_key(), "p")) if cert else ""
    await cluster.ok("master", "domain/create", {"domain_id": "p", "role": role, "cert": text})
    found = await cluster.ok("master", "domain/query", {"domain_id": "p"})
    assert found["auth_center"] == {"authentication_type": "Token", "token_gen_method": method}


async def test_routes_with_the_same_name_are_one_object(cluster: Cluster) -> None:
    """A ClusterDomainRoute is named <source>-<destination> (Kuscia facts 6.2)."""
    for domain_id in ("a", "a-b", "c", "b-c"):
        await cluster.ok("master", "domain/create", {"domain_id": domain_id})
    first, second = {"source": "a", "destination": "b-c"}, {"source": "a-b", "destination": "c"}
    endpoint = {"host": "first.example.com", "ports": [{"port": 1080, "protocol": "HTTP", "name": "http"}]}
    rest = {"authentication_type": "Token", "endpoint": endpoint}
    await cluster.ok("master", "route/create", {**first, **rest})
    code, _ = await cluster.refused("master", "route/create", {**second, **rest})
    assert code == 11405
    found = await cluster.ok("master", "route/query", second)
    assert (found["name"], found["endpoint"]["host"]) == ("a-b-c", "first.example.com")
    await cluster.ok("master", "route/delete", second)
    assert (await cluster.refused("master", "route/query", first))[0] == 11404


NO_URL = "odps 'endpoint' is invalid, should contain the prefix: http or https"
ODPS = {"endpoint": "https://o", "project": "p", "access_key_id": "i", "access_key_secret": "s"}


@pytest.mark.parametrize(
    ("type_", "info", "code", "text"),
    [
        ("odps", {"localfs": {"path": "/x"}}, 11100, "odps info is nil"),
        ("odps", {"odps": {**ODPS, "endpoint": "o"}}, 11100, NO_URL),
        ("odps", {"odps": {**ODPS, "endpoint": "http://["}}, 11100, NO_URL),
        ("odps", {"odps": {**ODPS, "endpoint": " http://o"}}, 11100, NO_URL),
        ("odps", {"odps": {**ODPS, "endpoint": "http://o:port/"}}, 11100, NO_URL),
        ("odps", {"odps": {**ODPS, "endpoint": "http://u@/x"}}, 11100, NO_URL),
        ("odps", {"odps": {**ODPS, "endpoint": "HTTP://u:p@[::1]:80/a b?c", "project": ""}}, 11100,
         "odps 'project' is empty"),
        ("odps", {"odps": {**ODPS, "access_key_secret": ""}}, 11100, "odps 'access_key_secret' is empty"),
        ("dameng", {"localfs": {"path": "/x"}}, 11100, "dameng info is nil"),
        ("dameng", {"database": {}}, 11100, "dameng 'endpoint' is empty"),
        ("dameng", {"database": {"endpoint": "e"}}, 11100, "dameng 'database' is empty"),
        ("hive", {"localfs": {"path": "/x"}}, 11800, "parse data source failed, invalid datasource info"),
    ],
)  # fmt: skip
async def test_checks_data_source_info(cluster: Cluster, type_: str, info: Any, code: int, text: str) -> None:
    source = {"domain_id": ALICE, "datasource_id": "o", "type": type_, "info": info}
    assert await cluster.refused(ALICE, "domaindatasource/create", source) == (code, text)


async def test_new_info_requires_type_and_keeps_key(cluster: Cluster) -> None:
    key = {"domain_id": ALICE, "datasource_id": "f"}
    source = {**key, "type": "localfs", "info": {"localfs": {"path": "/"}}}
    await cluster.ok(ALICE, "domaindatasource/create", source)
    assert (await cluster.ok(ALICE, "domaindatasource/query", key))["info"]["localfs"] == {"path": ""}
    nameless = {**key, "info": {"localfs": {"path": "/p"}}}
    told = (11801, "invalid datasource type:")
    assert await cluster.refused(ALICE, "domaindatasource/update", nameless) == told
    await cluster.ok(ALICE, "domaindatasource/update", {**key, "info_key": "k"})
    await cluster.ok(ALICE, "domaindatasource/update", {**nameless, "type": "localfs"})
    assert (await cluster.ok("master", "domaindatasource/query", key))["info_key"] == "k"
    await cluster.ok(ALICE, "domaindatasource/update", {**key, "info_key": ""})
    assert (await cluster.ok(ALICE, "domaindatasource/query", key))["info"]["localfs"] == {"path": "/p"}


async def test_only_owner_reads_data_source(cluster: Cluster) -> None:
    source = {"domain_id": ALICE, "datasource_id": "o", "type": "odps", "info": {"odps": ODPS}}
    await cluster.ok(ALICE, "domaindatasource/create", source)
    key = {"domain_id": ALICE, "datasource_id": "o"}
    assert (await cluster.ok(ALICE, "domaindatasource/query", key))["info"]["odps"] == ODPS
    assert (await cluster.ok("master", "domaindatasource/query", key))["info"] is None
    stored = await cluster.store.get("domaindatasources", ALICE, "o")
    assert "access" not in json.dumps(stored["spec"]["data"])
    await cluster.ok(ALICE, "domaindatasource/update", {**key, "name": "new"})
    found = await cluster.ok(ALICE, "domaindatasource/query", key)
    assert (found["name"], found["type"], found["info"]["odps"]) == ("new", "odps", ODPS)


async def test_reads_info_keys_from_node_configuration(cluster: Cluster) -> None:
    info = json.dumps({"endpoint": "http://s3", "bucket": "b", "access_key_id": "i", "access_key_secret": "s"})
    await cluster.ok(ALICE, "config/create", {"data": [{"key": "k", "value": info}]})
    await eventually(cluster, ALICE, "config/query", {"key": "k"}, lambda a: a["value"] == info)
    source = {"domain_id": ALICE, "datasource_id": "o", "type": "oss", "info_key": "k"}
    await cluster.ok(ALICE, "domaindatasource/create", source)
    found = await cluster.ok(ALICE, "domaindatasource/query", {"domain_id": ALICE, "datasource_id": "o"})
    assert found["info"]["oss"]["bucket"] == "b"
    assert found["info_key"] == "k"


async def test_stores_configuration_values(cluster: Cluster) -> None:
    await cluster.ok("master", "config/create", {"data": [{"key": "a", "value": "1"}, {"key": "b"}]})
    await eventually(cluster, "master", "config/query", {"key": "a"}, lambda a: a["value"] == "1")
    again = {"data": [{"key": "a", "value": "2"}]}
    text = "request key[a] already exist, duplicate creation is not allowed"
    assert await cluster.refused("master", "config/create", again) == (11900, text)
    await cluster.ok("master", "config/update", again)
    await eventually(cluster, "master", "config/query", {"key": "a"}, lambda a: a["value"] == "2")
    found = await cluster.ok("master", "config/batchQuery", {"keys": ["a", "none"]})
    assert found == [{"key": "a", "value": "2"}, {"key": "none", "value": ""}]
    await cluster.ok("master", "config/delete", {"keys": ["a"]})
    await eventually(cluster, "master", "config/query", {"key": "a"}, lambda a: a["value"] == "")
    assert await cluster.refused("master", "config/query", {}) == (11100, "request key can't be empty")
    empty = {"data": [{"key": "x"}, {"value": "y"}]}
    text = "request data[1].key can't be empty"
    assert await cluster.refused("master", "config/create", empty) == (11100, text)


async def test_deletes_only_visible_configuration(cluster: Cluster) -> None:
    """Only what the cache shows, and keys of any length (Kuscia's pkg/confmanager/driver/crd.go)."""
    await cluster.ok(ALICE, "config/create", {"data": [{"key": "a", "value": "1"}]})
    await cluster.ok(ALICE, "config/delete", {"keys": ["a", "k" * 300]})
    await eventually(cluster, ALICE, "config/query", {"key": "a"}, lambda answer: answer["value"] == "1")
    await cluster.ok(ALICE, "config/delete", {"keys": ["a"]})
    await eventually(cluster, ALICE, "config/query", {"key": "a"}, lambda answer: answer["value"] == "")


@pytest.mark.parametrize(
    ("path", "body", "code", "text"),
    [
        ("query", {"key": "old"}, 11901, DECRYPTION),
        ("batchQuery", {"keys": ["none", "old"]}, 11904, DECRYPTION),
        ("create", {"data": [{"key": "old", "value": "v"}]}, 11900, f"get key[old] value failed, {DECRYPTION}"),
    ],
)
async def test_reports_configuration_of_another_key(
    cluster: Cluster, path: str, body: Any, code: int, text: str
) -> None:
    """Of a node that returned with a new key (Kuscia's pkg/confmanager/service/config.go)."""
    encrypted = credentials.encrypt(credentials.new_key().public_key(), b"v")
    await cluster.store.create("configmaps", ALICE, "domain-config", {"data": {"old": encrypted}})
    assert await cluster.refused(ALICE, f"config/{path}", body) == (code, text)
    await cluster.ok(ALICE, "config/update", {"data": [{"key": "old", "value": "new"}]})
    await eventually(cluster, ALICE, "config/query", {"key": "old"}, lambda answer: answer.get("value") == "new")


CONFIG_KEY = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
    "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("bad key!", CONFIG_KEY),
        ("k" * 254, "must be no more than 253 characters"),
        ("..", "must not be '..'"),
        ("..a", "must not start with '..'"),
    ],
)
async def test_configuration_key_must_be_valid_in_config_map(cluster: Cluster, key: str, text: str) -> None:
    told = f'ConfigMap "domain-config" is invalid: data[{key}]: Invalid value: "{key}": {text}'
    wanted = {"data": [{"key": key, "value": "v"}]}
    assert await cluster.refused(ALICE, "config/create", wanted) == (11900, told)
    assert await cluster.refused(ALICE, "config/update", wanted) == (11902, told)
    await cluster.ok(ALICE, "config/create", {"data": [{"key": "Good-key_1.x", "value": "v"}]})


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


async def test_filters_lists(cluster: Cluster) -> None:
    for number, kind in enumerate(("table", "model", "table")):
        await cluster.ok(ALICE, "domaindata/create", table(domaindata_id=f"t{number}", type=kind, vendor=f"v{number}"))
    for wanted, names in (({"domaindata_type": "table"}, ["t0", "t2"]), ({"domaindata_vendor": "v1"}, ["t1"])):
        found = await cluster.ok(ALICE, "domaindata/list", {"data": {"domain_id": ALICE, **wanted}})
        assert [item["domaindata_id"] for item in found["domaindata_list"]] == names


LABEL = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
    "for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("bad vendor!", "found 'vendor', expected: ',' or 'end of string'"),
        ("a!=b", "found '!', expected: ',' or 'end of string'"),
        ("a>b", "found '>', expected: ',' or 'end of string'"),
        ("(a)", "unable to parse requirement: found '(', expected: identifier"),
        ("!", "unable to parse requirement: found '!', expected: identifier"),
        ("a,b", f'unable to parse requirement: values[0][{{}}]: Invalid value: "a\\\\": {LABEL}'),
        ("a\\b", f'unable to parse requirement: values[0][{{}}]: Invalid value: "a\\\\\\\\b": {LABEL}'),
        ("-a b", f'unable to parse requirement: values[0][{{}}]: Invalid value: "-a": {LABEL}'),
        ("中文", f'unable to parse requirement: values[0][{{}}]: Invalid value: "中文": {LABEL}'),
        ("x" * 64, f'unable to parse requirement: values[0][{{}}]: Invalid value: "{"x" * 64}": '
                   "must be no more than 63 characters"),
    ],
)  # fmt: skip
async def test_rejects_filters_that_are_not_label_values(cluster: Cluster, value: str, text: str) -> None:
    """Texts of apimachinery's parser."""
    for path, field, label in (
        ("domaindata/list", "domaindata_type", "domaindata-type"),
        ("domaindata/list", "domaindata_vendor", "domaindata-vendor"),
        ("domaindatagrant/list", "grant_domain", "domaindatagrant-domain"),
    ):
        told = (11503, text.format(f"kuscia.secretflow/{label}"))
        assert await cluster.refused(ALICE, path, {"data": {"domain_id": ALICE, field: value}}) == told


async def test_trims_filters(cluster: Cluster) -> None:
    await cluster.ok(ALICE, "domaindata/create", table(vendor="in"))
    found = await cluster.ok(ALICE, "domaindata/list", {"data": {"domain_id": ALICE, "domaindata_vendor": " in "}})
    assert [item["domaindata_id"] for item in found["domaindata_list"]] == ["t"]


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


async def test_datamesh_errors_have_no_envelope(cluster: Cluster) -> None:
    answer = await cluster.ask("mesh", "datamesh/domaindata/query", {})
    assert answer == {"code": 12100, "message": "domaindata id should not be empty"}
    answer = await cluster.ask("mesh", "datamesh/domaindata/query", {"domaindata_id": 5})
    text = "json: cannot unmarshal number into Go struct field QueryDomainDataRequest.domaindata_id of type string"
    assert answer == {"code": 12101, "message": text}
    assert await cluster.refused("mesh", "datamesh/domaindata/query", {"domaindata_id": "t"}) == (12201, NOT_FOUND)


def _image(**resources: Any) -> dict[str, Any]:
    container = {"name": "c", "resources": resources, "ports": [{"name": "p"}], "env": [{"name": "A", "value": "1"}]}
    templates = [{"name": "t", "replicas": 1, "containers": [container]}]
    return {"name": "i", "image": {"name": "n", "tag": "1"}, "deploy_templates": templates}


async def test_app_images_get_defaults_and_canonical_quantities(cluster: Cluster) -> None:
    limits = {"cpu": "1500m", "memory": "1024Mi"}
    await cluster.ok("master", "appimage/create", _image(limits=limits, requests={"cpu": "0.5", "memory": "1e9"}))
    found = (await cluster.ok("master", "appimage/query", {"name": "i"}))["deploy_templates"][0]["containers"][0]
    assert found["ports"] == [{"name": "p", "protocol": "HTTP", "scope": "Local"}]
    assert found["resources"] == {
        "limits": {"cpu": "1500m", "memory": "1Gi"},
        "requests": {"cpu": "500m", "memory": "1e9"},
    }
    code, text = await cluster.refused("master", "appimage/create", {**_image(limits={"cpu": "x"}), "name": "j"})
    assert code == 13100
    assert text.startswith("can't parse limit cpu x to resource quantity, quantities must match")
    _, text = await cluster.refused("master", "appimage/create", {**_image(limits={"memory": "1ki"}), "name": "j"})
    assert text == "can't parse limit memory  to resource quantity, unable to parse quantity's suffix"


async def test_keeps_empty_probe(cluster: Cluster) -> None:
    """k8sProbe and apiProbe in Kuscia's pkg/kusciaapi/service/appimage_service.go distinguish it from a missing one."""
    image = _image()
    image["deploy_templates"][0]["containers"][0]["liveness_probe"] = {}
    await cluster.ok("master", "appimage/create", image)
    found = (await cluster.ok("master", "appimage/query", {"name": "i"}))["deploy_templates"][0]["containers"][0]
    assert found["readiness_probe"] is None
    assert found["liveness_probe"]["http_get"] is None
    assert found["liveness_probe"]["period_seconds"] == 0


async def test_invalid_request_without_limits_panics(cluster: Cluster) -> None:
    answer = await cluster.ask("master", "appimage/create", _image(requests={"cpu": "x"}))
    text = "doBizProcess panic, err: runtime error: invalid memory address or nil pointer dereference"
    assert answer == {"status": {"code": 11101, "message": text}}


async def test_lists_app_images_in_pages(cluster: Cluster) -> None:
    for name in ("a", "b", "c"):
        await cluster.ok("master", "appimage/create", {**_image(), "name": name})
    page = await cluster.ok("master", "appimage/list", {"page_size": 2})
    assert [image["name"] for image in page["appimage_list"]] == ["a", "b"]
    rest = await cluster.ok("master", "appimage/list", {"page_token": page["next_page_token"]})
    assert [image["name"] for image in rest["appimage_list"]] == ["c"]
    assert rest["next_page_token"] == ""


@pytest.mark.parametrize(
    ("token", "text"),
    [
        ("bogus", "illegal base64 data at input byte 4"),
        ("!!!", "illegal base64 data at input byte 0"),
        ("abc=", "illegal base64 data at input byte 3"),
        ("YQ", "invalid character 'a' looking for beginning of value"),
        ("MTI", "json: cannot unmarshal number into Go value of type storage.continueToken"),
        ("eyJ2IjoxfQ", "json: cannot unmarshal number into Go struct field continueToken.v of type string"),
        ("e30", "server does not recognize this encoded version "),
        ('{"v":"x"}', "server does not recognize this encoded version x"),
        ('{"v":"meta.k8s.io/v1"}', "incorrect encoded start resourceVersion (version meta.k8s.io/v1)"),
        ('{"v":"meta.k8s.io/v1","rv":5}', "encoded start key empty (version meta.k8s.io/v1)"),
        ('{"v":"meta.k8s.io/v1","rv":5,"start":"/a/../b"}', "/a/../b"),
    ],
)
async def test_rejects_invalid_page_tokens(cluster: Cluster, token: str, text: str) -> None:
    """Texts of Go's encoding/base64 and encoding/json."""
    if token.startswith("{"):
        token = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    told = (13107, f"invalid continue token: continue key is not valid: {text}")
    assert await cluster.refused("master", "appimage/list", {"page_token": token}) == told


async def test_log_query_asks_master_for_node(cluster: Cluster) -> None:
    """The master names the instance that ran the engine; without `local` no file is read before that."""
    for task_id, phase, text in (
        ("nosuch", "", 'kusciatasks.kuscia.secretflow "nosuch" not found'),
        ("early", "Pending", "task early status pending, please try later"),
        ("bobs", "Running", "task bobs hasn't created pod alice/bobs-0 yet, please try later"),
    ):
        if phase:
            await cluster.store.create("kusciatasks", "cross-domain", task_id, {"status": {"phase": phase}})
        told = (13200, f"failed to get pod node from master, err: {text}")
        assert await cluster.refused(ALICE, "log/task/query", {"task_id": task_id}) == told
    code, _ = await cluster.refused("master", "log/task/query", {"task_id": "bobs"})
    assert code == 11105
    pods = {f"{ALICE}/away-0": {"podPhase": "Running", "nodeName": "gone"}}
    status = {"phase": "Running", "podStatuses": pods}
    await cluster.store.create("kusciatasks", "cross-domain", "away", {"status": status})
    text = 'failed to get node ip for node gone, err: failed to get k8s node, nodes "gone" not found'
    told = (13200, f"failed to get pod node from master, err: {text}")
    assert await cluster.refused(ALICE, "log/task/query", {"task_id": "away"}) == told


async def test_issues_certificates_for_requested_duration(cluster: Cluster) -> None:
    answer = await cluster.ask(ALICE, "certificate/generate", {"common_name": "x", "duration_sec": 60, "country": "CN"})
    leaf, root = (x509.load_pem_x509_certificate(base64.b64decode(c)) for c in answer["cert_chain"])
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == datetime.timedelta(seconds=60)
    leaf.verify_directly_issued_by(root)
    code, text = await cluster.refused(ALICE, "certificate/generate", {"key_type": "x"})
    assert (code, text) == (2000, "common name must not be empty;key tye must be [PKCS#1, PKCS#8]")
    code, text = await cluster.refused(ALICE, "certificate/generate", {"common_name": 5})
    assert text.endswith("Go struct field GenerateKeyCertsRequest.common_name of type string")
    pkcs8 = await cluster.ask(ALICE, "certificate/generate", {"common_name": "x", "key_type": "PKCS#8"})
    assert b"BEGIN PRIVATE KEY" in base64.b64decode(pkcs8["key"])


@pytest.mark.parametrize(
    ("given", "canonical"),
    [("1000m", "1"), ("0.5", "500m"), ("1500m", "1500m"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("1000", "1k"),
     ("1e4", "10e3"), ("1e9", "1e9"), ("1e-3", "1e-3"), ("0", "0"), ("100M", "100M"), ("1E", "1E"), ("0.1n", "1n")],
)  # fmt: skip
def test_formats_quantities(given: str, canonical: str) -> None:
    assert canonical_quantity(given) == canonical
