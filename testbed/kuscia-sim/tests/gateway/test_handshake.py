"""Tokens between two gateways: states, answers and errors (Kuscia facts 6.5, 16.2)."""

import asyncio
import datetime
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from kuscia_sim import credentials
from kuscia_sim.gateway import handshake
from kuscia_sim.state.datastore import datastore_url
from kuscia_sim.state.objects import format_time, mutate
from kuscia_sim.state.store import LocalStore, Object

ALICE, BOB = credentials.new_key(), credentials.new_key()
NAME = "alice-bob"


def route_object(method: str = "RSA-GEN") -> Object:
    keys = {"sourcePublicKey": handshake.public_pem(ALICE), "destinationPublicKey": handshake.public_pem(BOB)}
    spec = {"source": "alice", "destination": "bob", "tokenConfig": {"tokenGenMethod": method, **keys}}
    return {"spec": spec, "status": {}}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    found = await LocalStore.open(datastore_url("", str(tmp_path / "state.db")), "kuscia-system")
    await found.create("namespaces", "", "bob", {})
    await found.create("domainroutes", "bob", NAME, route_object())
    yield found
    await found.close()


@pytest.fixture
def server(store: LocalStore) -> handshake.Server:
    return handshake.Server(store, "bob", BOB, False, {})


async def put_token(store: LocalStore, revision: int, ready: bool) -> None:
    def change(current: Object) -> None:
        handshake.add_token(current, "x", revision, "pod-b", ready)

    await mutate(store, "domainroutes", "bob", NAME, change)


async def test_states_are_those_recorded(store: LocalStore, server: handshake.Server) -> None:
    assert await server.state("", "1") == 1
    assert await server.state("nobody", "") == 5
    assert await server.state("nobody", "1") == 5
    assert await server.state("alice", "") == 2
    assert await server.state("alice", "0") == 4
    await put_token(store, 1, ready=False)
    assert await server.state("alice", "1") == 3
    await put_token(store, 2, ready=True)
    assert await server.state("alice", "2") == 0
    assert await server.state("alice", "x") == 4


def request(**changes: Any) -> Object:
    config = {
        "token": handshake.encrypt_token(BOB.public_key(), b"s" * 16),
        "revision": 0,
        "pubhash": handshake.key_hash(handshake.public_pem(ALICE)),
    }
    return {"domain_id": "alice", "type": "RSA", "token_config": config, "request_time": 1, **changes}


async def let_in(store: LocalStore, instance: str) -> None:
    """Accept every token, as the gateway instance of that name does."""
    while True:

        def change(current: Object) -> None:
            for token in handshake.tokens(current):
                if instance not in token["effectiveInstances"]:
                    token["effectiveInstances"].append(instance)

        await mutate(store, "domainroutes", "bob", NAME, change)
        await asyncio.sleep(0.02)


async def test_both_sides_contribute_to_token(store: LocalStore, server: handshake.Server) -> None:
    gateway = asyncio.create_task(let_in(store, "pod-b"))
    answer = await server._reply(request(), NAME)
    gateway.cancel()
    theirs = handshake.decrypt_token(ALICE, answer["token"]["token"], 16)
    route = await store.get("domainroutes", "bob", NAME)
    kept = handshake.decrypt_token(BOB, handshake.tokens(route)[-1]["token"], 32)
    assert kept == b"s" * 16 + theirs
    assert answer["token"]["revision"] == 1
    assert handshake.tokens(route)[-1]["isReady"]
    assert await server.state("alice", "1") == 0


async def test_keeps_two_newest_tokens(store: LocalStore, server: handshake.Server) -> None:
    gateway = asyncio.create_task(let_in(store, "pod-b"))
    for _ in range(3):
        await server._reply(request(), NAME)
    gateway.cancel()
    route = await store.get("domainroutes", "bob", NAME)
    assert [token["revision"] for token in handshake.tokens(route)] == [2, 3]


