"""A lite's requests for objects of another domain: its store is the master's API server (Kuscia facts 11)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.typedefs import Handler

from kuscia_sim import api
from kuscia_sim.gateway.envoy import INTERNAL_PORT
from kuscia_sim.node.host import Host
from kuscia_sim.state.datastore import datastore_url
from kuscia_sim.state.remote_store import RemoteStore, server_app
from kuscia_sim.state.store import Forbidden, LocalStore
from kuscia_sim_testing.inprocess import ALICE, JSON, make_node

KEY = {"domain_id": "bob", "domaindatagrant_id": "g"}


def refusal(verb: str, resource: str = "domaindatagrants", name: str = "g", namespace: str = "bob") -> str:
    what = f'{resource}.kuscia.secretflow "{name}"' if name else f"{resource}.kuscia.secretflow"
    return (
        f'{what} is forbidden: User "system:serviceaccount:alice:alice" cannot {verb} resource "{resource}" '
        f'in API group "kuscia.secretflow" in the namespace "{namespace}"'
    )


@web.middleware
async def _as_alice(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Convert alice's token as the master's Envoy does."""
    return await handler(request.clone(headers={**request.headers, "Kuscia-Source": ALICE}))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[RemoteStore]:
    """Return alice's connection to a master's state in which bob has a grant, and each has a job and a task."""
    local = await LocalStore.open(datastore_url("", str(tmp_path / "state.db")), "t")
    for name in (ALICE, "bob", "cross-domain"):
        await local.create("namespaces", "", name, {})
    await local.create("domaindatagrants", "bob", "g", {"spec": {}})
    for domain in (ALICE, "bob"):
        parties = [{"domainID": domain}]
        await local.create(
            "kusciajobs", "cross-domain", f"job-of-{domain}", {"spec": {"tasks": [{"parties": parties}]}}
        )
        await local.create("kusciatasks", "cross-domain", f"task-of-{domain}", {"spec": {"parties": parties}})
    app = server_app(local)
    app.middlewares.insert(0, _as_alice)
    async with TestServer(app) as server:
        assert server.port
        remote = RemoteStore(Host(tmp_path, "127.0.0.1", server.port - INTERNAL_PORT, "alice-0", "127.0.0.1", False))
        yield remote
        await remote.close()
    await local.close()


@pytest.mark.parametrize(
    ("path", "body", "code", "text"),
    [
        ("list", {"data": {"domain_id": "bob"}}, 11503, refusal("list", name="")),
        ("query", KEY, 11702, refusal("get")),
        ("query", {**KEY, "domain_id": "nobody"}, 11702, refusal("get", namespace="nobody")),
        ("query", {**KEY, "domain_id": "cross-domain"}, 11702, refusal("get", namespace="cross-domain")),
        ("delete", KEY, 11703, refusal("delete")),
        ("delete", {**KEY, "domaindatagrant_id": "none"}, 11703, refusal("delete", name="none")),
        ("update", {**KEY, "domaindata_id": "t", "grant_domain": ALICE}, 11100, "domaindata can't be found"),
        ("create", {**KEY, "domaindata_id": "t", "grant_domain": ALICE}, 11100, "domaindata [t] not exists"),
    ],
)
async def test_rejects_grants_of_another_domain(
    store: RemoteStore, path: str, body: dict[str, Any], code: int, text: str
) -> None:
    app = api.kusciaapi_app(make_node("lite", ALICE, store))
    async with TestClient(TestServer(app)) as client:
        async with client.post(f"/api/v1/domaindatagrant/{path}", json=body, headers=JSON) as answer:
            status = (await answer.json())["status"]
        assert (status["code"], status["message"]) == (code, text)


async def test_rejects_batch_with_grants_of_another_domain(store: RemoteStore) -> None:
    app = api.kusciaapi_app(make_node("lite", ALICE, store))
    async with TestClient(TestServer(app)) as client:
        async with client.post("/api/v1/domaindatagrant/batchQuery", json={"data": [KEY]}, headers=JSON) as answer:
            status = (await answer.json())["status"]
        assert [(detail["code"], detail["message"]) for detail in status["details"]] == [(11702, refusal("get"))]


async def test_reveals_nothing_of_another_namespace(store: RemoteStore) -> None:
    for name in ("g", "none"):
        with pytest.raises(Forbidden):
            await store.get("domaindatagrants", "bob", name)
        with pytest.raises(Forbidden):
            await store.update("domaindatagrants", "bob", name, {})
        with pytest.raises(Forbidden):
            await store.create("domaindatagrants", "bob", name, {})
        with pytest.raises(Forbidden):
            await store.delete("domaindatagrants", "bob", name)
    assert await store.list("domaindatagrants", ALICE) == []
    assert await store.list("domaindatagrants") == []


async def test_lite_reads_jobs_it_takes_part_in(store: RemoteStore) -> None:
    for kind, name in (("kusciajobs", "job-of"), ("kusciatasks", "task-of")):
        own, others = f"{name}-{ALICE}", f"{name}-bob"
        assert [item["metadata"]["name"] for item in await store.list(kind, "cross-domain")] == [own]
        assert (await store.get(kind, "cross-domain", own))["metadata"]["name"] == own
        with pytest.raises(Forbidden):
            await store.get(kind, "cross-domain", others)
        with pytest.raises(Forbidden):
            await store.create(kind, "cross-domain", "another", {"spec": {}})
        with pytest.raises(Forbidden):
            await store.delete(kind, "cross-domain", own)
