"""The agent's rounds on a host that the tests control."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kuscia_sim import credentials
from kuscia_sim.agent import AgentStartError, run_agent
from kuscia_sim.agent.agent import Agent
from kuscia_sim.agent.capacity import Room
from kuscia_sim.agent.environment import EnvImport
from kuscia_sim.agent.logs import PodLogs
from kuscia_sim.agent.pod_status import LOST_MESSAGE
from kuscia_sim.agent.provider import EngineFiles, HostUnreachable, PodDenied
from kuscia_sim.api import config as config_api
from kuscia_sim.controllers.pod_gc import PodCollector
from kuscia_sim.jobs import names
from kuscia_sim.jobs.controller import JobController
from kuscia_sim.node import heartbeat
from kuscia_sim.node.host import Host
from kuscia_sim.state.store import LocalStore, Object
from kuscia_sim.transport.endpoints import Context
from kuscia_sim_testing import job_harness as h

ROOM = {"cpu": "4", "memory": "8Gi"}
ENV_IMPORT = EnvImport({}, Room(ROOM, ROOM), by_image=False)


class MemoryHost:
    """A Provider with pods in memory; tests change them. `create` raises the errors in `errors`, one per call."""

    def __init__(self) -> None:
        self.pods: dict[str, Object] = {}
        self.files: dict[str, EngineFiles] = {}
        self.started: dict[str, Object] = {}
        self.errors: list[Exception] = []
        self.lines: list[str] = []
        self.swept: list[tuple[set[str], set[str]]] = []
        self.event = asyncio.Event()

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def ping(self) -> None:
        if self.errors:
            raise self.errors.pop(0)

    async def existing(self) -> dict[str, Object]:
        return dict(self.pods)

    async def create(self, pod: Object, files: EngineFiles) -> None:
        if self.errors:
            raise self.errors.pop(0)
        name = pod["metadata"]["name"]
        labels = {names.LABEL_POD_UID: pod["metadata"]["uid"], names.LABEL_NODE: pod["spec"]["nodeName"]}
        self.pods[name] = {"metadata": {"name": name, "labels": labels}, "status": {"phase": names.PENDING}}
        self.files[name] = files
        self.started[name] = pod

    async def delete(self, pod_name: str) -> None:
        self.pods.pop(pod_name, None)

    async def sweep(self, keep: set[str], ready: set[str]) -> None:
        self.swept.append((keep, ready))

    async def wait(self, timeout: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.event.wait(), timeout)

    async def log(self, pod_name: str, container: str, follow: bool) -> AsyncIterator[str]:
        for line in self.lines:
            yield line

    def move(self, name: str, phase: str, **state: Any) -> None:
        self.pods[name]["status"] = {
            "phase": phase,
            "podIP": "10.1.2.3",
            "containerStatuses": [{"name": "engine", "state": state or {"running": {}}}],
        }


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    opened = await h.open_store(tmp_path)
    await h.add_app_image(opened, "ok", "true")
    await h.Jobs(opened).create(h.job_request("j", "ok"))
    for _ in range(4):
        await JobController(opened).round()
    yield opened
    await opened.close()


@pytest.fixture
def host() -> MemoryHost:
    return MemoryHost()


def agent(store: LocalStore, host: MemoryHost, path: Path, keep_logs: bool = False) -> Agent:
    node = h.make_node(store, "lite", "alice", h.KEY)
    return Agent(node, host, PodLogs(path / "stdout", "alice", host), keep_logs, ENV_IMPORT)


async def pod_status(store: LocalStore) -> dict[str, Any]:
    found: dict[str, Any] = (await store.get("pods", "alice", "j-only-0"))["status"]
    return found


async def test_starts_pod_with_configuration(store: LocalStore, host: MemoryHost, tmp_path: Path) -> None:
    await agent(store, host, tmp_path).round()
    assert list(host.pods) == ["j-only-0"]
    files = host.files["j-only-0"]
    assert '"task_id": "j-only"' in files.config["task-config.conf"]
    assert r'"task_input_config": "{\"a\":\"b\"}"' in files.config["task-config.conf"]
    assert r"\"selfPartyIdx\":0" in files.config["task-config.conf"]
    assert sorted(files.certs) == ["ca.crt", "client.crt", "client.key", "server.crt", "server.key"]


async def test_does_not_store_added_environment(store: LocalStore, host: MemoryHost, tmp_path: Path) -> None:
    await agent(store, host, tmp_path).round()
    env = {entry["name"]: entry["value"] for entry in host.started["j-only-0"]["spec"]["containers"][0]["env"]}
    assert (env["CONTAINER_CPU_LIMIT"], env["CONTAINER_MEM_LIMIT"]) == ("3.20", "6553Mi")
    kept = await store.get("pods", "alice", "j-only-0")
    assert "CONTAINER_CPU_LIMIT" not in str(kept)


async def set_template(store: LocalStore, text: str) -> None:
    templates = await store.get("configmaps", "alice", "j-only-configtemplate")
    templates["data"]["task-config.conf"] = text
    await store.update("configmaps", "alice", "j-only-configtemplate", templates)


async def test_template_uses_node_configuration(store: LocalStore, host: MemoryHost, tmp_path: Path) -> None:
    one = agent(store, host, tmp_path)
    await set_template(
        store, "{{.DB}} {{{.DB.users[1].name}}} {{.CONTAINER_CPU_LIMIT}} {{.NO_KEY}}|{{.SERVER_CERT_FILE}}"
    )
    node = h.make_node(store, "lite", "alice", h.KEY)
    encrypted = credentials.encrypt(h.KEY.public_key(), b'{"users":[{"name":"a"},{"name":"b"}]}')
    await store.create("configmaps", "alice", "domain-config", {"data": {"DB": encrypted}})
    assert await config_api.read(Context(node, "domain", "alice"), "DB")
    await one.round()
    assert host.files["j-only-0"].config["task-config.conf"] == (
        r"{\"users\":[{\"name\":\"a\"},{\"name\":\"b\"}]} b 3.20 |kuscia/certs/server.crt"
    )


@pytest.mark.parametrize("template", ["{{foo .X}}", "{{.X"])
async def test_invalid_template_keeps_pod_waiting(
    store: LocalStore, host: MemoryHost, tmp_path: Path, template: str
) -> None:
    """As after any error of a hook; only a denial by a webhook of the host cluster fails the pod."""
    one = agent(store, host, tmp_path)
    await set_template(store, template)
    await one.round()
    assert ((await pod_status(store))["phase"], host.pods) == (names.PENDING, {})
    await set_template(store, "x")
    await one.round()
    assert list(host.pods) == ["j-only-0"]


async def test_unsupported_template_fails_pod(store: LocalStore, host: MemoryHost, tmp_path: Path) -> None:
    await set_template(store, "{{range .X}}{{end}}")
    await agent(store, host, tmp_path).round()
    status = await pod_status(store)
    assert status["phase"] == names.FAILED
    assert "renders variables only" in status["message"]


async def test_endpoints_exist_while_engine_runs(store: LocalStore, host: MemoryHost, tmp_path: Path) -> None:
    one = agent(store, host, tmp_path)
    await one.round()
    host.move("j-only-0", names.RUNNING)
    await one.round()
    found = {entry["metadata"]["name"]: entry["spec"] for entry in await store.list("endpoints", "alice")}
    assert sorted(found) == ["j-only-0-global", "j-only-0-psi"]
    psi = found["j-only-0-psi"]
    assert psi["host"] == "j-only-0-psi.alice.svc"
    assert (psi["ip"], psi["scope"], psi["protocol"], psi["task"]) == (
        "10.1.2.3",
        "Cluster",
        "HTTP",
        "j-only",
    )
    assert psi["accessDomains"] == ["alice", "bob"]
    host.move("j-only-0", names.SUCCEEDED, terminated={"exitCode": 0, "reason": "Completed"})
    await one.round()
    await one.round()
    assert await store.list("endpoints", "alice") == []


async def test_updates_endpoints_when_address_changes(store: LocalStore, host: MemoryHost, tmp_path: Path) -> None:
    one = agent(store, host, tmp_path)
    await one.round()
    host.move("j-only-0", names.RUNNING)
    await one.round()
    host.pods["j-only-0"]["status"]["podIP"] = "10.9.9.9"
    await one.round()
    assert {entry["spec"]["ip"] for entry in await store.list("endpoints", "alice")} == {"10.9.9.9"}


async def test_deleted_engine_fails_pod(store: LocalStore, host: MemoryHost, tmp_path: Path) -> None:
    one = agent(store, host, tmp_path)
    await one.round()
    host.move("j-only-0", names.RUNNING)
    await one.round()
    del host.pods["j-only-0"]
    await one.round()
    for _ in range(3):
        await JobController(store).round()
    status = await h.Jobs(store).status("j")
    assert status["state"] == "Failed"
    assert "failed party[alice]" in status["tasks"][0]["err_msg"]
    assert "threshold 2" in status["tasks"][0]["err_msg"]
    assert LOST_MESSAGE in status["err_msg"]
    assert host.pods == {}


async def test_node_of_same_name_finds_existing_engines(store: LocalStore, host: MemoryHost, tmp_path: Path) -> None:
    await agent(store, host, tmp_path).round()
    host.move("j-only-0", names.RUNNING)
    await agent(store, host, tmp_path).round()
    assert (await pod_status(store))["phase"] == names.RUNNING


async def test_node_of_another_name_ignores_existing_engines(
    store: LocalStore, host: MemoryHost, tmp_path: Path
) -> None:
    """The engine continues without a report: its pod is removed with its node, and the task fails."""
    await agent(store, host, tmp_path).round()
    node = h.make_node(store, "lite", "alice", h.KEY)
    node.hostname = "lite-alice-2"
    again = Agent(node, host, PodLogs(tmp_path / "stdout", "alice", host), False, ENV_IMPORT)
    host.move("j-only-0", names.RUNNING)
    await again.round()
    pod = await store.get("pods", "alice", "j-only-0")
    assert (pod["status"]["phase"], pod["spec"]["nodeName"]) == (names.PENDING, "lite-alice")
    assert list(host.pods) == ["j-only-0"]
    await store.delete("nodes", "", "lite-alice")
    collector = PodCollector(store)
    for moment in (0, 20, 39):
        await collector.round(moment)
    assert await pod_status(store)
    await collector.round(40)
    assert await store.list("pods", "alice") == []
    for _ in range(3):
        await JobController(store).round()
    task = (await h.Jobs(store).status("j"))["tasks"][0]
    assert (task["state"], task["parties"][0]["state"]) == ("Failed", "Failed")
    assert "Does not find the pod" in {party["err_msg"].rstrip(";") for party in task["parties"]}


async def test_node_that_returns_in_time_keeps_pods(store: LocalStore) -> None:
    node = await store.get("nodes", "", "lite-alice")
    await store.delete("nodes", "", "lite-alice")
    collector = PodCollector(store)
    await collector.round(0)
    await store.create("nodes", "", "lite-alice", node)
    await collector.round(20)
    await store.delete("nodes", "", "lite-alice")
    await collector.round(50)
    assert len(await store.list("pods", "alice")) == 1


async def test_agent_finds_pod_created_before_crash(store: LocalStore, host: MemoryHost, tmp_path: Path) -> None:
    pod = await store.get("pods", "alice", "j-only-0")
    await host.create(pod, EngineFiles({}, {}))
    host.move("j-only-0", names.RUNNING)
    await agent(store, host, tmp_path).round()
    assert (await pod_status(store))["phase"] == names.RUNNING


async def test_denied_pod_fails_task(store: LocalStore, host: MemoryHost, tmp_path: Path) -> None:
    host.errors = [PodDenied("Failed to apply pod")]
    await agent(store, host, tmp_path).round()
    status = await pod_status(store)
    assert (status["phase"], status["reason"], status["message"]) == (
        names.FAILED,
        "Pod was denied by provider",
        "Failed to apply pod",
    )
    assert status["containerStatuses"][0]["state"]["terminated"] == {
        "exitCode": 125,
        "reason": "Error",
        "message": "Pod was not created, so container was not created",
    }


async def test_retries_host_errors(store: LocalStore, host: MemoryHost, tmp_path: Path) -> None:
    host.errors = [OSError("connection refused")]
    one = agent(store, host, tmp_path)
    await one.round()
    assert host.pods == {}
    await one.round()
    assert list(host.pods) == ["j-only-0"]


async def test_removes_unknown_pods(store: LocalStore, host: MemoryHost, tmp_path: Path) -> None:
    one = agent(store, host, tmp_path)
    await one.round()
    await h.Jobs(store).command("delete", "j")
    await one.round()
    assert host.pods == {}


async def test_sweep_removes_pods_of_earlier_node(store: LocalStore, host: MemoryHost, tmp_path: Path) -> None:
    """Kuscia checks such pods once a minute, and deletes only those that are not in the store."""
    labels = {names.LABEL_POD_UID: "x", names.LABEL_NODE: "lite-alice-of-yesterday"}
    host.pods["left-0"] = {"metadata": {"name": "left-0", "labels": labels}, "status": {}}
    await agent(store, host, tmp_path).round()
    assert "left-0" in host.pods
    assert host.swept == [({"j-only-0"}, {"lite-alice", "lite-bob"})]


async def test_replaces_pod_of_earlier_run(store: LocalStore, host: MemoryHost, tmp_path: Path) -> None:
    labels = {names.LABEL_POD_UID: "of-an-earlier-run"}
    host.pods["j-only-0"] = {"metadata": {"name": "j-only-0", "labels": labels}, "status": {}}
    one = agent(store, host, tmp_path)
    await one.round()
    assert host.pods == {}
    await one.round()
    assert host.pods["j-only-0"]["metadata"]["labels"][names.LABEL_POD_UID] != "of-an-earlier-run"


async def test_logs_are_readable_after_end(store: LocalStore, host: MemoryHost, tmp_path: Path) -> None:
    host.lines = ["one", "two"]
    one = agent(store, host, tmp_path, keep_logs=True)
    await one.round()
    host.move("j-only-0", names.RUNNING)
    await one.round()
    for _ in range(2):
        await JobController(store).round()

    async def copied() -> list[str]:
        try:
            return [line async for line in one.task_log("j-only", 0, "", False)]
        except LookupError:
            return []

    assert await h.eventually(copied, "the engine's lines") == ["one", "two"]
    following = aiter(one.task_log("j-only", 0, "engine", True))
    assert [await anext(following), await anext(following)] == ["one", "two"]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await anext(following)
    with pytest.raises(LookupError, match="can't find pod log path"):
        await anext(aiter(one.task_log("j-only", 0, "nosuch", False)))
    with pytest.raises(LookupError, match="can't find pod log directory for alice_j-only-7, err: <nil>"):
        await anext(aiter(one.task_log("j-only", 7, "", False)))
    await one.close()


async def test_unreachable_host_stops_heartbeats(
    store: LocalStore, host: MemoryHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "PING_PERIOD", 0.05)
    node = h.make_node(store, "lite", "alice", h.KEY)
    node.hostname = "lite-alice-2"
    node.agent = agent(store, host, tmp_path)
    host.errors = [HostUnreachable("forbidden") for _ in range(100)]
    record = heartbeat.NodeRecord(node, Host(tmp_path, "127.0.0.1", 0, "lite-alice-2", "127.0.0.1", False))
    await record.register()
    beating = asyncio.create_task(record.run())
    await h.eventually(lambda: _fewer(host, 95), "pings of the host")
    assert not heartbeat.is_ready(await store.get("nodes", "", "lite-alice-2"))
    host.errors.clear()
    await h.eventually(lambda: _is_ready(store), "a heartbeat")
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)


async def _fewer(host: MemoryHost, than: int) -> bool:
    return len(host.errors) < than


async def _is_ready(store: LocalStore) -> bool:
    return heartbeat.is_ready(await store.get("nodes", "", "lite-alice-2"))


async def test_rejects_unknown_runtime(store: LocalStore, tmp_path: Path) -> None:
    node = h.make_node(store, "lite", "alice", h.KEY)
    object.__setattr__(node.config, "runtime", "podman")
    place = Host(tmp_path, "127.0.0.1", 0, "lite", "127.0.0.1", False)
    with pytest.raises(AgentStartError, match="unknown runtime"):
        await run_agent(node, place)
