"""Faults: the format of the file, their effect on a request and on a whole node."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from kuscia_sim.faults.injector import Faults
from kuscia_sim.faults.rules import FaultsInvalid
from kuscia_sim_testing.nodes import MASTER_ID, Node, free_offset

Client = TestClient[web.Request, web.Application]
WRONG = aiohttp.ServerDisconnectedError, aiohttp.ClientOSError


class Server:
    """A server with faults; `handled` counts the requests that reached its handler."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.handled = 0
        self.app = web.Application(middlewares=[Faults(file, "alice", "lite").middleware("api")])
        self.app.router.add_post("/{path:.*}", self._handle)
        self.client: Client

    async def _handle(self, _request: web.Request) -> web.Response:
        self.handled += 1
        await asyncio.sleep(0.02)
        return web.Response(text="done")

    def set_faults(self, *faults: dict[str, Any]) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(yaml.safe_dump([{"at": "api", **fault} for fault in faults]))
        new.rename(self.file)

    async def ask(self, path: str = "/api/v1/domain/create") -> str:
        """Return the answer: "200", "500 text", "reset"."""
        try:
            async with self.client.post(path, data=b"{}") as answer:
                text = await answer.text()
                return "200" if answer.status == 200 and text == "done" else f"{answer.status} {text}"
        except WRONG:
            return "reset"

    async def until(self, wanted: str) -> None:
        """Ask until an answer starts with `wanted`: a busy machine may miss a whole period."""
        for _ in range(200):
            if (found := await self.ask()).startswith(wanted):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(found)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    made = Server(tmp_path / "faults.yaml")
    made.client = TestClient(TestServer(made.app))
    await made.client.start_server()
    yield made
    await made.client.close()


async def test_rereads_file_that_appears_and_disappears(server: Server) -> None:
    assert await server.ask() == "200"
    server.set_faults({"do": "fail"})
    assert await server.ask() == "500 Internal Server Error"
    server.file.unlink()
    assert await server.ask() == "200"


@pytest.mark.parametrize(
    ("fault", "answers", "handled"),
    [
        ({"do": "fail", "times": 2}, ["500 Internal Server Error"] * 2 + ["200"], 1),
        ({"do": "fail", "status": 503, "text": "busy", "skip": 1, "times": 1}, ["200", "503 busy", "200"], 2),
        (
            {"do": "fail", "code": 11300, "text": "etcdserver: request timed out", "times": 1},
            [
                '200 {"status":{"code":11300,"message":"etcdserver: request timed out","details":[]},"data":null}',
                "200",
            ],
            1,
        ),
        ({"do": "reset", "times": 1}, ["reset", "200"], 1),
        ({"do": "lose", "times": 1}, ["reset", "200"], 2),
        ({"do": "reset", "path": "/api/v1/route/*"}, ["200"], 1),
        ({"do": "reset", "node": "bob"}, ["200"], 1),
        ({"do": "reset", "node": "master"}, ["200"], 1),
        ({"do": "reset", "node": "lite"}, ["reset"], 0),
        ({"do": "reset", "node": "alice"}, ["reset"], 0),
    ],
)
async def test_injects_faults_into_requests(
    server: Server, fault: dict[str, Any], answers: list[str], handled: int
) -> None:
    server.set_faults(fault)
    assert [await server.ask() for _ in answers] == answers
    assert server.handled == handled


async def test_same_seed_gives_same_sequence(server: Server) -> None:
    server.set_faults({"do": "reset", "chance": 0.5, "seed": 7})
    first = [await server.ask() for _ in range(20)]
    server.set_faults({"do": "reset", "chance": 0.5, "seed": 7, "text": "a file that differs"})
    assert [await server.ask() for _ in range(20)] == first
    assert {"reset", "200"} == set(first)


async def test_periodic_fault(server: Server) -> None:
    server.set_faults({"do": "fail", "down": 0.4, "every": 0.8})
    assert (await server.ask()).startswith("500")
    for wanted in ("200", "500", "200"):
        await server.until(wanted)


