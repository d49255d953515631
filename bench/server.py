"""The other side of the benchmark, in a separate process: KusciaAPI of a master, and a Kubernetes API.

    python -m bench.server DIRECTORY

KusciaAPI is that of the stand-in; a middleware makes it as slow as a real master (bench.pace). The process creates
DIRECTORY/key.pem and ca.crt, prints one line of JSON with the ports and runs until it is terminated.
"""

import asyncio
import datetime
import json
import signal
import ssl
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from bench import pace
from bench.api_server import ApiServer
from kuscia_sim import api, credentials
from kuscia_sim.controllers import domain as domains
from kuscia_sim.faults.injector import VARIABLE, Faults
from kuscia_sim.node.config import Config
from kuscia_sim.node.files import prepare
from kuscia_sim.node.host import Host
from kuscia_sim.node.node import Node
from kuscia_sim.state.datastore import datastore_url
from kuscia_sim.state.objects import mutate
from kuscia_sim.state.store import LocalStore, now_rfc3339
from kuscia_sim.transport.tls import server_context

MASTER_ID = "kuscia-system"
NAMESPACE = "kuscia-master"
TOKEN_SECONDS = 1.1
"""The stand-in compares with the whole second of the creation: a token appears 0.1 to 1.1 s after its domain."""
CONTROLLER_SECONDS = 0.1

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Writes:
    """Writes of one kind, which share the rate of the master."""

    def __init__(self, rates: pace.Rates) -> None:
        self.server = pace.SharedServer(rates)
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def take(self) -> None:
        """Wait until one write is done."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._waiting[self.server.add(loop.time())] = done
        self._schedule()
        await done

    def _schedule(self) -> None:
        if self._timer:
            self._timer.cancel()
        end = self.server.next_end()
        self._timer = None if end is None else asyncio.get_running_loop().call_at(end, self._finish)

    def _finish(self) -> None:
        for number in self.server.finished(asyncio.get_running_loop().time()):
            done = self._waiting.pop(number)
            if not done.done():
                done.set_result(None)
        self._schedule()


class Master:
    """The stand-in's KusciaAPI with the pace of a real master.

    Attributes:
        counts: requests so far by path.
        paced: whether requests take as long as on a real master.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.counts: Counter[str] = Counter()
        self.paced = True
        self._recorded = pace.recorded_seconds()
        self._domains = Writes(pace.DOMAIN_RATES)
        self._routes = Writes(pace.ROUTE_RATES)
        self._created = 0

    def app(self) -> web.Application:
        app = api.kusciaapi_app(self.node)
        app.middlewares.append(self._middleware())
        return app

    def _middleware(self) -> Any:
        @web.middleware
        async def meet(request: web.Request, handler: Handler) -> web.StreamResponse:
            path = request.path.removeprefix(pace.PREFIX)
            self.counts[path] += 1
            if not self.paced:
                return await handler(request)
            if path == pace.DOMAIN_CREATE:
                await self._domains.take()
            elif path == pace.ROUTE_CREATE:
                await self._take_route()
            else:
                return await self._fixed(path, request, handler)
            return await handler(request)

        return meet

    async def _take_route(self) -> None:
        many = self._created >= pace.MANY_ROUTES
        if many:
            self._routes.server.rates = pace.MANY_ROUTE_RATES
            if self._routes.server.running >= pace.STALL_ABOVE:
                await asyncio.sleep(pace.STALL_SECONDS)
        await self._routes.take()
        self._created += 1

    async def _fixed(self, path: str, request: web.Request, handler: Handler) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        body = json.loads(await request.read() or b"{}") if path in pace.BATCHES else {}
        response = await handler(request)
        if body and not _succeeded(response):
            body = {}  # a master stops at the first member that is missing
        await asyncio.sleep(max(0.0, begin + pace.fixed_seconds(self._recorded, path, body) - loop.time()))
        return response

    async def run_controller(self) -> None:
        """Create what the master creates for each new Domain, such as its deploy token, until cancelled."""
        while True:
            listed = await self.node.store.list("domains")
            new = [item for item in listed if not (item.get("status") or {}).get("deployTokenStatuses")]
            if any(item["metadata"]["name"] != MASTER_ID for item in new):
                await domains.reconcile(self.node)
            await asyncio.sleep(CONTROLLER_SECONDS)

    async def make_ready(self) -> None:
        """Give every domain a node that is Ready, and every route a finished handshake."""
        now = now_rfc3339()
        for item in await self.node.store.list("domains"):
            name = item["metadata"]["name"]
            state = {"name": f"node-{name}", "status": "Ready", "version": "v1", "lastHeartbeatTime": now}
            await self._set_status("domains", name, {"nodeStatuses": [{**state, "lastTransitionTime": now}]})
        ready = {"type": "Ready", "status": "True", "lastUpdateTime": now, "lastTransitionTime": now}
        for item in await self.node.store.list("clusterdomainroutes"):
            await self._set_status("clusterdomainroutes", item["metadata"]["name"], {"conditions": [ready]})

    async def _set_status(self, kind: str, name: str, status: dict[str, Any]) -> None:
        def change(current: dict[str, Any]) -> None:
            current["status"] = {**(current.get("status") or {}), **status}

        await mutate(self.node.store, kind, "", name, change)

    async def state(self) -> dict[str, int]:
        """Return how many domains and routes between them exist."""
        listed = await self.node.store.list("clusterdomainroutes")
        names = [item["metadata"]["name"] for item in await self.node.store.list("domains")]
        between = [item for item in listed if item["spec"]["destination"] != MASTER_ID]
        return {"domains": sum(name != MASTER_ID for name in names), "routes": len(between)}


