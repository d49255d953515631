"""KusciaAPI's job endpoints over HTTP: what the recordings do not contain (roles, watch, unusual requests)."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from kuscia_sim import api
from kuscia_sim.api import job as job_api
from kuscia_sim.jobs import run_job_controller
from kuscia_sim.jobs.controller import JobController
from kuscia_sim.node.node import MasterUnreachable, Node
from kuscia_sim.state.store import LocalStore
from kuscia_sim_testing import job_harness as h


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    opened = await h.open_store(tmp_path)
    await h.add_app_image(opened, "ok", "true")
    yield opened
    await opened.close()


class Caller:
    """Posts JSON to an application."""

    def __init__(self, client: "TestClient[Any, Any]", headers: dict[str, str]) -> None:
        self.client = client
        self._headers = headers

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.client.post(f"/api/v1/job/{path}", json=body, headers=self._headers)
        found: dict[str, Any] = await answer.json()
        return found


@contextlib.asynccontextmanager
async def calling(app: Any, **headers: str) -> AsyncIterator[Caller]:
    async with TestClient(TestServer(app)) as client:
        yield Caller(client, headers)


@pytest.fixture
async def master(store: LocalStore) -> AsyncIterator[Caller]:
    async with calling(api.kusciaapi_app(h.make_node(store, "master", "kuscia-system", h.KEY))) as caller:
        yield caller


NAME_PART = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


def request(job_id: str = "j", *parties: str, **more: Any) -> dict[str, Any]:
    domains = parties or h.DOMAINS
    task = {"app_image": "ok", "alias": "a", "parties": [{"domain_id": domain} for domain in domains]}
    return {"job_id": job_id, "initiator": "alice", "tasks": [task | more.pop("task", {})]} | more


async def test_fills_in_job_defaults(master: Caller) -> None:
    answer = await master.post("create", request(max_parallelism=-3, custom_fields={"k": "v"}))
    assert answer == {"status": {"code": 0, "message": "success", "details": []}, "data": {"job_id": "j"}}
    data = (await master.post("query", {"job_id": "j"}))["data"]
    assert data["max_parallelism"] == 1
    assert data["custom_fields"] == {"k": "v"}
    assert data["tasks"][0] == {
        "app_image": "ok",
        "parties": [
            {"domain_id": domain, "role": "", "resources": None, "bandwidth_limits": []} for domain in h.DOMAINS
        ],
        "alias": "a",
        "task_id": "",
        "dependencies": [],
        "task_input_config": "",
        "priority": 0,
        "schedule_config": None,
    }
    assert data["status"]["tasks"][0] == {
        "task_id": "",
        "state": "Pending",
        "err_msg": "",
        "create_time": "",
        "start_time": "",
        "end_time": "",
        "parties": [],
        "alias": "a",
        "progress": 0,
    }


async def test_query_returns_given_fields(master: Caller) -> None:
    limits = [{"destination_id": "bob", "limit_kbps": "100"}]
    schedule = {
        "task_timeout_seconds": 60,
        "resource_reserved_seconds": 5,
        "resource_reallocation_interval_seconds": 7,
    }
    parties = [{"domain_id": "alice", "role": "r", "bandwidth_limits": limits, "resources": {"cpu": "1"}}]
    task = {"parties": parties, "schedule_config": schedule, "priority": 5, "tolerable": True}
    await master.post("create", request(task=task))
    found = (await master.post("query", {"job_id": "j"}))["data"]["tasks"][0]
    assert found["schedule_config"] == schedule
    assert found["parties"] == [{"domain_id": "alice", "role": "r", "resources": None, "bandwidth_limits": limits}]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"max_parallelism": 500}, "spec.maxParallelism in body should be less than or equal to 128"),
        (
            {"custom_fields": {"k" * 64: "v"}},
            f'"kuscia.job.custom-fields/{"k" * 64}": name part must be no more than 63 characters',
        ),
        ({"custom_fields": {"k": "v" * 64}}, "must be no more than 63 characters"),
        (
            {"custom_fields": {"bad key!": "v"}},
            f'metadata.labels: Invalid value: "kuscia.job.custom-fields/bad key!": name part {NAME_PART}',
        ),
        (
            {"custom_fields": {"": "v"}},
            '[metadata.labels: Invalid value: "kuscia.job.custom-fields/": name part must be non-empty, '
            f'metadata.labels: Invalid value: "kuscia.job.custom-fields/": name part {NAME_PART}]',
        ),
        (
            {"custom_fields": {"a/b": "v"}},
            f"a qualified name {NAME_PART} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
        ),
    ],
)
async def test_rejects_what_breaks_the_crd(master: Caller, more: dict[str, Any], text: str) -> None:
    status = (await master.post("create", request(**more)))["status"]
    assert status["code"] == 11201
    assert status["message"].startswith('KusciaJob.kuscia.secretflow "j" is invalid: ')
    assert text in status["message"]


async def test_custom_field_is_a_label(master: Caller) -> None:
    fields = {"k" * 63: "v" * 63, "a.b_c-D": ""}
    assert (await master.post("create", request(custom_fields=fields)))["status"]["code"] == 0
    assert (await master.post("query", {"job_id": "j"}))["data"]["custom_fields"] == fields


async def test_rejects_id_that_is_not_a_name(master: Caller) -> None:
    status = (await master.post("create", request(job_id="a..b")))["status"]
    assert status["code"] == 11201
    name = 'KusciaJob.kuscia.secretflow "a..b" is invalid: metadata.name: Invalid value: "a..b": '
    assert status["message"].startswith(f"{name}a lowercase RFC 1123 subdomain must consist of ")


async def test_rejects_more_than_128_tasks(master: Caller) -> None:
    tasks = [{"app_image": "ok", "alias": f"a{n}", "parties": [{"domain_id": "alice"}]} for n in range(129)]
    status = (await master.post("create", request(tasks=tasks)))["status"]
    assert "spec.tasks: Too many: 129: must have at most 128 items" in status["message"]
    assert (await master.post("create", request(tasks=tasks[:128])))["status"]["code"] == 0
    # The maximum number of dependencies of a task (Kuscia's crds/v1alpha1/kuscia.secretflow_kusciajobs.yaml).
    status = (await master.post("create", request("k", task={"dependencies": ["a"] * 129})))["status"]
    assert "spec.tasks[0].dependencies: Too many: 129: must have at most 128 items" in status["message"]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"tasks": [], "initiator": ""}, "tasks can not be empty"),
        ({"initiator": "", "task": {"alias": ""}}, "initiator can not be empty"),
        ({"task": {"alias": "", "parties": []}}, "task alias can not be empty on tasks[0]"),
        ({"task": {"parties": [{"domain_id": "a", "bandwidth_limits": [{"destination_id": "b"}]}]}},
         "bandwidth limit kbps can not be zero or negative"),
        ({"task": {"parties": [{"domain_id": "a", "bandwidth_limits": [{"limit_kbps": 1}]}]}},
         "bandwidth limit destination id can not be empty"),
        ({"task": {"parties": [{"domain_id": "a", "resources": {"cpu": "x"}, "bandwidth_limits": [{}]}]}},
         "parse input cpu resource failed: quantities must match the regular expression "
         "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
    ],
)  # fmt: skip
async def test_kusciaapi_checks_come_first(master: Caller, more: dict[str, Any], text: str) -> None:
    status = (await master.post("create", request(**more)))["status"]
    assert (status["code"], status["message"]) == (11100, text)


async def test_fills_in_schedule(master: Caller) -> None:
    await master.post("create", request(task={"schedule_config": {"task_timeout_seconds": -1}}))
    assert (await master.post("query", {"job_id": "j"}))["data"]["tasks"][0]["schedule_config"] == {
        "task_timeout_seconds": 300,
        "resource_reserved_seconds": 30,
        "resource_reallocation_interval_seconds": 30,
    }


@pytest.mark.parametrize("path", ["query", "stop", "cancel", "suspend", "restart", "delete", "approve"])
async def test_every_call_requires_the_id(master: Caller, path: str) -> None:
    answer = await master.post(path, {})
    assert answer["status"] == {"code": 11100, "message": "job id can not be empty", "details": []}
    assert answer["data"] is None


async def test_approval_requires_a_result(store: LocalStore, master: Caller) -> None:
    await master.post("create", request())
    await JobController(store).round()
    assert (await master.post("approve", {"job_id": "j"}))["status"]["message"] == "request result must be legal"
    answer = await master.post("approve", {"job_id": "j", "result": "APPROVE_RESULT_REJECT"})
    assert answer["status"]["code"] == 0
    status = (await master.post("query", {"job_id": "j"}))["data"]["status"]
    assert {entry["state"] for entry in status["approve_status_list"]} == {"JobRejected"}


@pytest.mark.parametrize("change", [{"initiator": "nobody"}, {"task": {"parties": [{"domain_id": "nobody"}]}}])
async def test_rejects_approval_of_job_that_never_started(
    store: LocalStore, master: Caller, change: dict[str, Any]
) -> None:
    """ApproveJob in Kuscia's job_service.go reads the parties from an annotation that such a job never gets."""
    await master.post("create", request(**change))
    await JobController(store).round()
    answer = await master.post("approve", {"job_id": "j", "result": "APPROVE_RESULT_ACCEPT"})
    assert answer["status"]["code"] == 0
    assert (await master.post("query", {"job_id": "j"}))["data"]["status"]["approve_status_list"] == []


