"""Jobs from API objects to real pods: the controller and two agents on one store, without gateways.

Needs the local cluster; uses its own namespaces. Image: $SIM_TEST_IMAGE, or that of the hooks.
"""

import asyncio
import base64
import json
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import yaml

from kuscia_sim.agent import AgentStartError, run_agent
from kuscia_sim.agent.agent import Agent
from kuscia_sim.agent.pod_status import LOST_MESSAGE
from kuscia_sim.jobs import names, run_job_controller
from kuscia_sim.node.host import Host
from kuscia_sim.state.store import LocalStore
from kuscia_sim_testing import job_harness as h
from testbed.cluster.kubectl import Kubectl
from testbed.cluster.local import Cluster
from testbed.images import builder

pytestmark = pytest.mark.cluster

RESOURCES = ["pods", "configmaps", "secrets"]
VERBS = ["get", "list", "watch", "create", "delete"]


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster(os.environ.get("CLUSTER", "kuscia"))


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster) -> Kubectl:
    return Kubectl(cluster.kubeconfig)


@pytest.fixture(scope="module")
def image(cluster: Cluster) -> str:
    if os.environ.get("SIM_TEST_IMAGE"):
        return os.environ["SIM_TEST_IMAGE"]
    built = builder.build(["kuscia-hooks"])
    builder.load(cluster, list(built.values()))
    return built["kuscia-hooks"].ref


