"""The modules of one node: what each starts and what it waits for (Kuscia facts 1.2)."""

import asyncio
import contextlib
import datetime
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import sqlalchemy.exc
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from kuscia_sim import api, log
from kuscia_sim.agent import AgentStartError, run_agent
from kuscia_sim.api.data_source import create_default
from kuscia_sim.controllers.domain import bootstrap, run_domain_controller
from kuscia_sim.controllers.grant import run_grant_controller
from kuscia_sim.controllers.pod_gc import run_pod_gc
from kuscia_sim.controllers.route import run_route_controller
from kuscia_sim.faults.injector import Faults
from kuscia_sim.gateway import body_cipher, envoy, handshake
from kuscia_sim.gateway.gateway import Gateway
from kuscia_sim.jobs import run_job_controller
from kuscia_sim.node import dns, heartbeat
from kuscia_sim.node.admission import Admission, MasterSilent
from kuscia_sim.node.config import Config
from kuscia_sim.node.files import Certs, gateway_certificate, write_kubeconfig
from kuscia_sim.node.host import IMAGE_HOME, Host, nameservers, take_over_resolv_conf
from kuscia_sim.node.metrics import metrics_app
from kuscia_sim.node.module_manager import Module, ModuleFailed
from kuscia_sim.node.node import MasterUnreachable, Node
from kuscia_sim.state import remote_store
from kuscia_sim.state.datastore import SHARED_DATASTORE
from kuscia_sim.state.datastore_check import DatastoreError, check
from kuscia_sim.state.remote_store import RemoteAPI, RemoteStore
from kuscia_sim.state.store import LocalStore, SharedDatastore, StoreError
from kuscia_sim.transport.endpoints import Context
from kuscia_sim.transport.listener import Listener
from kuscia_sim.transport.tls import server_context

# Kuscia's version is fixed when its binary is built, that of the stand-in when its image is built.
VERSION = os.environ.get("KUSCIA_SIM_VERSION") or "v1.1.0b0-6-ge909d9f6"
API_PORT, DATAMESH_PORT, METRICS_PORT = 8082, 8070, 9091
K3S_READY_TIMEOUT = 30.0
CHECK_TRIES = 5
# As clients see it, regardless of the home directory of a node outside the image.
DEFAULT_DATA_PATH = f"{IMAGE_HOME}/var/storage/data"
DATA_SOURCE_PAUSE = 5.0

logger = log.Log(__name__)


class Fatal(Exception):
    """The configuration cannot work, found after the log is set up; exit status 1."""

    def __init__(self, where: str, text: str) -> None:
        super().__init__(text)
        self.where = where