async def test_stall_hits_only_under_load(server: Server) -> None:
    server.set_faults({"do": "stall", "above": 2, "seconds": 1})
    began = time.monotonic()
    assert await server.ask() == "200"
    assert time.monotonic() - began < 1
    began = time.monotonic()
    assert await asyncio.gather(*(server.ask() for _ in range(8))) == ["200"] * 8
    assert time.monotonic() - began >= 1


async def test_file_that_becomes_invalid_fails_requests(server: Server) -> None:
    server.file.write_text("[{at: api, do: fial}]")
    assert (await server.ask()).startswith("500 faults.yaml[0]: do ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", r"faults\.yaml .*list"),
        ("[1]", r"faults\.yaml\[0\]: .*mapping"),
        ("[{at: api, do: reset}, {at: moon, do: reset}]", r"faults\.yaml\[1\]: at .*api, internal, apiserver, "),
        ("[{at: gateway, do: reset}]", r"\[0\]: do .* fail, login"),
        ("[{at: api, do: reset, tims: 3}]", r"\[0\]: .*tims\b.*at, do, node, path, skip, times"),
        ("[{at: api, do: reset, times: yes}]", r"\[0\]: times .*int.*True"),
        ("[{at: api, do: delay}]", r"\[0\]: seconds .*delay"),
        ("[{at: api, do: reset, down: 5, every: 5}]", r"\[0\]: down .*every"),
        ("[", r"faults\.yaml .*YAML"),
    ],
)
def test_rejects_invalid_file_at_start(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text(text)
    with pytest.raises(FaultsInvalid, match=message):
        Faults(file, "alice", "lite")


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "m", {"mode": "master", "domainID": MASTER_ID, "protocol": "NOTLS"}, free_offset())
    yield node
    node.stop()


async def answer_of(url: str) -> tuple[int, str, str, str]:
    """Return status, body, content type and kuscia-error-message of GET `url`."""
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        headers = answer.headers
        return answer.status, await answer.text(), headers["content-type"], headers.get("kuscia-error-message", "")


async def eventually(url: str, status: int) -> tuple[int, str, str, str]:
    for _ in range(100):
        found = await answer_of(url)
        if found[0] == status:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(found)


async def test_master_with_faults(master: Node) -> None:
    """A delayed start, another server in place of the gateway, a late token."""
    master.set_faults([{"at": "start", "do": "delay", "seconds": 3}, {"at": "token", "do": "delay", "seconds": 4}])
    began = time.monotonic()
    master.start().wait_started()
    assert time.monotonic() - began > 3
    gateway = f"{master.gateway}/"
    assert "unauthorized." in (await eventually(gateway, 401))[1]
    assert master.api("domain/create", {"domain_id": "alice"})["status"]["code"] == 0
    made = time.monotonic()

    def tokens() -> list[Any]:
        return list(master.api("domain/query", {"domain_id": "alice"})["data"]["deploy_token_statuses"])

    await asyncio.sleep(2)
    assert tokens() == []
    for _ in range(150):
        if tokens():
            break
        await asyncio.sleep(0.1)
    assert [token["state"] for token in tokens()] == ["unused"]
    assert time.monotonic() - made > 3

    master.set_faults([{"at": "gateway", "do": "fail", "status": 502}])
    assert await eventually(gateway, 502) == (502, "<html><head><title>502 Bad Gateway</title></head></html>\n",
                                              "text/html", "")  # fmt: skip
    master.set_faults([{"at": "gateway", "do": "login"}])
    _, body, kind, said = await eventually(gateway, 200)
    assert ("<form action='/login'>" in body, kind, said) == (True, "text/html", "")
    master.set_faults([])
    assert (await eventually(gateway, 401))[3]


def test_node_does_not_start_with_invalid_file(master: Node) -> None:
    master.set_faults([{"at": "api", "do": "nothing"}])
    assert master.start().wait_exit() == 1
    assert ".faults.yaml[0]: do " in master.output()