async def test_domain_reads_only_its_own_jobs(store: LocalStore, master: Caller) -> None:
    await master.post("create", request("both"))
    await master.post("create", request("only-alice", "alice"))
    node = h.make_node(store, "master", "kuscia-system", h.KEY)
    async with calling(api.internal_app(node), **{"Kuscia-Source": "bob"}) as bob:
        assert (await bob.post("query", {"job_id": "both"}))["status"]["code"] == 0
        told = "domain's KusciaAPI could only retrieve the job that the domain as a participant in the job"
        assert (await bob.post("query", {"job_id": "only-alice"}))["status"]["message"] == told
        refused = await bob.post("create", request("new", "alice", initiator="alice"))
        assert refused["status"]["code"] == 11102
        assert (await bob.post("create", request("bobs", "alice", initiator="bob")))["status"]["code"] == 0
        assert (await bob.post("query", {"job_id": "bobs"}))["status"]["code"] == 0
        missing = (await bob.post("delete", {"job_id": "none"}))["status"]
        assert (missing["code"], missing["message"]) == (11102, 'kusciajobs.kuscia.secretflow "none" not found')
        for path in ("delete", "stop", "cancel"):
            assert (await bob.post(path, {"job_id": "only-alice"}))["status"]["code"] == 11102, path
        await bob.post("approve", {"job_id": "both", "result": "APPROVE_RESULT_ACCEPT"})
    status = (await master.post("query", {"job_id": "both"}))["data"]["status"]
    assert status["approve_status_list"] == [{"domain_id": "bob", "state": "JobAccepted"}]