class Namespaces:
    """A namespace for each domain with the ServiceAccount of a lite."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self.suffix = uuid.uuid4().hex[:6]

    def name(self, domain: str) -> str:
        return f"sim-{domain}-{self.suffix}"

    def make(self, domain: str, verbs: list[str]) -> None:
        namespace = self.name(domain)
        rules = [
            {"apiGroups": [""], "resources": RESOURCES, "verbs": verbs},
            {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        ]
        subject = {"kind": "ServiceAccount", "name": "lite", "namespace": namespace}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "runk"}
        objects = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "lite", "namespace": namespace},
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": "runk", "namespace": namespace},
                "rules": rules,
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "runk", "namespace": namespace},
                "roleRef": role,
                "subjects": [subject],
            },
        ]
        self._kubectl.apply(yaml.safe_dump_all(objects))

    def kubeconfig(self, domain: str, path: Path) -> str:
        """Return a kubeconfig of the domain's ServiceAccount."""
        token = self._kubectl.run("create", "token", "lite", "-n", self.name(domain)).strip()
        content = yaml.safe_load(self._kubectl.run("config", "view", "--raw", "--minify"))
        content["users"][0]["user"] = {"token": token}
        file = path / f"kubeconfig-{domain}"
        file.write_text(yaml.safe_dump(content))
        return str(file)

    def items(self, domain: str) -> list[str]:
        """Return the objects in the domain's namespace that an agent may have created."""
        found = self._kubectl.run("get", ",".join(RESOURCES), "-n", self.name(domain), "-o", "json")
        listed = [f"{item['kind']}/{item['metadata']['name']}" for item in json.loads(found)["items"]]
        return [item for item in listed if item != "ConfigMap/kube-root-ca.crt"]

    def remove(self) -> None:
        for domain in h.DOMAINS:
            self._kubectl.run("delete", "namespace", self.name(domain), "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="module")
def namespaces(kubectl: Kubectl) -> Iterator[Namespaces]:
    made = Namespaces(kubectl)
    try:
        for domain in h.DOMAINS:
            made.make(domain, VERBS)
        yield made
    finally:
        made.remove()


class Lab:
    """The controller and both domains' agents in this process."""

    def __init__(self, store: LocalStore, namespaces: Namespaces, path: Path) -> None:
        self.store = store
        self.jobs = h.Jobs(store)
        self.namespaces = namespaces
        self._path = path
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.agents: dict[str, Agent] = {}

    async def start(self) -> None:
        master = h.make_node(self.store, "master", "kuscia-system", h.KEY)
        self._tasks["master"] = asyncio.create_task(run_job_controller(master))
        for domain in h.DOMAINS:
            await self.start_agent(domain)

    async def start_agent(self, domain: str) -> None:
        kubeconfig = self.namespaces.kubeconfig(domain, self._path)
        runk = h.runk(self.namespaces.name(domain), kubeconfig, logging=True)
        node = h.make_node(self.store, "lite", domain, h.KEY, runk=runk)
        place = Host(self._path / domain, "127.0.0.1", 0, node.hostname, "127.0.0.1", False)
        ready = asyncio.Event()
        self._tasks[domain] = asyncio.create_task(run_agent(node, place, ready))
        done, _ = await asyncio.wait(
            [self._tasks[domain], asyncio.create_task(ready.wait())],
            timeout=20,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if self._tasks[domain] in done:
            self._tasks[domain].result()
        assert ready.is_set(), f"agent of {domain} is not ready after 20 s"
        assert isinstance(node.agent, Agent)
        self.agents[domain] = node.agent

    async def stop(self, name: str) -> None:
        task = self._tasks.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        for name in list(self._tasks):
            await self.stop(name)

    async def clean(self) -> bool:
        found = [await asyncio.to_thread(self.namespaces.items, domain) for domain in h.DOMAINS]
        return not any(found)


@pytest.fixture
async def lab(tmp_path: Path, namespaces: Namespaces, image: str) -> AsyncIterator[Lab]:
    store = await h.open_store(tmp_path)
    made = Lab(store, namespaces, tmp_path)
    await h.add_app_image(store, "ok", "cat kuscia/task-config.conf; sleep 3; echo the end", image)
    await h.add_app_image(store, "long", "trap 'exit 1' TERM; sleep 600 & wait", image)
    await h.add_app_image(store, "fail", "echo boom >&2; exit 3", image)
    await h.add_app_image(store, "nopull", "true", "docker.io/local/doesnotexist:x")
    try:
        await made.start()
        yield made
        await h.eventually(made.clean, "nothing left in the engines' namespaces", 60)
    finally:
        await made.close()
        await store.close()


async def test_two_party_job_succeeds(lab: Lab) -> None:
    await lab.jobs.create(h.job_request("one", "ok"))
    assert (await lab.jobs.status("one"))["state"] == "Pending"
    seen = set()

    async def ended() -> bool:
        status = await lab.jobs.status("one")
        seen.add((status["state"], status["tasks"][0]["state"]))
        return bool(status["state"] == "Succeeded")

    await h.eventually(ended, "the job Succeeded", 60)
    assert {("Running", "Pending"), ("Running", "Running"), ("Succeeded", "Succeeded")} <= seen
    for domain in h.DOMAINS:
        lines = [line async for line in lab.agents[domain].task_log("one-only", 0, "", False)]
        config = json.loads("\n".join(lines[:-1]))
        assert lines[-1] == "the end"
        assert config["task_id"] == "one-only"
        assert json.loads(config["task_input_config"]) == {"a": "b"}
        define = json.loads(config["task_cluster_def"])
        assert define["parties"][define["selfPartyIdx"]]["name"] == domain


async def test_reports_failed_engine(lab: Lab) -> None:
    await lab.jobs.create(h.job_request("two", "fail"))
    status = await h.wait_state(lab.jobs, "two", "Failed", 60)
    assert 'container[engine] terminated state reason "Error", message: "boom\\n"' in status["err_msg"]
    assert "less than the task success threshold 2" in status["tasks"][0]["err_msg"]


async def test_waits_for_image_that_cannot_be_pulled(lab: Lab) -> None:
    await lab.jobs.create(h.job_request("three", "nopull"))

    async def said() -> bool:
        parties = (await lab.jobs.status("three"))["tasks"][0].get("parties", [])
        return any("docker.io/local/doesnotexist:x" in entry["err_msg"] for entry in parties)

    await h.eventually(said, "the image named in err_msg", 90)
    assert (await lab.jobs.status("three"))["state"] == "Running"
    await lab.jobs.command("stop", "three")
    await h.wait_state(lab.jobs, "three", "Failed")


async def test_deleted_engine_fails_task(lab: Lab, kubectl: Kubectl) -> None:
    await lab.jobs.create(h.job_request("four", "long"))
    await h.eventually(lambda: running(lab, "four"), "both engines Running", 60)
    where = lab.namespaces.name("bob")
    arguments = ("delete", "pod", "four-only-0", "-n", where, "--grace-period=0", "--force")
    await asyncio.to_thread(kubectl.run, *arguments)
    status = await h.wait_state(lab.jobs, "four", "Failed", 60)
    assert "failed party[bob]" in status["tasks"][0]["err_msg"]
    assert LOST_MESSAGE in status["err_msg"] or "terminated state" in status["err_msg"]


async def test_restarted_agent_finds_its_engines(lab: Lab) -> None:
    await lab.jobs.create(h.job_request("five", "ok"))
    await h.eventually(lambda: running(lab, "five"), "both engines Running", 60)
    await lab.stop("alice")
    await lab.stop("master")
    await lab.start_agent("alice")
    master = h.make_node(lab.store, "master", "kuscia-system", h.KEY)
    lab._tasks["master"] = asyncio.create_task(run_job_controller(master))
    await h.wait_state(lab.jobs, "five", "Succeeded", 60)


async def running(lab: Lab, job_id: str) -> bool:
    parties = (await lab.jobs.status(job_id))["tasks"][0].get("parties", [])
    return len(parties) == 2 and all(entry["state"] == names.RUNNING for entry in parties)


async def test_engine_certificate_is_in_secret(lab: Lab, kubectl: Kubectl) -> None:
    await lab.jobs.create(h.job_request("six", "long"))
    await h.eventually(lambda: running(lab, "six"), "both engines Running", 60)
    where = lab.namespaces.name("alice")
    found = await asyncio.to_thread(kubectl.run, "get", "secret", "six-only-0-certs", "-n", where, "-o", "json")
    data = json.loads(found)["data"]
    assert base64.b64decode(data["client.crt"]).startswith(b"-----BEGIN CERTIFICATE-----")
    await lab.jobs.command("delete", "six")


async def test_does_not_start_without_permission_to_get_pods(kubectl: Kubectl, tmp_path: Path) -> None:
    store = await h.open_store(tmp_path)
    other = Namespaces(kubectl)
    other.make("alice", ["create"])
    try:
        runk = h.runk(other.name("alice"), other.kubeconfig("alice", tmp_path))
        node = h.make_node(store, "lite", "alice", h.KEY, runk=runk)
        place = Host(tmp_path, "127.0.0.1", 0, "lite", "127.0.0.1", False)
        with pytest.raises(AgentStartError, match='pods "test" is forbidden'):
            await run_agent(node, place)
    finally:
        other.remove()
        await store.close()
