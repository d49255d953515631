"""The agent of a lite: runs the pods that the master bound to this node and reports their status.

It ignores pods bound to an earlier node of the domain, as Kuscia's pkg/agent/source/apiserver.go does. The master
removes them with their node (controllers/pod_gc.py).
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable

from kuscia_sim import credentials
from kuscia_sim.agent import pod_status, templates
from kuscia_sim.agent.capacity import room
from kuscia_sim.agent.certs import DIRECTORY, ENVIRONMENT, engine_files
from kuscia_sim.agent.environment import EnvImport
from kuscia_sim.agent.errors import AgentStartError
from kuscia_sim.agent.logs import PodLogs
from kuscia_sim.agent.provider import EngineFiles, PodDenied, Provider, pod_label
from kuscia_sim.agent.runc import RuncProvider
from kuscia_sim.agent.runk import RunkProvider, engine_labels
from kuscia_sim.agent.runp import RunpProvider
from kuscia_sim.api.config import read as read_config
from kuscia_sim.jobs import names
from kuscia_sim.jobs.schedule import is_ready
from kuscia_sim.node.host import Host
from kuscia_sim.node.node import Node
from kuscia_sim.state.store import AlreadyExists, Conflict, NotFound, Object, owner_reference
from kuscia_sim.transport.endpoints import ApiError, Context

log = logging.getLogger("agent")

ACTIVE_SECONDS = 2.0
IDLE_SECONDS = 30.0
RETRY_SECONDS = 2.0
# Several changes in quick succession cost one round.
SETTLE_SECONDS = 0.1
IDLE_SETTLE_SECONDS = 0.4
SWEEP_SECONDS = 60.0


async def run_agent(node: Node, host: Host | None = None, ready: asyncio.Event | None = None) -> None:
    """Run this node's engines until cancelled. Engines keep running afterwards, and a node of the same name finds them.

    Sets `ready` once engines can run and registers the agent as `node.agent`.

    Raises:
        AgentStartError: engines cannot run; the lite must log the error and exit.
    """
    host = host or Host.from_environment()
    provider = make_provider(node, host)
    env_import = EnvImport(node.config.agent, room(node.config, host.home), node.config.runtime != "runk")
    try:
        await provider.start()
        keep_logs = node.config.runtime != "runk" or node.config.runk.enable_logging
        chosen = node.config.runk.log_directory if node.config.runtime == "runk" else ""
        directory = host.home / (chosen or "var/stdout") / "pods"
        agent = Agent(node, provider, PodLogs(directory, node.domain_id, provider), keep_logs, env_import)
        node.agent = agent
        if ready:
            ready.set()
        try:
            await agent.run()
        finally:
            await agent.close()
    finally:
        await provider.close()


def make_provider(node: Node, host: Host) -> Provider:
    """Return the provider of the configured runtime.

    Raises:
        AgentStartError: the runtime is not supported.
    """
    runtime = node.config.runtime
    if runtime == "runk":
        return RunkProvider(node.config, node.hostname, host.pod_ip)
    if runtime == "runp":
        return RunpProvider(host.home, node.domain_id, node.hostname, host.pod_ip)
    if runtime == "runc":
        return RuncProvider()
    raise AgentStartError(f"unknown runtime: {runtime}")


class Agent:
    """Reconciles the engines on the host with the pods in the store, one round at a time."""

    def __init__(self, node: Node, provider: Provider, logs: PodLogs, keep_logs: bool, env_import: EnvImport) -> None:
        self._node = node
        self._store = node.store
        self._domain = node.domain_id
        self._provider = provider
        self._logs = logs
        self._keep_logs = keep_logs
        self._env_import = env_import
        self._busy = True
        self._swept = float("-inf")

    async def run(self) -> None:
        """Run rounds until cancelled. Errors are logged and the round is repeated."""
        seen = 0
        while True:
            try:
                await self.round()
                seen = await self._wait(seen)
                await asyncio.sleep(SETTLE_SECONDS if self._busy else IDLE_SETTLE_SECONDS)
            except Exception as err:
                log.warning("Failed to sync pods, retrying in %.0f s: %r", RETRY_SECONDS, err)
                await asyncio.sleep(RETRY_SECONDS)

    async def close(self) -> None:
        await self._logs.close()

    async def ping(self) -> None:
        """Check that the host can be reached.

        Raises:
            HostUnreachable: it cannot.
        """
        await self._provider.ping()

    async def _wait(self, seen: int) -> int:
        timeout = ACTIVE_SECONDS if self._busy else IDLE_SECONDS
        changed = asyncio.ensure_future(self._store.wait_change(seen, timeout))
        happened = asyncio.ensure_future(self._provider.wait(timeout))
        try:
            await asyncio.wait([changed, happened], return_when=asyncio.FIRST_COMPLETED)
            return changed.result() if changed.done() else seen
        finally:
            for task in (changed, happened):
                task.cancel()
            await asyncio.gather(changed, happened, return_exceptions=True)

    async def round(self) -> None:
        """Compare the store and the host once.

        Raises the error of the store or the host if it cannot be queried.
        """
        pods = {pod["metadata"]["name"]: pod for pod in await self._store.list("pods", self._domain)}
        bound = {name: pod for name, pod in pods.items() if pod["spec"].get("nodeName") == self._node.hostname}
        sweep = time.monotonic() - self._swept > SWEEP_SECONDS
        if not bound and not self._busy and not sweep:
            return
        present = await self._provider.existing()
        steps = [self._guard(name, self._sync(pod, present.get(name))) for name, pod in bound.items()]
        gone = [name for name in present if name not in bound and self._is_own(present[name])]
        steps += [self._guard(name, self._remove(present[name])) for name in gone]
        await asyncio.gather(*steps)
        if sweep:
            ready = {node["metadata"]["name"] for node in await self._store.list("nodes") if is_ready(node)}
            await self._provider.sweep(set(pods), ready)
            self._swept = time.monotonic()
        self._busy = bool(bound or present)

    def _is_own(self, backend: Object) -> bool:
        """Tell whether this node created the pod. Pods of earlier nodes are checked once a minute."""
        return pod_label(backend, names.LABEL_NODE) in ("", self._node.hostname)

    async def _guard(self, name: str, step: Awaitable[None]) -> None:
        try:
            await step
        except (Conflict, NotFound) as err:
            log.debug("pod %s changed in the meantime: %s", name, err)
        except Exception as err:
            log.warning("Failed to sync pod %s/%s, retrying: %r", self._domain, name, err)

    async def _sync(self, pod: Object, backend: Object | None) -> None:
        uid = pod["metadata"]["uid"]
        if backend is not None and pod_label(backend, names.LABEL_POD_UID) != uid:
            await self._remove(backend)
            return
        if pod_status.is_finished(pod):
            await self._withdraw(pod)
            return
        if backend is not None:
            await self._report(pod, pod_status.from_backend(backend))
        elif names.ANNOTATION_CREATED in pod["metadata"]["annotations"]:
            await self._provider.delete(pod["metadata"]["name"])
            await self._report(pod, pod_status.lost(pod))
        else:
            await self._start(pod)

    async def _start(self, pod: Object) -> None:
        name = pod["metadata"]["name"]
        started = self._env_import.add_to(pod, self._labels(pod))
        try:
            await self._provider.create(started, await self._files(pod, started))
        except (PodDenied, templates.Unsupported) as err:
            log.warning("pod %s/%s was rejected: %s", self._domain, name, err)
            await self._provider.delete(name)
            await self._report(pod, pod_status.denied(pod, str(err)))
            return
        pod["metadata"]["annotations"][names.ANNOTATION_CREATED] = "true"
        await self._store.update("pods", self._domain, name, pod)

    def _labels(self, pod: Object) -> dict[str, str]:
        """Return the labels that env-import selects by: under RunK those of the host cluster's pod, without
        `labelsToAdd`.
        """
        if self._node.config.runtime != "runk":
            return dict(pod["metadata"].get("labels") or {})
        return engine_labels(pod["metadata"], self._node.hostname)

    async def _files(self, pod: Object, started: Object) -> EngineFiles:
        node, name = self._node, pod["metadata"]["name"]
        config: dict[str, str] = {}
        gen_conf = pod["metadata"]["annotations"].get(names.ANNOTATION_GEN_CONF)
        if gen_conf:
            values = (await self._store.get("configmaps", self._domain, gen_conf))["data"][name]
            own = {
                "KUSCIA_API_PROTOCOL": node.config.api_protocol,
                "KUSCIA_API_TOKEN": credentials.api_token(node.key, node.domain_id),
                "KUSCIA_DOMAIN_KEY_DATA": node.config.domain_key_data,
            }
            variables = templates.variables(self._environment(pod, started), own, json.loads(values))
            source = pod["spec"]["volumes"][0]["configMap"]["name"]
            texts = (await self._store.get("configmaps", self._domain, source))["data"]
            for file, text in texts.items():
                variables |= await self._node_config(templates.unknown_keys(text, variables))
                config[file] = templates.render(text, variables)
        certs = await asyncio.to_thread(engine_files, node.key, node.domain_id, name)
        return EngineFiles(config, certs)

    def _environment(self, pod: Object, started: Object) -> dict[str, str]:
        """Return the environment that templates see: a container's own values win over added ones, earlier containers
        over later ones.
        """
        env: dict[str, str] = {}
        for container in [*pod["spec"]["containers"], *started["spec"]["containers"]]:
            for entry in container["env"]:
                env.setdefault(entry["name"], str(entry.get("value", "")))
        return {key: f"{DIRECTORY}/{file}" for key, file in ENVIRONMENT.items()} | env

    async def _node_config(self, keys: set[str]) -> dict[str, str]:
        """Return values from the node's configuration; a missing key is empty.

        Raises:
            TemplateError: a value cannot be read.
        """
        ctx = Context(self._node, "domain", self._domain)
        try:
            return {key: await read_config(ctx, key) for key in keys}
        except ApiError as err:
            raise templates.TemplateError(f"failed to get config keys {sorted(keys)} from cm, {err}") from err

    async def _report(self, pod: Object, status: Object) -> None:
        if self._keep_logs:
            self._logs.follow(pod, status)
        if status.get("podIP") and status["phase"] not in pod_status.FINISHED:
            await self._announce(pod, status["podIP"])
        annotations = pod["metadata"]["annotations"]
        if pod.get("status") == status and names.ANNOTATION_CREATED in annotations:
            return
        annotations[names.ANNOTATION_CREATED] = "true"
        pod["status"] = status
        await self._store.update("pods", self._domain, pod["metadata"]["name"], pod)

    async def _announce(self, pod: Object, address: str) -> None:
        """Update the endpoints of the pod's ports, which gateways use for routing."""
        for port in pod.get("ports", []):
            spec = {
                "host": f"{port['service']}.{self._domain}.svc",
                "ip": address,
                "port": port["port"],
                "portName": port["name"],
                "scope": port["scope"],
                "protocol": port["protocol"],
                "task": pod["metadata"]["annotations"][names.ANNOTATION_TASK_ID],
                "accessDomains": pod["metadata"]["annotations"][names.ANNOTATION_ACCESS_DOMAINS].split(","),
            }
            endpoint = {
                "metadata": {"ownerReferences": [owner_reference("Pod", pod, "v1")]},
                "spec": spec,
            }
            try:
                await self._store.create("endpoints", self._domain, port["service"], endpoint)
            except AlreadyExists:
                current = await self._store.get("endpoints", self._domain, port["service"])
                if current["spec"] != spec:
                    current["spec"] = spec
                    current["metadata"]["ownerReferences"] = endpoint["metadata"]["ownerReferences"]
                    await self._store.update("endpoints", self._domain, port["service"], current)

    async def _withdraw(self, pod: Object) -> None:
        for port in pod.get("ports", []):
            try:
                current = await self._store.get("endpoints", self._domain, port["service"])
                owners = {entry["uid"] for entry in current["metadata"].get("ownerReferences", [])}
                if pod["metadata"]["uid"] in owners:
                    await self._store.delete("endpoints", self._domain, port["service"])
            except NotFound:
                continue

    async def _remove(self, backend: Object) -> None:
        if backend["metadata"].get("deletionTimestamp"):
            return
        await self._logs.finish(pod_label(backend, names.LABEL_POD_UID))
        await self._provider.delete(backend["metadata"]["name"])

    async def task_log(self, task_id: str, replica: int, container: str, follow: bool) -> AsyncIterator[str]:
        """Yield the stored lines of an engine's output.

        Raises:
            LookupError: they do not exist; its argument is the text to answer with (Kuscia facts 7.4).
        """
        async for line in self._logs.read(task_id, replica, container, follow):
            yield line
