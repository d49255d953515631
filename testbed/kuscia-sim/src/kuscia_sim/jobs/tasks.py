"""The next step of one KusciaTask: from its engines' pods to its phase (texts as in the recordings)."""

import datetime
import secrets
import uuid
from typing import Any

from kuscia_sim.jobs import engines, names, preconditions, schedule
from kuscia_sim.state.store import AlreadyExists, NotFound, Object, Store
from kuscia_sim.transport.gojson import go_quote

FINISHED = (names.SUCCEEDED, names.FAILED)
PHASES = (names.PENDING, names.RUNNING, *FINISHED)
DEFAULT_LIFECYCLE = 300
KEEP_FINISHED_PODS = 5
RESOURCE_CREATED = "ResourceCreated"
# Reasons of a waiting container that Kuscia treats as a failure; failed pulls are not among them.
FATAL_WAITING = frozenset(
    {
        "CrashLoopBackOff",
        "ImageInspectError",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "PreStartHookError",
        "PostStartHookError",
    }
)


class TaskReconciler:
    """Advances tasks; its only state outside the store is when a refused task is due."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting = preconditions.Waiting()

    async def reconcile(self, task: Object, now: datetime.datetime) -> None:
        """Advance `task` by one step.

        Raises:
            StoreError: a write conflict; the next round retries.
        """
        status = task.setdefault("status", {})
        if status.get("phase") in FINISHED:
            await self._finish(task, now)
            return
        if "podStatuses" not in status and not await self._create(task, now):
            return
        before = _frozen(task)
        pods = await self._pods(task)
        await self._bind(task, pods, now)
        if task["status"].get("phase") not in FINISHED:
            self._refresh(task, pods, now)
        if _frozen(task) != before:
            await self._write(task, now)

    async def _create(self, task: Object, now: datetime.datetime) -> bool:
        if not self._waiting.is_due(task, now.timestamp()):
            return False
        status = task["status"]
        status.setdefault("startTime", rfc3339(now))
        images = {image["metadata"]["name"]: image for image in await self._store.list("appimages")}
        used = await self._used_ports()
        try:
            parties = engines.build_parties(task, images, used)
            refused = await self._refusals(parties)
            if refused and not self._waiting.refused(task, now.timestamp()):
                if status.get("phase") != names.PENDING:
                    status["phase"] = names.PENDING
                    await self._write(task, now)
                return False
            if refused:
                raise engines.EngineError("; ".join(refused))
            await self._create_objects(task, parties)
        except engines.EngineError as err:
            status["message"] = f"KusciaTask failed after 3x retry, last error: {err}"
            self._fail(task, now)
            await self._write(task, now)
            return False
        self._waiting.forget(task)
        status["conditions"] = [{"type": RESOURCE_CREATED, "status": "True", "lastTransitionTime": rfc3339(now)}]
        status["phase"] = names.PENDING
        status["partyTaskStatus"] = [
            {"domainID": party.domain, "role": party.role, "phase": names.PENDING} for party in parties
        ]
        status["podStatuses"] = {
            f"{party.domain}/{pod.name}": {
                "podName": pod.name,
                "namespace": party.domain,
                "role": party.role,
                "podPhase": names.PENDING,
            }
            for party in parties
            for pod in party.pods
        }
        status["serviceStatuses"] = {
            f"{party.domain}/{pod.service(port['name'])}": {
                "serviceName": pod.service(port["name"]),
                "namespace": party.domain,
                "portName": port["name"],
                "portNumber": port["port"],
                "scope": port["scope"],
            }
            for party in parties
            for pod in party.pods
            for port in pod.ports
            if port["scope"] in ("Cluster", "Domain")
        }
        await self._write(task, now)
        return True

    async def _refusals(self, parties: list[engines.Party]) -> list[str]:
        nodes, pods = await self._store.list("nodes"), await self._store.list("pods")
        return preconditions.refusals(parties, nodes, pods, await self._store.list("clusterdomainroutes"))

    async def _create_objects(self, task: Object, parties: list[engines.Party]) -> None:
        """Create all objects again: what a dead controller left behind has other ports."""
        pods = [(party.domain, pod) for party in parties for pod in engines.pods(task, parties, party)]
        for domain in {party.domain for party in parties}:
            for config_map in engines.config_maps(task, parties, domain):
                await self._replace("configmaps", domain, config_map)
        for domain, pod in pods:
            await self._replace("pods", domain, pod)

    async def _replace(self, kind: str, namespace: str, obj: Object) -> None:
        name = obj["metadata"]["name"]
        try:
            await self._store.create(kind, namespace, name, obj)
        except AlreadyExists:
            await self._store.delete(kind, namespace, name)
            await self._store.create(kind, namespace, name, obj)
        except NotFound as err:
            raise engines.EngineError(str(err)) from err

    async def _used_ports(self) -> dict[str, set[int]]:
        used: dict[str, set[int]] = {}
        for pod in await self._store.list("pods"):
            for container in pod["spec"]["containers"]:
                numbers = {port["containerPort"] for port in container.get("ports", [])}
                used.setdefault(pod["metadata"]["namespace"], set()).update(numbers)
        return used

    async def _pods(self, task: Object) -> dict[str, Object]:
        pods = {}
        for key, entry in task["status"]["podStatuses"].items():
            try:
                pods[key] = await self._store.get("pods", entry["namespace"], entry["podName"])
            except NotFound:
                continue
        return pods

    async def _bind(self, task: Object, pods: dict[str, Object], now: datetime.datetime) -> None:
        unbound = [pod for pod in pods.values() if not pod["spec"].get("nodeName")]
        if not unbound and task["status"]["podStatuses"]:
            return
        problems = await self._schedule(task, unbound, now)
        for key, message in problems.items():
            entry = task["status"]["podStatuses"][key]
            entry.update(reason="Unschedulable", message=message)
        lifecycle = int(task["spec"].get("scheduleConfig", {}).get("lifecycleSeconds") or DEFAULT_LIFECYCLE)
        waited = (now - _created(task)).total_seconds()
        # An AppImage with replicas 0 has nothing to schedule and never proceeds.
        if (problems or not unbound) and waited >= lifecycle:
            task["status"]["reason"] = "TaskResourceGroupPhaseFailed"
            task["status"]["message"] = f"The task was not scheduled within {lifecycle} seconds of its entire lifecycle"
            self._fail(task, now)

    async def _schedule(self, task: Object, unbound: list[Object], now: datetime.datetime) -> dict[str, str]:
        keys = {f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": pod for pod in unbound}
        nodes = await self._store.list("nodes")
        bound, problems = schedule.place(unbound, nodes, await self._store.list("pods"))
        for key, node in bound.items():
            pod = keys[key]
            resource_name = f"{task['metadata']['name']}-{secrets.token_hex(6)}"
            pod["spec"]["nodeName"] = node
            pod["metadata"]["annotations"] |= {
                names.PREFIX + "task-resource": resource_name,
                names.PREFIX + "taskresource-reserving-timestamp": rfc3339(now),
            }
            pod["metadata"]["labels"] |= {
                names.PREFIX + "task-resource-group-uid": _sub_uid(task, "group"),
                names.PREFIX + "task-resource-uid": _sub_uid(task, pod["metadata"]["namespace"]),
            }
            await self._store.update("pods", pod["metadata"]["namespace"], pod["metadata"]["name"], pod)
            entry = task["status"]["podStatuses"][key]
            entry["nodeName"] = node
            entry.pop("message", None)
            entry.pop("reason", None)
        return problems

    def _refresh(self, task: Object, pods: dict[str, Object], now: datetime.datetime) -> None:
        status = task["status"]
        for key, entry in status["podStatuses"].items():
            if entry["podPhase"] not in FINISHED:
                refresh_pod_status(entry, pods.get(key))
        states: dict[str, list[str]] = {
            names.PENDING: [],
            names.RUNNING: [],
            names.SUCCEEDED: [],
            names.FAILED: [],
        }
        for party in status["partyTaskStatus"]:
            if party["phase"] not in FINISHED:
                party["phase"] = _party_phase(status, party, pods)
            key = f"{party['domainID']}-{party['role']}" if party["role"] else party["domainID"]
            states[party["phase"]].append(key)
        wanted = len(status["partyTaskStatus"])
        left = wanted - len(states[names.FAILED])
        if states[names.FAILED]:
            pending, running, succeeded, failed = (",".join(states[phase]) for phase in PHASES)
            status["message"] = (
                f"The remaining no-failed party task counts {left} are less than the task success threshold "
                f"{wanted}. pending party[{pending}], running party[{running}], "
                f"successful party[{succeeded}], failed party[{failed}]"
            )
            self._fail(task, now)
        elif wanted and len(states[names.SUCCEEDED]) == wanted:
            status.update(phase=names.SUCCEEDED, completionTime=rfc3339(now))
        elif any(entry["podPhase"] != names.PENDING for entry in status["podStatuses"].values()):
            status["phase"] = names.RUNNING

    @staticmethod
    def _fail(task: Object, now: datetime.datetime) -> None:
        """End the task as failed; unfinished parties count as failed too, without a message."""
        status = task["status"]
        status.update(phase=names.FAILED, completionTime=rfc3339(now))
        for party in status.get("partyTaskStatus", []):
            if party["phase"] != names.SUCCEEDED:
                party["phase"] = names.FAILED

    async def _finish(self, task: Object, now: datetime.datetime) -> None:
        """Remove the pods: running ones at once, others a few seconds later."""
        status = task["status"]
        if status.get("cleaned"):
            return
        self._waiting.forget(task)
        old = (now - parse_time(status.get("completionTime") or rfc3339(now))).total_seconds() >= KEEP_FINISHED_PODS
        left = 0
        for entry in status.get("podStatuses", {}).values():
            try:
                pod = await self._store.get("pods", entry["namespace"], entry["podName"])
            except NotFound:
                continue
            if old or pod.get("status", {}).get("phase") not in FINISHED:
                await _delete(self._store, "pods", entry["namespace"], entry["podName"])
            else:
                left += 1
        if left or not old:
            return
        for namespace in {entry["namespace"] for entry in status.get("podStatuses", {}).values()}:
            for suffix in ("kuscia-gen-conf", "configtemplate"):
                await _delete(self._store, "configmaps", namespace, f"{task['metadata']['name']}-{suffix}")
        status["cleaned"] = True
        await self._write(task, now)

    async def _write(self, task: Object, now: datetime.datetime) -> None:
        task["status"]["lastReconcileTime"] = rfc3339(now)
        metadata = task["metadata"]
        stored = await self._store.update("kusciatasks", metadata["namespace"], metadata["name"], task)
        task["metadata"] = stored["metadata"]


async def stop(store: Store, task: Object, now: datetime.datetime) -> None:
    """End a task for a job's command (note 'job stop').

    Raises:
        Conflict: it changed in the meantime.
    """
    status = task.setdefault("status", {})
    if status.get("phase") in FINISHED:
        return
    status.update(reason="KusciaJobStopped", message="Job was stopped")
    status.setdefault("startTime", rfc3339(now))
    for entry in status.get("podStatuses", {}).values():
        entry.pop("message", None)
    TaskReconciler._fail(task, now)
    # Including those that had succeeded (stopTasks in Kuscia's pkg/controllers/kusciajob/handler/scheduler.go).
    for party in status.get("partyTaskStatus", []):
        party["phase"] = names.FAILED
    await store.update("kusciatasks", task["metadata"]["namespace"], task["metadata"]["name"], task)


def refresh_pod_status(entry: dict[str, Any], pod: Object | None) -> None:
    """Update a podStatuses entry from the pod; None if the pod is gone."""
    if pod is None:
        entry.update(podPhase=names.FAILED, reason="PodNotExist", message="Does not find the pod")
        return
    status = pod.get("status", {})
    entry["podPhase"] = status.get("phase") or names.PENDING
    if not pod["spec"].get("nodeName"):
        return  # the scheduler already stated the reason
    entry["nodeName"] = pod["spec"]["nodeName"]
    entry["createTime"] = pod["metadata"]["creationTimestamp"]
    entry["reason"], entry["message"] = status.get("reason", ""), status.get("message", "")
    for key in ("startTime", "readyTime"):
        if status.get(key):
            entry[key] = status[key]
    waiting = ""
    for container in status.get("containerStatuses", []):
        terminated = container.get("state", {}).get("terminated")
        if terminated:
            entry["reason"] = entry["reason"] or terminated.get("reason", "")
            if terminated.get("message"):
                entry["terminationLog"] = (
                    f"container[{container['name']}] terminated state reason "
                    f"{go_quote(terminated.get('reason', ''))}, message: {go_quote(terminated['message'])}"
                )
                break
        held = container.get("state", {}).get("waiting") or {}
        if held.get("message") and not waiting:
            entry["reason"] = entry["reason"] or held.get("reason", "")
            waiting = (
                f"container[{container['name']}] waiting state reason: {go_quote(held.get('reason', ''))}, "
                f"message: {go_quote(held['message'])}"
            )
    entry["message"] = entry["message"] or waiting


def _party_phase(status: Object, party: dict[str, Any], pods: dict[str, Object]) -> str:
    entries = {
        key: entry
        for key, entry in status["podStatuses"].items()
        if entry["namespace"] == party["domainID"] and entry.get("role", "") == party["role"]
    }
    phases = []
    for key, entry in entries.items():
        pod = pods.get(key)
        phases.append(names.FAILED if pod is not None and _is_stuck(pod) else entry["podPhase"])
    if names.FAILED in phases:
        return names.FAILED
    if phases and all(phase == names.SUCCEEDED for phase in phases):
        return names.SUCCEEDED
    return names.RUNNING if names.RUNNING in phases else names.PENDING


def _is_stuck(pod: Object) -> bool:
    states = [container.get("state", {}) for container in pod.get("status", {}).get("containerStatuses", [])]
    return any((state.get("waiting") or {}).get("reason") in FATAL_WAITING for state in states)


def rfc3339(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def _created(task: Object) -> datetime.datetime:
    """Return when the task's pods were created; the schedule timeout counts from then."""
    conditions = task["status"].get("conditions") or []
    times = [entry["lastTransitionTime"] for entry in conditions if entry["type"] == RESOURCE_CREATED]
    return parse_time(times[0] if times else task["status"]["startTime"])


async def _delete(store: Store, kind: str, namespace: str, name: str) -> None:
    try:
        await store.delete(kind, namespace, name)
    except NotFound:
        return


def _frozen(task: Object) -> str:
    return repr(task["status"])


def _sub_uid(task: Object, part: str) -> str:
    """Return a stable uid for a part of the task (its resource group, or a party's share of it)."""
    return str(uuid.uuid5(uuid.UUID(task["metadata"]["uid"]), part))
