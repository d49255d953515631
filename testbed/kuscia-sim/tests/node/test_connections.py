"""Connections of a node: the master's gateway, its datastore, its K3s nodes."""

import asyncio
import datetime
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
import sqlalchemy as sa
from aiohttp import web

from kuscia_sim import credentials
from kuscia_sim.agent.capacity import BANDWIDTH
from kuscia_sim.gateway.master_probe import ProbeFailed, probe
from kuscia_sim.node import heartbeat
from kuscia_sim.node.config import Capacity, Config
from kuscia_sim.node.dns import Names, Resolver
from kuscia_sim.node.host import Host
from kuscia_sim.node.node import Node
from kuscia_sim.state.datastore import datastore_url
from kuscia_sim.state.datastore_check import DatastoreError, Target, check, go_text
from kuscia_sim.state.store import LocalStore, NotFound
from kuscia_sim.transport.listener import Listener
from kuscia_sim.transport.tls import server_context

RESOLVER = Resolver(Names("alice", "127.0.0.1", frozenset), [], "127.0.0.1:53")
TARGET = Target("10.88.0.1", 3306, "mysql.db.svc.cluster.local")
HEADER = {"kuscia-error-message": "<m/h/external $local$ Unauthorized>"}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Any]]:
    listeners: list[Listener] = []

    async def start(status: int, headers: dict[str, str], tls: ssl.SSLContext | None = None) -> int:
        async def answer(_request: web.Request) -> web.Response:
            return web.Response(status=status, headers=headers, text="body")

        app = web.Application()
        app.router.add_get("/{rest:.*}", answer)
        listener = Listener(app, tls)
        port = free_port()
        await listener.start("127.0.0.1", port)
        listeners.append(listener)
        return port

    yield start
    for listener in listeners:
        await listener.stop()


def tls_context(directory: Path) -> ssl.SSLContext:
    key = credentials.new_key()
    certificate = credentials.server_certificate(key, "m", key.public_key(), "m_ENVOY_EXTERNAL", [])
    (directory / "crt").write_text(credentials.cert_pem(certificate))
    (directory / "key").write_text(credentials.key_pem(key))
    return server_context(str(directory / "crt"), str(directory / "key"), None)


async def test_probe_accepts_401_with_error_header(serve: Any, tmp_path: Path) -> None:
    await probe(f"http://127.0.0.1:{await serve(401, HEADER)}", RESOLVER)
    await probe(f"https://127.0.0.1:{await serve(401, HEADER, tls_context(tmp_path))}/path", RESOLVER)


@pytest.mark.parametrize(
    ("status", "headers", "text"),
    [
        (401, {}, "unexpected status code: 401, response body: body"),
        (200, HEADER, "unexpected status code: 200, response body: body"),
        (502, {}, "unexpected status code: 502"),
    ],
)
async def test_probe_rejects_other_answers(serve: Any, status: int, headers: dict[str, str], text: str) -> None:
    with pytest.raises(ProbeFailed, match=text):
        await probe(f"http://127.0.0.1:{await serve(status, headers)}", RESOLVER)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("", "endpoint URL is empty"),
        ("master:1080", "endpoint URL is invalid: invalid host: master:1080"),
        ("http://nosuch", 'Get "http://nosuch": dial tcp: lookup nosuch on 127.0.0.1:53: no such host'),
        ("http://127.0.0.1:1", "dial tcp 127.0.0.1:1: connect: connection refused"),
    ],
)
async def test_probe_reports_unreachable_endpoints(url: str, text: str) -> None:
    with pytest.raises(ProbeFailed) as failed:
        await probe(url, RESOLVER)
    assert text in str(failed.value)


async def test_probe_reports_scheme_mismatch(serve: Any, tmp_path: Path) -> None:
    port = await serve(401, HEADER)
    with pytest.raises(ProbeFailed, match="http: server gave HTTP response to HTTPS client"):
        await probe(f"https://127.0.0.1:{port}", RESOLVER)
    port = await serve(401, HEADER, tls_context(tmp_path))
    with pytest.raises(ProbeFailed, match="unexpected status code: 400"):
        await probe(f"http://127.0.0.1:{port}", RESOLVER)