class NoMaster:
    async def post(self, path: str, body: bytes) -> bytes:
        raise MasterUnreachable("no route to the master")


async def test_lite_forwards_to_master(store: LocalStore) -> None:
    node: Node = h.make_node(store, "lite", "alice", h.KEY)
    node.master_api = NoMaster()
    async with calling(api.kusciaapi_app(node)) as lite:
        refused = await lite.post("create", request(initiator="bob"))
        assert refused["status"]["message"] == "initiator is bob, but initiator must be alice in P2P"
        unreachable = await lite.post("create", request())
        assert (unreachable["status"]["code"], unreachable["data"]) == (11103, None)


def objects(text: str) -> list[dict[str, Any]]:
    """Return the consecutive JSON values of a stream."""
    decoder, found = json.JSONDecoder(), []
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


async def test_watch_yields_changes(master: Caller) -> None:
    await master.post("create", request("old"))
    stream = asyncio.create_task(_watch(master, 2))
    await asyncio.sleep(0.3)
    await master.post("create", request("new"))
    await master.post("stop", {"job_id": "new"})
    await master.post("delete", {"job_id": "old"})
    events = objects(await stream)
    # ADDED is 0 and therefore omitted, as are all zero values.
    assert [(event.get("type"), event["object"]["job_id"]) for event in events] == [
        (None, "old"),
        (None, "new"),
        (1, "new"),
        (2, "old"),
    ]
    assert events[0]["object"]["status"]["state"] == "Pending"
    assert "err_msg" not in events[0]["object"]["status"]


async def _watch(master: Caller, seconds: int) -> str:
    answer = await master.client.post("/api/v1/job/watch", json={"timeout_seconds": seconds})
    return await answer.text()


async def test_watch_sends_heartbeats(master: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_api, "HEARTBEAT_SECONDS", 0.4)
    assert await _watch(master, 1) == '{"type":4}{"type":4}'


async def test_job_created_over_http_runs(store: LocalStore, master: Caller) -> None:
    await master.post("create", request("j", "alice", task={"task_id": "t"}))
    node = h.make_node(store, "master", "kuscia-system", h.KEY)
    controller = asyncio.create_task(run_job_controller(node))
    try:

        async def running() -> bool:
            data = (await master.post("query", {"job_id": "j"}))["data"]
            return bool(data["status"]["tasks"][0]["parties"])

        await h.eventually(running, "the task's parties shown")
    finally:
        controller.cancel()
        await asyncio.gather(controller, return_exceptions=True)