@pytest.mark.parametrize(
    ("changes", "name", "text"),
    [
        (
            {"domain_id": "carol"},
            "carol-bob",
            "domainRoute [carol-bob] get error in dest domain [bob]: "
            'domainroute.kuscia.secretflow "carol-bob" not found',
        ),
        ({"type": "UID"}, NAME, "handshake type [UID] mismatch in domainroute [RSA-GEN]"),
        (
            {"token_config": {"token": "", "pubhash": "x"}},
            NAME,
            "source domain [alice] publickey hash mismatch in domainroute [alice-bob]",
        ),
        (
            {"token_config": {**request()["token_config"], "token": credentials.b64("x" * 256)}},
            NAME,
            "dest domain [bob] publickey in source domain [alice] may be not correct",
        ),
    ],
)
async def test_rejects_invalid_handshakes(server: handshake.Server, changes: Object, name: str, text: str) -> None:
    with pytest.raises(handshake.HandshakeFailed) as failed:
        await server._reply(request(**changes), name)
    assert str(failed.value) == text


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"", 400, "EOF"),
        (b"nope", 400, "invalid character 'o' in literal null (expecting 'u')"),
        (b"[]", 400, "json: cannot unmarshal array into Go value of type handshake.HandShakeRequest"),
        (
            b'{"token_config": {"token": 1}}',
            400,
            "json: cannot unmarshal number into Go struct field TokenConfig.token_config.token of type string",
        ),
        (b'{"domain_id": "carol"} trailing', 200, "carol-bob"),
        (b"null", 200, "domainRoute [-bob] get error"),
    ],
)
async def test_reads_bodies_as_go(server: handshake.Server, body: bytes, status: int, text: str) -> None:
    async with TestClient(TestServer(server.app())) as client:
        answer = await client.post("/handshake", data=body)
        said = await answer.text()
    assert (answer.status, text in said) == (status, True), said
    if status == 200:
        assert json.loads(said)["status"]["code"] == 500


async def test_successful_handshake_has_empty_status(store: LocalStore, server: handshake.Server) -> None:
    gateway = asyncio.create_task(let_in(store, "pod-b"))
    async with TestClient(TestServer(server.app())) as client:
        said = await (await client.post("/handshake", json=request())).text()
    gateway.cancel()
    assert said.startswith('{"status":{},"token":{"token":"')


async def test_rsa_without_token_ends_connection(server: handshake.Server) -> None:
    async with TestClient(TestServer(server.app())) as client:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await client.post("/handshake", json={"domain_id": "alice", "type": "RSA"})
        assert (await client.get("/handshake")).status == 200


async def test_route_without_token_config_ends_connection(store: LocalStore, server: handshake.Server) -> None:
    """DestReplyHandshake in Kuscia's pkg/gateway/controller/handshake.go reads the method of a nil TokenConfig."""
    await mutate(store, "domainroutes", "bob", NAME, lambda route: route["spec"].pop("tokenConfig"))
    async with TestClient(TestServer(server.app())) as client:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await client.post("/handshake", json={"domain_id": "alice", "type": "RSA"})


async def test_dead_gateway_delays_handshake_while_it_counts(
    store: LocalStore, server: handshake.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "TOKEN_WAIT", 0.5)
    gateway = asyncio.create_task(let_in(store, "pod-new"))
    await beat(store, "pod-new", 0)
    await beat(store, "pod-old", handshake.GATEWAY_LIVE - 10)
    with pytest.raises(handshake.HandshakeFailed, match="token ready failed at max retry times"):
        await server._reply(request(), NAME)
    await beat(store, "pod-old", handshake.GATEWAY_LIVE + 1)
    await server._reply(request(), NAME)
    gateway.cancel()


async def beat(store: LocalStore, name: str, seconds_ago: float) -> None:
    moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds_ago)
    gateway = {"spec": {}, "status": {"heartbeatTime": format_time(moment)}}
    try:
        await store.create("gateways", "bob", name, gateway)
    except Exception:
        await store.update("gateways", "bob", name, gateway)


async def test_records_heartbeats(store: LocalStore) -> None:
    heard: dict[str, float] = {}
    server = handshake.Server(store, "bob", BOB, False, heard)
    await put_token(store, 1, ready=True)
    await server.state("alice", "1")
    assert time.monotonic() - heard[NAME] < 5


def test_rejects_token_for_another_key() -> None:
    encrypted = handshake.encrypt_token(ALICE.public_key(), b"t" * 32)
    assert handshake.decrypt_token(ALICE, encrypted, 32) == b"t" * 32
    with pytest.raises(ValueError, match="another key"):
        handshake.decrypt_token(BOB, encrypted, 32)
    with pytest.raises(ValueError, match="another key"):
        handshake.decrypt_token(ALICE, encrypted, 16)
