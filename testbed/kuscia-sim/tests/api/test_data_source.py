"""Rules of data sources and configuration values, with values that were not recorded."""

import json
from typing import Any

import pytest

from kuscia_sim import credentials
from kuscia_sim_testing.inprocess import ALICE, Cluster
from kuscia_sim_testing.samples import eventually

DECRYPTION = "crypto/rsa: decryption error"


NO_URL = "odps 'endpoint' is invalid, should contain the prefix: http or https"


ODPS = {"endpoint": "https://o", "project": "p", "access_key_id": "i", "access_key_secret": "s"}


CONFIG_KEY = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
    "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


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