def operational(cause: Exception) -> Exception:
    return sa.exc.OperationalError("", None, cause)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            pymysql.OperationalError(1045, "Access denied for user 'k'@'10.0.0.1' (using password: YES)"),
            "Error 1045: Access denied for user 'k'@'10.0.0.1' (using password: YES)",
        ),
        (
            pymysql.OperationalError(1049, "Unknown database 'bad-name'"),
            "Error 1049: Unknown database 'bad-name'",
        ),
        (
            psycopg.OperationalError('connection failed: FATAL:  password authentication failed for user "k"'),
            'pq: password authentication failed for user "k"',
        ),
        (
            psycopg.OperationalError("connection to server failed: Connection refused"),
            "dial tcp 10.88.0.1:3306: connect: connection refused",
        ),
    ],
)
def test_database_errors_have_texts_of_go(error: Exception, text: str) -> None:
    assert go_text(operational(error), TARGET) == text


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "connect: connection refused"),
        (TimeoutError("timed out"), "i/o timeout"),
        (OSError(113, "No route to host"), "connect: no route to host"),
    ],
)
def test_network_errors_have_texts_of_go(cause: Exception, text: str) -> None:
    error = pymysql.OperationalError(2003, "Can't connect")
    error.original_exception = cause  # type: ignore[attr-defined]
    assert go_text(operational(error), TARGET) == f"dial tcp 10.88.0.1:3306: {text}"


async def test_reports_unresolvable_database_host() -> None:
    with pytest.raises(DatastoreError) as failed:
        await check("mysql://k:p@tcp(nosuch:3306)/kuscia", "", RESOLVER)
    assert str(failed.value) == ("ping datastore endpoint error: dial tcp: lookup nosuch on 127.0.0.1:53: no such host")


async def test_sqlite_is_not_checked(tmp_path: Path) -> None:
    url = await check("", str(tmp_path / "state.db"), RESOLVER)
    assert url.drivername == "sqlite"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    found = await LocalStore.open(datastore_url("", str(tmp_path / "state.db")), "kuscia-system")
    yield found
    await found.close()


def node_record(store: LocalStore, domain_id: str, machine: str) -> heartbeat.NodeRecord:
    config = Config(
        "lite", domain_id, runtime="runk", capacity=Capacity(cpu="4", memory="8Gi", storage="1Gi", bandwidth="100")
    )
    node = Node(
        config=config,
        mode="lite",
        domain_id=domain_id,
        master_id="kuscia-system",
        hostname="kuscia-lite-0",
        version="v1",
        store=store,
        key=credentials.new_key(),
        started=datetime.datetime.now(datetime.UTC),
        master_reachable=lambda: True,
    )
    return heartbeat.NodeRecord(node, Host(Path(), "0.0.0.0", 0, "kuscia-lite-0", machine, in_image=True))


async def start(record: heartbeat.NodeRecord, store: LocalStore) -> asyncio.Task[None]:
    await record.register()
    running = asyncio.create_task(record.run())
    while not heartbeat.is_ready(await store.get("nodes", "", "kuscia-lite-0")):
        await asyncio.sleep(0.01)
    return running


async def test_node_is_ready_while_lite_runs(store: LocalStore) -> None:
    record = node_record(store, "alice", "10.0.0.1")
    await record.register()
    node = await store.get("nodes", "", "kuscia-lite-0")
    assert not heartbeat.is_ready(node)
    offered = {"cpu": "4", "memory": "8Gi", "pods": "500", "storage": "1Gi", BANDWIDTH: "100"}
    assert node["status"]["allocatable"] == offered
    running = await start(record, store)
    running.cancel()
    await record.remove()
    with pytest.raises(NotFound):
        await store.get("nodes", "", "kuscia-lite-0")


async def test_rejects_node_name_of_another_domain(store: LocalStore) -> None:
    running = await start(node_record(store, "alice", "10.0.0.1"), store)
    with pytest.raises(heartbeat.DuplicateNode, match="duplicate node name with other domain"):
        await node_record(store, "bob", "10.0.0.2").register()
    running.cancel()


async def test_waits_for_node_of_same_name_elsewhere(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "STILL_READY_PAUSE", 0.05)
    first = node_record(store, "alice", "10.0.0.1")
    running = await start(first, store)
    second = asyncio.create_task(node_record(store, "alice", "10.0.0.2").register())
    await asyncio.sleep(0.2)
    assert not second.done()
    running.cancel()
    await first.remove()
    await asyncio.wait_for(second, 5)