class Instance:
    """The parts of one node, as modules for the manager."""

    def __init__(self, config: Config, host: Host, key: RSAPrivateKey, certs: Certs, faults: Faults) -> None:
        self._config = config
        self._faults = faults
        self._host = host
        self._key = key
        self._certs = certs
        self._started = datetime.datetime.now(datetime.UTC)
        self._envoy = envoy.Envoy(host, gateway_certificate(config, key))
        self._gateway = Gateway(host, config.domain_id, VERSION, key, self._envoy, config.is_master, faults)
        self._body_cipher = body_cipher.Server(host, self._gateway)
        self._names = dns.Names(config.domain_id, host.pod_ip, self._gateway.services)
        self._resolver = dns.Resolver(self._names, [], f"{host.pod_ip}:{host.port(envoy.DNS_PORT)}")
        self._node: Node | None = None
        self._local: LocalStore | None = None
        self._remote = RemoteStore(host)
        self._remote_api = RemoteAPI(host)
        self.fatal: Fatal | None = None

    def modules(self) -> list[Module]:
        """Return the modules of this mode and their dependencies."""
        master = [
            Module("k3s", self._k3s, ("coredns",), K3S_READY_TIMEOUT),
            Module("controllers", self._controllers, ("k3s",)),
        ]
        lite = [
            Module("datamesh", self._datamesh, ("envoy", "domainroute")),
            Module("agent", self._agent, ("envoy", "kusciaapi")),
        ]
        return [
            Module("coredns", self._coredns),
            Module("envoy", self._envoy_module, ("k3s",)),
            Module("domainroute", self._domainroute, ("k3s",)),
            *(master if self._config.is_master else lite),
            Module("kusciaapi", self._kusciaapi, ("k3s", "domainroute", "controllers")),
            Module("metricexporter", self._metricexporter, ("agent", "envoy")),
        ]

    async def close(self) -> None:
        await self._remote.close()
        await self._remote_api.close()
        await self._gateway.client.close()
        await self._body_cipher.close()
        if self._local:
            await self._local.close()

    async def _coredns(self, ready: asyncio.Event) -> None:
        logger.info("modules/coredns.go:175", f"Start preparing coredns resolv.conf, root dir {self._host.home}")
        path = take_over_resolv_conf(self._host)
        logger.info("modules/coredns.go:198", "Finish preparing coredns resolv.conf")
        forwarders = [address for address in nameservers(path) if address != self._host.pod_ip]
        self._resolver.forwarders = forwarders
        server = dns.Server(self._names, forwarders)
        port = self._host.port(envoy.DNS_PORT)
        try:
            await server.start(self._host.bind, port)
        except OSError as err:
            raise ModuleFailed(f"listen tcp :{port}: bind: {err.strerror}") from err
        log.say(f".:{port}")
        ready.set()
        try:
            await asyncio.Event().wait()
        finally:
            await server.stop()

    async def _envoy_module(self, ready: asyncio.Event) -> None:
        try:
            await self._gateway.start()
            await self._envoy.wait_ready()
            ready.set()
            await self._gateway.follow_faults()
            await asyncio.Event().wait()
        finally:
            await self._envoy.stop()

    async def _k3s(self, ready: asyncio.Event) -> None:
        path = self._host.home / "var/k3s/server/db/state.db"
        if not self._config.datastore_endpoint:
            logger.warning(
                "datastore/datastore_endpoint_check.go:60",
                "Kuscia 'datastoreEndpoint' config is empty, will use sqlite.",
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            url = await check(self._config.datastore_endpoint, str(path), self._resolver)
        except (DatastoreError, OSError) as err:
            logger.error("modules/k3s.go:114", f"k3s check datastore endpoint failed with: {err}")
            raise ModuleFailed(str(err)) from err
        begun = asyncio.get_running_loop().time()
        try:
            self._local = await LocalStore.open(url, self._config.k3s_token)
        except (SharedDatastore, sqlalchemy.exc.SQLAlchemyError) as err:
            # The state belongs to another domain, or the table is missing and cannot be created.
            raise ModuleFailed(_k3s_gave_up(err, asyncio.get_running_loop().time() - begun)) from err
        write_kubeconfig(self._host, self._host.port(envoy.APISERVER_PORT))
        self._node = self._make_node(self._local, self._config.domain_id)
        await bootstrap(self._node)
        app = remote_store.server_app(self._local)
        app.middlewares.append(self._faults.middleware("apiserver"))
        async with self._serving(app, self._host.loopback, envoy.APISERVER_PORT):
            logger.info("modules/k3s.go:256", "K3s init done")
            logger.info("modules/k3s.go:195", "k3s is ready now")
            ready.set()
            await asyncio.Event().wait()

    async def _controllers(self, ready: asyncio.Event) -> None:
        node = self._running()
        async with asyncio.TaskGroup() as group:
            group.create_task(run_domain_controller(node))
            group.create_task(run_route_controller(node))
            group.create_task(run_grant_controller(node))
            group.create_task(run_pod_gc(node))
            group.create_task(run_job_controller(node))
            ready.set()

    async def _domainroute(self, ready: asyncio.Event) -> None:
        logger.info("commands/root.go:63", "Start xds success")
        if not self._config.is_master:
            await self._connect()
        node = self._running()
        server = handshake.Server(node.store, node.domain_id, self._key, self._config.is_master, self._gateway.heard)
        app = server.app()
        app.middlewares.append(self._faults.middleware("handshake"))
        async with (
            self._serving(app, self._host.bind, envoy.HANDSHAKE_PORT),
            self._serving(self._body_cipher.app(), self._host.loopback, envoy.BODY_CIPHER_PORT),
            asyncio.TaskGroup() as group,
        ):
            group.create_task(heartbeat.gateway_heartbeat(node, self._host))
            group.create_task(self._gateway.run(node.store))
            logger.info("commands/root.go:179", "Gateway running")
            ready.set()

    async def _connect(self) -> None:
        """Have the master admit this lite, then use the master's state (Kuscia facts 5.4)."""
        try:
            admission = Admission(self._config, self._key, self._gateway, self._resolver)
            master_id, token, revision = await admission.run()
        except MasterSilent as err:
            self.fatal = Fatal("clusters/master.go:288", str(err))
            raise
        await self._gateway.use_master_token(master_id, token)
        self._node = self._make_node(self._remote, master_id)
        self._node.master_api = self._remote_api
        await self._check_master()
        route = f"{self._config.domain_id}-{master_id}"
        try:
            await self._gateway.remember_token(self._remote, route, token, revision)
        except (StoreError, MasterUnreachable) as err:
            raise ModuleFailed(f"update domainroute revision token failed, detail -> {err}") from err
        logger.info("commands/root.go:93", "Add master proxy clusters successfully")

    async def _check_master(self) -> None:
        failure: Exception | None = None
        for _ in range(CHECK_TRIES):
            try:
                await self._remote.list("pods", self._config.domain_id)
            except (StoreError, MasterUnreachable) as err:
                failure = err
                await asyncio.sleep(1)
            else:
                logger.info("commands/root.go:240", "Check MasterProxy ready")
                return
        raise ModuleFailed(f"check MasterProxy failed, detail -> {failure}")

    async def _kusciaapi(self, ready: asyncio.Event) -> None:
        node, protocol = self._running(), self._config.api_protocol
        tls = None
        if protocol != "NOTLS":
            client_ca = self._certs.ca_cert if protocol == "MTLS" else None
            tls = server_context(self._certs.api_cert, self._certs.api_key, client_ca)
        scheme = "http" if tls is None else "https"
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self._serving(api.kusciaapi_app(node), self._host.bind, API_PORT, tls))
            logger.info("beans/gin_bean.go:135", f"{scheme} server started :{self._host.port(API_PORT)}")
            if self._config.is_master:
                internal = api.internal_app(node)
                await stack.enter_async_context(self._serving(internal, self._host.loopback, envoy.INTERNAL_API_PORT))
            else:
                await self._make_default_data_source(node)
            ready.set()
            await asyncio.Event().wait()

    async def _make_default_data_source(self, node: Node) -> None:
        while True:
            try:
                await create_default(Context(node, "domain", node.domain_id), DEFAULT_DATA_PATH)
                return
            except (StoreError, MasterUnreachable) as err:
                logger.warning("modules/kusciaapi.go:180", f"create default data source failed: {err}, retry")
                await asyncio.sleep(DATA_SOURCE_PAUSE)

    async def _datamesh(self, ready: asyncio.Event) -> None:
        plain = bool(self._config.data_mesh.get("disableTLS"))
        certs = self._certs
        tls = None if plain else server_context(certs.datamesh_cert, certs.datamesh_key, certs.ca_cert)
        async with self._serving(api.datamesh_app(self._running()), self._host.bind, DATAMESH_PORT, tls):
            ready.set()
            await asyncio.Event().wait()

    async def _agent(self, ready: asyncio.Event) -> None:
        node = self._running()
        record = heartbeat.NodeRecord(node, self._host)
        running = asyncio.Event()
        try:
            await record.register()
            agent = asyncio.create_task(run_agent(node, self._host, running))
            beating = asyncio.create_task(self._beat(record, running, ready))
            try:
                done, _ = await asyncio.wait({agent, beating}, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                agent.cancel()
                beating.cancel()
                await asyncio.gather(agent, beating, return_exceptions=True)
        except (AgentStartError, heartbeat.DuplicateNode) as err:
            raise ModuleFailed(str(err)) from err
        except (StoreError, MasterUnreachable) as err:
            raise ModuleFailed(f"error registering node with kubernetes, detail-> {err}") from err
        finally:
            await record.remove()

    async def _beat(self, record: heartbeat.NodeRecord, running: asyncio.Event, ready: asyncio.Event) -> None:
        await running.wait()
        ready.set()
        await record.run()

    async def _metricexporter(self, ready: asyncio.Event) -> None:
        logger.info("metricexporter/metricexporter.go:135", f"Start to export metrics on port {METRICS_PORT}...")
        async with self._serving(metrics_app(), self._host.bind, METRICS_PORT):
            ready.set()
            await asyncio.Event().wait()

    @contextlib.asynccontextmanager
    async def _serving(
        self, app: web.Application, bind: str, port: int, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[None]:
        """Serve `app` on Kuscia's port `port` while the block runs.

        Raises:
            ModuleFailed: the port is in use.
        """
        number = self._host.port(port)
        listener = Listener(app, tls)
        try:
            await listener.start(bind, number)
        except OSError as err:
            raise ModuleFailed(f"listen tcp {bind}:{number}: bind: {err.strerror}") from err
        try:
            yield
        finally:
            await listener.stop()

    def _make_node(self, store: LocalStore | RemoteStore, master_id: str) -> Node:
        return Node(
            config=self._config,
            mode=self._config.mode,
            domain_id=self._config.domain_id,
            master_id=master_id,
            hostname=self._host.hostname,
            version=VERSION,
            store=store,
            key=self._key,
            started=self._started,
            master_reachable=(lambda: True) if self._config.is_master else self._remote.reachable,
            cert_pem=Path(self._certs.domain_cert).read_text(),
            faults=self._faults,
        )

    def _running(self) -> Node:
        assert self._node, "the module that connects to the state comes first"
        return self._node


def _k3s_gave_up(err: Exception, seconds: float) -> str:
    """Log what Kuscia logs if its K3s exits at once, and return the module's failure.

    The supervisor's lines are recorded from other processes (recordings/startup-cases/badendpoint.log). Earlier
    versions logged only SHARED_DATASTORE (Kuscia facts 12.6), so it is logged here too.
    """
    if isinstance(err, SharedDatastore):
        reason = "bootstrap data already found and encrypted with different token"
    else:
        reason = f"creating storage endpoint: building kine: {getattr(err, 'orig', None) or err}"
    said = f'level=fatal msg="starting kubernetes: preparing server: {reason}"'
    process = f"[k3s][{os.getpid()}]"
    ended = f"process {process} only existed {seconds * 1000:.0f} ms, less than 3000 ms, with error: exit status 1"
    logger.warning("supervisor/supervisor.go:155", f"Process {process} exit with error: exit status 1")
    logger.warning("supervisor/supervisor.go:110", f"[k3s] run process failed, detail -> {ended}")
    logger.error("", f"[k3s] Log content:\n{said}\n[k3s] Log end")
    logger.error("modules/k3s.go:180", SHARED_DATASTORE)
    return f"startup process failed at first time, so stop at once, error: {ended}"
