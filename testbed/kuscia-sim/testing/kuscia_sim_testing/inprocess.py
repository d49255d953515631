"""A master and the lite alice on one store, with their applications in this process."""

import asyncio
import contextlib
import datetime
import functools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from kuscia_sim import api, credentials
from kuscia_sim.api import data_source
from kuscia_sim.controllers.grant import run_grant_controller
from kuscia_sim.node.config import Config
from kuscia_sim.node.node import MasterUnreachable, Node
from kuscia_sim.state.datastore import datastore_url
from kuscia_sim.state.store import LocalStore, Store
from kuscia_sim.transport.endpoints import Context

Client = TestClient[web.Request, web.Application]
MASTER, ALICE = "kuscia-system", "alice"
JSON = {"Content-Type": "application/json"}


class Internal:
    """The connection of alice to the master's internal API."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.down = False

    async def post(self, path: str, body: bytes) -> bytes:
        if self.down:
            raise MasterUnreachable("connection refused")
        response = await self._client.post(path, data=body, headers={**JSON, "Kuscia-Source": ALICE})
        return await response.read()


class Cluster:
    """A master and the lite alice on one store."""

    def __init__(self, clients: dict[str, Client], internal: Internal, store: LocalStore) -> None:
        self.clients = clients
        self.internal = internal
        self.store = store

    async def ask(self, node: str, path: str, body: Any) -> dict[str, Any]:
        text = body if isinstance(body, str) else json.dumps(body)
        response = await self.clients[node].post(f"/api/v1/{path}", data=text, headers=JSON)
        assert response.status == 200
        answer: dict[str, Any] = await response.json()
        return answer

    async def ok(self, node: str, path: str, body: Any) -> Any:
        answer = await self.ask(node, path, body)
        assert answer["status"]["code"] == 0, answer
        return answer.get("data")

    async def refused(self, node: str, path: str, body: Any) -> tuple[int, str]:
        status = (await self.ask(node, path, body))["status"]
        return status["code"], status["message"]


@functools.cache
def _domain_key(domain_id: str) -> RSAPrivateKey:
    """Return the domain's key; a new one for each test would take most of its time."""
    return credentials.new_key()


def make_node(mode: str, domain_id: str, store: Store, protocol: str = "NOTLS") -> Node:
    return Node(
        config=Config(mode=mode, domain_id=domain_id, protocol=protocol),
        mode=mode,
        domain_id=domain_id,
        master_id=MASTER,
        hostname=f"kuscia-{domain_id}",
        version="v1",
        store=store,
        key=_domain_key(domain_id),
        started=datetime.datetime.now(datetime.UTC),
        master_reachable=lambda: True,
    )


async def serve(directory: Path) -> AsyncIterator[Cluster]:
    """Yield the cluster, with its state below `directory`, for a fixture."""
    store = await LocalStore.open(datastore_url("", str(directory / "state.db")), MASTER)
    master, lite = make_node("master", MASTER, store), make_node("lite", ALICE, store)
    for node in (master, lite):
        cert = credentials.b64(credentials.cert_pem(credentials.ca_certificate(node.key, node.domain_id)))
        await store.create("domains", "", node.domain_id, {"spec": {"cert": cert, "role": ""}})
    for namespace in (MASTER, ALICE, "bob", "cross-domain"):
        await store.create("namespaces", "", namespace, {})
    await store.create("domains", "", "bob", {"spec": {"role": "", "cert": ""}})
    apps = {
        "master": api.kusciaapi_app(master),
        "alice": api.kusciaapi_app(lite),
        "mesh": api.datamesh_app(lite),
        "internal": api.internal_app(master),
    }
    clients = {name: TestClient(TestServer(app)) for name, app in apps.items()}
    for client in clients.values():
        await client.start_server()
    internal = Internal(clients["internal"])
    lite.master_api = internal
    await data_source.create_default(Context(lite, "domain", ALICE), "/home/kuscia/var/storage/data")
    carrying = asyncio.create_task(run_grant_controller(master))
    yield Cluster(clients, internal, store)
    carrying.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await carrying
    for client in clients.values():
        await client.close()
    await store.close()
