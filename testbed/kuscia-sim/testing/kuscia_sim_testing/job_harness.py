"""A master's store with two domains ready for jobs, for tests of jobs and agents without gateways."""

import asyncio
import dataclasses
import datetime
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from kuscia_sim import credentials
from kuscia_sim.api import job as job_api
from kuscia_sim.jobs import names
from kuscia_sim.node.config import Capacity, Config, Runk
from kuscia_sim.node.node import Node
from kuscia_sim.state.datastore import datastore_url
from kuscia_sim.state.store import LocalStore, NotFound, Object
from kuscia_sim.transport.endpoints import Context

DOMAINS = ("alice", "bob")
IMAGE = "docker.io/local/engine:1"
TEMPLATE = (
    '{\n "task_id": "{{.TASK_ID}}",\n "task_input_config": "{{.TASK_INPUT_CONFIG}}",\n'
    ' "task_cluster_def": "{{.TASK_CLUSTER_DEFINE}}",\n "allocated_ports": "{{.ALLOCATED_PORTS}}"\n}\n'
)


async def open_store(path: Path) -> LocalStore:
    """Return a store with cross-domain, alice and bob, each with a Ready node."""
    store = await LocalStore.open(datastore_url("", str(path / "kine.db")), "kuscia-system")
    await populate(store)
    return store


async def populate(store: LocalStore) -> None:
    for name in (names.CROSS_DOMAIN, *DOMAINS):
        await store.create("namespaces", "", name, {})
    for domain in DOMAINS:
        await add_node(store, domain)


async def add_node(store: LocalStore, domain: str, cpu: str = "4", memory: str = "8Gi", ready: str = "True") -> None:
    await store.create(
        "nodes",
        "",
        f"lite-{domain}",
        {
            "metadata": {"labels": {names.LABEL_NAMESPACE: domain}},
            "status": {
                "conditions": [{"type": "Ready", "status": ready}],
                "allocatable": {"cpu": cpu, "memory": memory, "pods": "500"},
            },
        },
    )


def container(script: str, **more: Any) -> dict[str, Any]:
    return {
        "name": "engine",
        "command": ["sh"],
        "args": ["-c", script],
        "workingDir": "/work",
        "configVolumeMounts": [{"mountPath": "/work/kuscia/task-config.conf", "subPath": "task-config.conf"}],
        "ports": [
            {"name": "psi", "protocol": "HTTP", "scope": "Cluster"},
            {"name": "global", "protocol": "HTTP", "scope": "Domain"},
            {"name": "local", "protocol": "GRPC", "scope": "Local"},
        ],
        **more,
    }


async def add_app_image(
    store: LocalStore, name: str, script: str, image: str = IMAGE, replicas: int = 1, **more: Any
) -> None:
    """Create an AppImage with one container that runs `sh -c script`."""
    repository, _, tag = image.rpartition(":")
    template = {"name": "engine", "role": "", "replicas": replicas, "spec": {"restartPolicy": "Never"}}
    template["spec"]["containers"] = [container(script) | more]  # type: ignore[index]
    spec = {
        "image": {"name": repository, "tag": tag},
        "configTemplates": {"task-config.conf": TEMPLATE},
        "deployTemplates": [template],
    }
    await store.create("appimages", "", name, {"spec": spec})


def make_node(store: LocalStore, mode: str, domain: str, key: RSAPrivateKey, **config: Any) -> Node:
    """Return a node on `store`, on which a lite's agent can be started."""
    return Node(
        config=Config(
            mode=mode,
            domain_id=domain,
            protocol="NOTLS",
            runtime="runk" if mode == "lite" else "",
            capacity=Capacity(cpu="4", memory="8Gi", pods="500", storage="100Gi"),
            **config,
        ),
        mode=mode,
        domain_id=domain,
        master_id="kuscia-system",
        hostname=f"lite-{domain}" if mode == "lite" else "master",
        version="test",
        store=store,
        key=key,
        started=datetime.datetime.now(datetime.UTC),
        master_reachable=lambda: True,
    )


def runk(namespace: str, kubeconfig: str = "", logging: bool = False) -> Runk:
    return Runk(namespace=namespace, kubeconfig_file=kubeconfig, dns_servers=("10.96.0.53",), enable_logging=logging)


KEY = credentials.new_key()


def context(store: LocalStore, role: str = "master", source: str = "") -> Context:
    return Context(make_node(store, "master", "kuscia-system", KEY), role, source)


def job_request(job_id: str, app_image: str, *parties: str, **more: Any) -> dict[str, Any]:
    """Return a parsed job/create request with one task of alias `only` and ID `<job>-only`."""
    task = task_request(app_image, *(parties or DOMAINS), alias="only", task_id=f"{job_id}-only")
    request = {
        "job_id": job_id,
        "initiator": "alice",
        "max_parallelism": 2,
        "tasks": [task],
        "custom_fields": {},
    }
    return request | more


def task_request(app_image: str, *parties: str, **more: Any) -> dict[str, Any]:
    return job_api.TaskRequest.defaults() | {
        "app_image": app_image,
        "parties": [job_api.Party.defaults() | {"domain_id": domain} for domain in parties],
        "task_input_config": '{"a":"b"}',
        **more,
    }


@dataclasses.dataclass
class Jobs:
    """The job calls of KusciaAPI on one store, with the master as caller."""

    store: LocalStore

    async def create(self, request: dict[str, Any]) -> None:
        await job_api.create(context(self.store), request)

    async def status(self, job_id: str) -> dict[str, Any]:
        answer = await job_api.query(context(self.store), {"job_id": job_id})
        found: dict[str, Any] = answer["data"]["status"]
        return found

    async def command(self, name: str, job_id: str) -> None:
        await getattr(job_api, name)(context(self.store), {"job_id": job_id, "reason": ""})


async def eventually(check: Callable[[], Awaitable[Any]], what: str, seconds: float = 10.0) -> Any:
    """Return the first true value of `check`; fail with `what` and the last value after `seconds`."""
    last: Any = None
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        last = await check()
        if last:
            return last
        await asyncio.sleep(0.05)
    raise AssertionError(f"not in {seconds} s: {what}; last: {last!r}")


async def wait_state(jobs: Jobs, job_id: str, state: str, seconds: float = 10.0) -> dict[str, Any]:
    """Return the job's status once it has that state."""
    status: dict[str, Any] = {}

    async def check() -> bool:
        nonlocal status
        status = await jobs.status(job_id)
        return bool(status["state"] == state)

    try:
        await eventually(check, f"{job_id} {state}", seconds)
    except AssertionError as err:
        raise AssertionError(f"{err}: {status}") from err
    return status


async def find(store: LocalStore, kind: str, namespace: str, name: str) -> Object | None:
    try:
        return await store.get(kind, namespace, name)
    except NotFound:
        return None