def _succeeded(response: web.StreamResponse) -> bool:
    assert isinstance(response, web.Response)
    assert isinstance(response.body, bytes)
    return bool(json.loads(response.body)["status"]["code"] == 0)


def control_app(master: Master, kubernetes: ApiServer) -> web.Application:
    """Return the application through which the benchmark steers and reads this process."""

    async def counts(_: web.Request) -> web.Response:
        found = {"kusciaapi": dict(master.counts), "kubernetes": dict(kubernetes.counts)}
        master.counts.clear()
        kubernetes.counts.clear()
        return web.json_response(found)

    async def set_pace(request: web.Request) -> web.Response:
        master.paced = (await request.json())["on"]
        return web.json_response({})

    async def ready(_: web.Request) -> web.Response:
        await master.make_ready()
        return web.json_response({})

    async def state(_: web.Request) -> web.Response:
        return web.json_response(await master.state() | {"secrets": kubernetes.size("secrets")})

    app = web.Application()
    app.router.add_post("/counts", counts)
    app.router.add_post("/pace", set_pace)
    app.router.add_post("/ready", ready)
    app.router.add_get("/state", state)
    return app


def gateway_app() -> web.Application:
    """Return what answers on port 1080: to a request without credentials, the answer of Kuscia's gateway."""

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=401, headers={"Kuscia-Error-Message": "Domain kuscia-system: unauthorized."})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    return app


async def _make_node(directory: Path) -> tuple[Node, ssl.SSLContext]:
    config = Config(mode="master", domain_id=MASTER_ID, protocol="TLS")
    key = credentials.new_key()
    host = Host(home=directory, bind="127.0.0.1", offset=0, hostname="bench", pod_ip="127.0.0.1", in_image=False)
    certs = prepare(config, host, key)
    (directory / "key.pem").write_text(credentials.key_pem(key))
    (directory / "ca.crt").write_text(Path(certs.ca_cert).read_text())
    faults = directory / "faults.yaml"
    faults.write_text(yaml.safe_dump([{"at": "token", "do": "delay", "seconds": TOKEN_SECONDS}]))
    store = await LocalStore.open(datastore_url("", str(directory / "state.db")), MASTER_ID)
    node = Node(
        config=config,
        mode="master",
        domain_id=MASTER_ID,
        master_id=MASTER_ID,
        hostname=host.hostname,
        version="v1.1.0b0",
        store=store,
        key=key,
        started=datetime.datetime.now(datetime.UTC),
        master_reachable=lambda: True,
        cert_pem=Path(certs.domain_cert).read_text(),
        faults=Faults.from_environment(MASTER_ID, "master", {VARIABLE: str(faults)}),
    )
    await domains.bootstrap(node)
    return node, server_context(certs.api_cert, certs.api_key, None)


async def _listen(app: web.Application, tls: ssl.SSLContext | None) -> int:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls, backlog=512).start()
    port: int = runner.addresses[0][1]
    return port


async def _run(directory: Path) -> None:
    node, tls = await _make_node(directory)
    master, kubernetes = Master(node), ApiServer()
    secret = {"domain.key": credentials.b64((directory / "key.pem").read_text())}
    kubernetes.put("secrets", NAMESPACE, "kuscia-master-domain-key", data=secret, type="Opaque")
    kubernetes.put("services", NAMESPACE, "kuscia-master", spec={"clusterIP": "10.0.0.1"})
    ports = {
        "kusciaapi": await _listen(master.app(), tls),
        "kubernetes": await _listen(kubernetes.app(), tls),
        "gateway": await _listen(gateway_app(), tls),
        "control": await _listen(control_app(master, kubernetes), None),
    }
    print(json.dumps(ports), flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    controller = asyncio.create_task(master.run_controller())
    await asyncio.wait({controller, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if controller.done():
        controller.result()


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1])))
