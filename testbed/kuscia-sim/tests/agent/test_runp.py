"""RunP: jobs whose engines are processes next to the lite, without a cluster."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kuscia_sim.agent import AgentStartError, images, run_agent
from kuscia_sim.agent.provider import EngineFiles, PodDenied
from kuscia_sim.agent.runp import RunpProvider
from kuscia_sim.jobs import run_job_controller
from kuscia_sim.node.host import Host
from kuscia_sim.node.node import Agent
from kuscia_sim.state.store import LocalStore
from kuscia_sim_testing import job_harness as h

PROGRAM = """
import json, os, pathlib, sys
config = json.loads(pathlib.Path(sys.argv[1]).read_text())
same = json.loads(pathlib.Path("kuscia/task-config.conf").read_text())
assert config == same
assert pathlib.Path(os.environ["CLIENT_CERT_FILE"]).read_text().startswith("-----BEGIN CERTIFICATE")
assert os.environ["OF_THE_IMAGE"] == "yes"
assert os.environ["OF_KUSCIA"] == "too"
assert not pathlib.Path("/work/kuscia").exists()
ports = {port["name"]: port["port"] for port in json.loads(config["allocated_ports"])["ports"]}
assert ports["psi"] == int(os.environ["KUSCIA_PORT_PSI_NUMBER"])
print(config["task_id"])
print("KUSCIA_SIM_HOME" in os.environ)
"""


class Lab:
    def __init__(self, store: LocalStore, path: Path) -> None:
        self.store = store
        self.jobs = h.Jobs(store)
        self.path = path
        self.agents: dict[str, Agent] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        master = h.make_node(self.store, "master", "kuscia-system", h.KEY)
        self.tasks.append(asyncio.create_task(run_job_controller(master)))
        for domain in h.DOMAINS:
            home = self.path / domain
            image = {"Entrypoint": [sys.executable], "Env": ["OF_THE_IMAGE=yes"]}
            images.register(home / images.STORE, h.IMAGE, image)
            node = h.make_node(self.store, "lite", domain, h.KEY)
            object.__setattr__(node.config, "runtime", "runp")
            ready = asyncio.Event()
            place = Host(home, "127.0.0.1", 0, node.hostname, "127.0.0.1", False)
            self.tasks.append(asyncio.create_task(run_agent(node, place, ready)))
            await asyncio.wait_for(ready.wait(), 5)
            assert node.agent is not None
            self.agents[domain] = node.agent

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    store = await h.open_store(tmp_path)
    made = Lab(store, tmp_path)
    await made.start()
    yield made
    await made.close()
    await store.close()


async def test_two_party_job_succeeds(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_KUSCIA", "too")
    monkeypatch.setenv("KUSCIA_SIM_HOME", "/x")
    args = ["-c", PROGRAM, "./kuscia/task-config.conf"]
    await h.add_app_image(lab.store, "program", "", command=None, args=args)
    await lab.jobs.create(h.job_request("j", "program"))
    status = await h.wait_state(lab.jobs, "j", "Succeeded", 20)
    assert [entry["err_msg"] for entry in status["tasks"][0]["parties"]] == ["", ""]
    for domain in h.DOMAINS:
        following = aiter(lab.agents[domain].task_log("j-only", 0, "", True))
        assert [await anext(following), await anext(following)] == ["j-only", "False"]

    async def gone() -> bool:
        return not any(list((lab.path / domain / "var/runp").iterdir()) for domain in h.DOMAINS)

    await h.eventually(gone, "the engines' directories gone", 15)


async def test_reports_failed_engine(lab: Lab) -> None:
    await h.add_app_image(lab.store, "fail", "echo boom >&2; exit 3")
    await lab.jobs.create(h.job_request("j", "fail"))
    status = await h.wait_state(lab.jobs, "j", "Failed", 20)
    assert 'container[engine] terminated state reason "Error", message: "boom\\n"' in status["err_msg"]


async def test_absolute_paths_are_those_of_kuscia(lab: Lab) -> None:
    """The mounts of the pod are not visible there: an engine of a built-in image shares the root directory."""
    await h.add_app_image(lab.store, "absolute", "cat /work/kuscia/task-config.conf")
    await lab.jobs.create(h.job_request("j", "absolute"))
    status = await h.wait_state(lab.jobs, "j", "Failed", 20)
    assert "/work/kuscia/task-config.conf: No such file or directory" in status["err_msg"]


async def test_rejects_image_with_layers(lab: Lab) -> None:
    provider = RunpProvider(lab.path / "alice", "alice", "lite", "127.0.0.1")
    await provider.start()
    standard = images.Image((), (), (), built_in=False)
    provider._images["docker.io/library/other:2"] = standard
    container = h.container("true") | {"image": "docker.io/library/other:2", "env": [], "volumeMounts": []}
    pod = {"metadata": {"name": "p", "uid": "u"}, "spec": {"containers": [container]}}
    with pytest.raises(PodDenied, match=r"docker\.io/library/other:2"):
        await provider.create(pod, EngineFiles({}, {}))


async def test_rejects_image_that_is_not_built_in(lab: Lab) -> None:
    await h.add_app_image(lab.store, "other", "true", "docker.io/library/other:2")
    await lab.jobs.create(h.job_request("j", "other"))
    status = await h.wait_state(lab.jobs, "j", "Failed", 20)
    assert "ErrImageNeverPull" in status["err_msg"]
    assert h.IMAGE in status["err_msg"]


async def test_stopping_job_ends_its_processes(lab: Lab) -> None:
    marker = lab.path / "started"
    await h.add_app_image(lab.store, "long", f"echo $$ >> {marker}; sleep 600")
    await lab.jobs.create(h.job_request("j", "long"))

    async def started() -> bool:
        return marker.exists() and len(marker.read_text().split()) == 2

    await h.eventually(started, "both engines started", 20)
    await lab.jobs.command("stop", "j")

    async def ended() -> bool:
        return not any(Path(f"/proc/{pid}").exists() for pid in marker.read_text().split())

    await h.eventually(ended, "both engines ended", 20)


async def test_child_processes_end_with_engine(lab: Lab) -> None:
    marker = lab.path / "child"
    await h.add_app_image(lab.store, "parent", f"sleep 600 & echo $! >> {marker}")
    await lab.jobs.create(h.job_request("j", "parent"))
    await h.wait_state(lab.jobs, "j", "Succeeded", 20)
    assert not any(is_running(pid) for pid in marker.read_text().split())


def is_running(pid: str) -> bool:
    """Tell whether a process runs and is not a zombie."""
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


async def test_engines_end_with_agent(lab: Lab) -> None:
    marker = lab.path / "started"
    await h.add_app_image(lab.store, "long", f"echo $$ >> {marker}; sleep 600")
    await lab.jobs.create(h.job_request("j", "long", "alice"))

    async def started() -> bool:
        return marker.exists() and bool(marker.read_text().split())

    await h.eventually(started, "the engine started", 20)
    await lab.close()
    assert not Path(f"/proc/{marker.read_text().strip()}").exists()


async def test_does_not_start_with_unreadable_store(tmp_path: Path) -> None:
    images.register(tmp_path / images.STORE, h.IMAGE, {})
    (tmp_path / images.STORE / "repositories/index.json").write_text("{")
    with pytest.raises(AgentStartError, match=r"failed to init runtime process.*index\.json"):
        await RunpProvider(tmp_path, "alice", "lite", "127.0.0.1").start()
