"""Jobs on a master; the tests play the agents. Texts and states are those of the recordings."""

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kuscia_sim.api import job as job_api
from kuscia_sim.jobs import jobs as job_rules
from kuscia_sim.jobs import names, run_job_controller, schedule
from kuscia_sim.jobs.controller import JobController
from kuscia_sim.state.datastore import datastore_url
from kuscia_sim.state.store import LocalStore, Object
from kuscia_sim.transport.endpoints import ApiError
from kuscia_sim_testing import job_harness as h

BOOM = 'container[engine] terminated state reason "Error", message: "boom\\n"'


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    opened = await h.open_store(tmp_path)
    await h.add_app_image(opened, "ok", "true")
    yield opened
    await opened.close()


@pytest.fixture
async def jobs(store: LocalStore) -> AsyncIterator[h.Jobs]:
    async with controller(store):
        yield h.Jobs(store)


@contextlib.asynccontextmanager
async def controller(store: LocalStore) -> AsyncIterator[None]:
    task = asyncio.create_task(run_job_controller(h.make_node(store, "master", "kuscia-system", h.KEY)))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def bound(store: LocalStore, domain: str, pod: str) -> Object:
    async def check() -> Object | None:
        found = await h.find(store, "pods", domain, pod)
        return found if found and found["spec"].get("nodeName") else None

    found: Object = await h.eventually(check, f"{domain}/{pod} bound")
    return found


async def report(store: LocalStore, domain: str, pod: str, phase: str, **state: Any) -> None:
    """Write a pod's status as an agent does for one container."""
    found = await bound(store, domain, pod)
    found["status"] = {"phase": phase, "containerStatuses": [{"name": "engine", "state": state}]}
    await store.update("pods", domain, pod, found)


async def report_both(store: LocalStore, pod: str, phase: str) -> None:
    for domain in h.DOMAINS:
        await report(store, domain, pod, phase)


def party(status: dict[str, Any], domain: str) -> dict[str, Any]:
    return next(entry for entry in status["tasks"][0]["parties"] if entry["domain_id"] == domain)


async def test_two_parties_succeed(store: LocalStore, jobs: h.Jobs) -> None:
    await jobs.create(h.job_request("j", "ok"))
    first = await jobs.status("j")
    assert (first["state"], first["tasks"][0]["state"]) == ("Pending", "Pending")
    await h.wait_state(jobs, "j", "Running")
    await report_both(store, "j-only-0", names.RUNNING)

    async def running() -> bool:
        return bool((await jobs.status("j"))["tasks"][0]["state"] == "Running")

    await h.eventually(running, "task Running")
    await report_both(store, "j-only-0", names.SUCCEEDED)
    status = await h.wait_state(jobs, "j", "Succeeded")

    task = status["tasks"][0]
    assert (task["state"], task["err_msg"]) == ("Succeeded", "")
    assert status["end_time"] >= status["start_time"] >= status["create_time"]
    assert by_domain(status["stage_status_list"]) == dict.fromkeys(h.DOMAINS, "JobCreateStageSucceeded")
    assert by_domain(status["approve_status_list"]) == dict.fromkeys(h.DOMAINS, "JobAccepted")
    alice = party(status, "alice")
    pod = await bound(store, "alice", "j-only-0")
    ports = {port["name"]: port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
    assert sorted(alice["endpoints"], key=lambda entry: entry["port_name"]) == [
        {
            "port_name": "global",
            "scope": "Domain",
            "endpoint": f"j-only-0-global.alice.svc:{ports['global']}",
        },
        {"port_name": "psi", "scope": "Cluster", "endpoint": "j-only-0-psi.alice.svc"},
    ]
    await h.eventually(lambda: _in_another_order(jobs), "lists in another order", 10)
    # The engines' objects are removed seconds after the end, the task stays.
    await h.eventually(lambda: _gone(store), "pods and ConfigMaps gone", 12)
    assert (await jobs.status("j"))["tasks"][0]["state"] == "Succeeded"


def by_domain(entries: list[dict[str, str]]) -> dict[str, str]:
    assert len({entry["domain_id"] for entry in entries}) == len(entries)
    return {entry["domain_id"]: entry["state"] for entry in entries}


async def _in_another_order(jobs: h.Jobs) -> bool:
    """Code that expects a certain party in the first entry fails half of the time (Kuscia facts 14.7)."""
    status = await jobs.status("j")
    lists = (status["stage_status_list"], status["approve_status_list"], status["tasks"][0]["parties"])
    return all(entries[0]["domain_id"] == h.DOMAINS[-1] for entries in lists)


async def _gone(store: LocalStore) -> bool:
    return not await store.list("pods") and not await store.list("configmaps")


async def test_failed_engine_fails_job(store: LocalStore, jobs: h.Jobs) -> None:
    await jobs.create(h.job_request("j", "ok"))
    terminated = {"exitCode": 3, "reason": "Error", "message": "boom\n"}
    await report(store, "bob", "j-only-0", names.FAILED, terminated=terminated)
    status = await h.wait_state(jobs, "j", "Failed")
    assert status["err_msg"] == f"Task[only]-Party[bob]: {BOOM}"
    assert status["tasks"][0]["err_msg"] == (
        "The remaining no-failed party task counts 1 are less than the task success threshold 2. "
        "pending party[alice], running party[], successful party[], failed party[bob]"
    )
    assert (party(status, "alice")["state"], party(status, "alice")["err_msg"]) == ("Failed", "")
    assert (party(status, "bob")["state"], party(status, "bob")["err_msg"]) == ("Failed", BOOM)
    # Alice's running engine is removed at once.
    await h.eventually(lambda: _absent(store, "alice", "j-only-0"), "alice's pod removed", 3)


async def _absent(store: LocalStore, domain: str, pod: str) -> bool:
    return await h.find(store, "pods", domain, pod) is None


async def test_job_waits_while_image_cannot_be_pulled(store: LocalStore, jobs: h.Jobs) -> None:
    await jobs.create(h.job_request("j", "ok"))
    waiting = {"reason": "ErrImagePull", "message": "not found"}
    for domain in h.DOMAINS:
        await report(store, domain, "j-only-0", names.PENDING, waiting=waiting)

    async def told() -> bool:
        parties = (await jobs.status("j"))["tasks"][0].get("parties", [])
        return bool(parties and all("ErrImagePull" in entry["err_msg"] for entry in parties))

    await h.eventually(told, "the reason in both parties' err_msg")
    status = await jobs.status("j")
    assert (status["state"], status["tasks"][0]["state"], party(status, "bob")["state"]) == (
        "Running",
        "Pending",
        "Pending",
    )
    await jobs.command("stop", "j")
    await jobs.command("stop", "j")
    status = await h.wait_state(jobs, "j", "Failed")
    assert status["err_msg"] == "Party:  execute the cmd: Stop."
    assert status["tasks"][0]["err_msg"] == "Job was stopped"
    assert {entry["state"] for entry in status["stage_status_list"]} == {"JobStopStageSucceeded"}
    assert (party(status, "bob")["state"], party(status, "bob")["err_msg"]) == ("Failed", "")


@pytest.mark.parametrize(
    ("request_", "state", "err_msg", "task_state", "task_err", "stages"),
    [
        (
            h.job_request("j", "ok", initiator="nobody"),
            "Failed",
            "",
            "Pending",
            "",
            [],
        ),
        (
            h.job_request("j", "ok", "alice", "nobody"),
            "Failed",
            'KusciaJob failed after 3x retry, last error: namespace "nobody" not found',
            "Pending",
            "",
            [],
        ),
        (
            h.job_request("j", "nosuch"),
            "Failed",
            "",
            "Failed",
            "KusciaTask failed after 3x retry, last error: failed to build domain alice kit info, "
            'failed to get appImage "nosuch" from cache, appimage.kuscia.secretflow "nosuch" not found',
            ["JobCreateStageSucceeded"] * 2,
        ),
        (
            h.job_request("j", "ok", tasks=[h.task_request("ok", "alice", alias="a", dependencies=["nosuch"])]),
            "Failed",
            "",
            "Pending",
            "",
            [],
        ),
    ],
    ids=["unknown initiator", "unknown party", "unknown appimage", "unknown dependency"],
)
async def test_failures_are_those_recorded(
    jobs: h.Jobs,
    request_: dict[str, Any],
    state: str,
    err_msg: str,
    task_state: str,
    task_err: str,
    stages: list[str],
) -> None:
    await jobs.create(request_)
    status = await h.wait_state(jobs, "j", state)
    task = status["tasks"][0]
    assert (status["err_msg"], task["state"], task.get("err_msg", "")) == (err_msg, task_state, task_err)
    assert [entry["state"] for entry in status["stage_status_list"]] == stages
    assert task.get("parties", []) == []
    assert status["end_time"]


async def test_initiator_may_be_no_party(store: LocalStore, jobs: h.Jobs) -> None:
    await store.create("namespaces", "", "carol", {})
    await jobs.create(h.job_request("j", "ok", initiator="carol"))
    await report_both(store, "j-only-0", names.SUCCEEDED)
    await h.wait_state(jobs, "j", "Succeeded")


async def test_repeated_party_counts_once(store: LocalStore, jobs: h.Jobs) -> None:
    await jobs.create(h.job_request("j", "ok", "alice", "alice"))
    await report(store, "alice", "j-only-0", names.SUCCEEDED)
    status = await h.wait_state(jobs, "j", "Succeeded")
    assert [entry["domain_id"] for entry in status["tasks"][0]["parties"]] == ["alice"]


async def test_generates_missing_task_id(jobs: h.Jobs) -> None:
    await jobs.create(h.job_request("j", "ok", tasks=[h.task_request("ok", "alice", alias="a")]))
    status = await h.wait_state(jobs, "j", "Running")
    stem, _, suffix = status["tasks"][0]["task_id"].rpartition("-")
    assert (stem, len(suffix), set(suffix) <= set("0123456789abcdef")) == ("j", 12, True)


@pytest.mark.parametrize(
    ("task_id", "role", "kind", "name", "why"),
    [
        (
            "a.b",
            "",
            "service",
            "a.b-0-psi",
            'metadata.name: Invalid value: "a.b-0-psi": a DNS-1035 label ',
        ),
        (
            "t",
            "Guest",
            "pod",
            "t-Guest-0",
            'metadata.name: Invalid value: "t-Guest-0": a lowercase RFC 1123 ',
        ),
        ("t", "r" * 25, "pod", f"t-{'r' * 25}-0", "metadata.labels: Invalid value: "),
    ],
)
async def test_invalid_name_fails_task(
    store: LocalStore, jobs: h.Jobs, task_id: str, role: str, kind: str, name: str, why: str
) -> None:
    """createResourceForParty in Kuscia's pkg/controllers/kusciatask/handler/pending_handler.go."""
    task = h.task_request("ok", "alice", alias="a", task_id=task_id)
    task["parties"][0]["role"] = role
    await jobs.create(h.job_request("j", "ok", tasks=[task]))
    status = await h.wait_state(jobs, "j", "Failed")
    start = f"KusciaTask failed after 3x retry, last error: failed to create resource for party 'alice/{role}', "
    refusal = f'failed to submit {kind} "{name}", {kind.capitalize()} "{name}" is invalid: {why}'
    assert status["tasks"][0]["err_msg"].startswith(start + refusal)
    assert status["tasks"][0]["parties"] == []
    assert await store.list("pods") == []


async def test_party_runs_while_one_pod_runs(store: LocalStore, jobs: h.Jobs) -> None:
    """getPartyTaskStatus in Kuscia's pkg/controllers/kusciatask/handler/running_handler.go."""
    await h.add_app_image(store, "two", "true", replicas=2)
    await jobs.create(h.job_request("j", "two", "alice"))
    for pod, phase, state in (
        ("j-only-0", names.SUCCEEDED, "Pending"),
        ("j-only-1", names.RUNNING, "Running"),
        ("j-only-1", names.SUCCEEDED, "Succeeded"),
    ):
        await report(store, "alice", pod, phase)

        async def said(state: str = state) -> bool:
            status = await jobs.status("j")
            return status["tasks"][0]["state"] != "Pending" and bool(party(status, "alice")["state"] == state)

        await h.eventually(said, f"party {state}")


async def test_rejects_grpc_ports(store: LocalStore, jobs: h.Jobs) -> None:
    ports = [{"name": "spu", "protocol": "GRPC", "scope": "Cluster"}]
    await h.add_app_image(store, "grpc", "true", ports=ports)
    await jobs.create(h.job_request("j", "grpc"))
    status = await h.wait_state(jobs, "j", "Failed")
    assert "HTTP only" in status["tasks"][0]["err_msg"]
    assert "GRPC ports [spu]" in status["tasks"][0]["err_msg"]


async def test_follows_dependencies_priority_and_parallelism(store: LocalStore, jobs: h.Jobs) -> None:
    tasks = [
        h.task_request("ok", "alice", alias="low", task_id="low", priority=1),
        h.task_request("ok", "alice", alias="high", task_id="high", priority=9),
        h.task_request("ok", "alice", alias="last", task_id="last", dependencies=["low", "high"]),
    ]
    await jobs.create(h.job_request("j", "ok", tasks=tasks, max_parallelism=1))
    await report(store, "alice", "high-0", names.RUNNING)
    assert await h.find(store, "kusciatasks", names.CROSS_DOMAIN, "low") is None
    await report(store, "alice", "high-0", names.SUCCEEDED)
    await report(store, "alice", "low-0", names.RUNNING)
    assert await h.find(store, "kusciatasks", names.CROSS_DOMAIN, "last") is None
    await report(store, "alice", "low-0", names.SUCCEEDED)
    await report(store, "alice", "last-0", names.SUCCEEDED)
    await h.wait_state(jobs, "j", "Succeeded")


async def test_tolerable_task_may_fail(store: LocalStore, jobs: h.Jobs) -> None:
    tasks = [
        h.task_request("ok", "alice", alias="a", task_id="a", tolerable=True),
        h.task_request("ok", "alice", alias="b", task_id="b"),
    ]
    await jobs.create(h.job_request("j", "ok", tasks=tasks))
    await report(store, "alice", "a-0", names.FAILED)
    await report(store, "alice", "b-0", names.SUCCEEDED)
    await h.wait_state(jobs, "j", "Succeeded")


async def test_dependents_of_failed_task_never_start(store: LocalStore, jobs: h.Jobs) -> None:
    tasks = [
        h.task_request("ok", "alice", alias="a", task_id="a"),
        h.task_request("ok", "alice", alias="b", task_id="b", dependencies=["a"]),
    ]
    await jobs.create(h.job_request("j", "ok", tasks=tasks))
    await report(store, "alice", "a-0", names.FAILED)
    status = await h.wait_state(jobs, "j", "Failed")
    assert [task["state"] for task in status["tasks"]] == ["Failed", "Pending"]


def _task(alias: str, task_id: str, *needs: str, **more: Any) -> Object:
    return {"alias": alias, "taskID": task_id, "dependencies": list(needs), **more}


@pytest.mark.parametrize(
    ("third", "phases", "expected"),
    [
        (_task("c", "id-c", "b"), {"a": "Failed", "b": "Running"}, "Running"),
        (_task("c", "id-c", "b"), {"a": "Failed", "b": "Succeeded"}, "Failed"),
        (_task("c", "id-c", "id-b"), {"a": "Failed", "b": "Succeeded"}, "Running"),
        (_task("c", "id-c"), {"a": "Failed", "b": "Succeeded"}, "Running"),
        (_task("c", "id-c", "b"), {"a": "Succeeded", "b": "Succeeded"}, "Running"),
        (_task("c", "id-c", tolerable=True), {"a": "Succeeded", "b": "Succeeded", "c": "Failed"}, "Succeeded"),
        (_task("c", "id-c", tolerable=False), {"a": "Succeeded", "b": "Succeeded", "c": "Failed"}, "Failed"),
    ],
)
def test_job_fails_before_task_depending_on_alias(third: Object, phases: dict[str, str], expected: str) -> None:
    """readyTaskMap in Kuscia's pkg/controllers/kusciajob/handler/scheduler.go treats dependencies as task IDs."""
    job = {"spec": {"tasks": [_task("a", "id-a"), _task("b", "id-b"), third]}}
    assert job_rules.job_phase(job, phases) == expected


async def test_last_of_two_tasks_with_one_alias_is_created(store: LocalStore, jobs: h.Jobs) -> None:
    """readyTasksOf in Kuscia's pkg/controllers/kusciajob/handler/scheduler.go."""
    tasks = [h.task_request("ok", "alice", alias="a", task_id=task_id) for task_id in ("first", "last")]
    await jobs.create(h.job_request("j", "ok", tasks=tasks))
    await report(store, "alice", "last-0", names.SUCCEEDED)
    status = await h.wait_state(jobs, "j", "Succeeded")
    assert [task["state"] for task in status["tasks"]] == ["Pending", "Succeeded"]


async def test_commands_to_job_with_unknown_party(jobs: h.Jobs) -> None:
    """getAllParties and isAllPartyRestartComplete in Kuscia's scheduler.go: no stage of any party, and no end."""
    await jobs.create(h.job_request("j", "ok", "alice", "nobody"))
    await h.wait_state(jobs, "j", "Failed")
    await jobs.command("restart", "j")
    await h.wait_state(jobs, "j", "Running")
    await asyncio.sleep(0.5)
    status = await jobs.status("j")
    assert (status["state"], status["err_msg"]) == ("Running", "This job is restarted by ")
    assert (status["end_time"], status["stage_status_list"]) == ("", [])
    await jobs.command("cancel", "j")
    status = await h.wait_state(jobs, "j", "Cancelled")
    assert (status["stage_status_list"], status["tasks"][0]["state"]) == ([], "Pending")


@pytest.mark.parametrize(
    ("initiator", "states", "approved", "result", "end"),
    [
        ("alice", "AwaitingApproval", ["alice", "bob"], "ACCEPT", "AwaitingApproval"),
        ("alice", "AwaitingApproval", ["alice", "bob"], "REJECT", "ApprovalReject"),
        ("p", "Pending", [], "ACCEPT", "Pending"),
    ],
)
async def test_waits_for_partner(
    store: LocalStore, jobs: h.Jobs, initiator: str, states: str, approved: list[str], result: str, end: str
) -> None:
    """Kuscia's pkg/controllers/kusciajob/handler: initialized.go, approval.go, pending.go."""
    await store.create("domains", "", "p", {"spec": {"role": "partner"}})
    await store.create("namespaces", "", "p", {})
    await jobs.create(h.job_request("j", "ok", "alice", "bob", "p", initiator=initiator))

    async def begun() -> dict[str, Any] | None:
        status = await jobs.status("j")
        return status if status["stage_status_list"] else None

    status = await h.eventually(begun, "stages")
    assert status["state"] == states
    assert by_domain(status["stage_status_list"]) == dict.fromkeys(("alice", "bob"), "JobCreateStageSucceeded")
    assert by_domain(status["approve_status_list"]) == dict.fromkeys(approved, "JobAccepted")
    request = {"job_id": "j", "result": f"APPROVE_RESULT_{result}", "reason": ""}
    await job_api.approve(h.context(store), request)
    await asyncio.sleep(0.5)
    status = await h.wait_state(jobs, "j", end)
    assert bool(status["end_time"]) == (end == "ApprovalReject")


async def test_rejects_cycles() -> None:
    tasks = [
        {"alias": "a", "taskID": "a", "dependencies": ["b"], "parties": []},
        {"alias": "b", "taskID": "b", "dependencies": ["a"], "parties": []},
    ]
    job = {
        "metadata": {"name": "j", "labels": {}},
        "spec": {"initiator": "alice", "tasks": tasks},
        "status": {},
    }
    outcome = job_rules.reconcile(job, {}, job_rules.Domains(frozenset({"alice"})), "2026-01-01T00:00:00Z")
    condition = outcome.job["status"]["conditions"][0]
    assert condition["message"] == "Validate job failed, validate failed: cycled dependencies"


@pytest.mark.parametrize(
    ("resources", "expected"),
    [({"cpu": "64"}, "Insufficient cpu"), ({"memory": "1Ti"}, "Insufficient memory")],
)
async def test_task_without_room_fails_after_timeout(jobs: h.Jobs, resources: dict[str, str], expected: str) -> None:
    request = h.job_request("j", "ok")
    request["tasks"][0]["parties"][1]["resources"] = {"cpu": "", "memory": "", "bandwidth": ""} | resources
    request["tasks"][0]["schedule_config"] = {
        "task_timeout_seconds": 2,
        "resource_reserved_seconds": 30,
        "resource_reallocation_interval_seconds": 30,
    }
    await jobs.create(request)

    async def said() -> bool:
        parties = (await jobs.status("j"))["tasks"][0].get("parties", [])
        return any(expected in entry["err_msg"] for entry in parties)

    await h.eventually(said, f"{expected} in bob's err_msg", 3)
    status = await h.wait_state(jobs, "j", "Failed", 6)
    assert status["tasks"][0]["err_msg"] == "The task was not scheduled within 2 seconds of its entire lifecycle"


async def test_places_all_parties_or_none(store: LocalStore, jobs: h.Jobs) -> None:
    await _resize(store, "1")
    request = h.job_request("j", "ok")
    request["tasks"][0]["parties"][1]["resources"] = {"cpu": "2", "memory": "", "bandwidth": ""}
    await jobs.create(request)

    async def said() -> bool:
        parties = (await jobs.status("j"))["tasks"][0].get("parties", [])
        return any("Insufficient cpu" in entry["err_msg"] for entry in parties)

    await h.eventually(said, "bob's node named")
    alice = await h.find(store, "pods", "alice", "j-only-0")
    assert alice
    assert "nodeName" not in alice["spec"]
    await _resize(store, "4")
    await report_both(store, "j-only-0", names.SUCCEEDED)
    await h.wait_state(jobs, "j", "Succeeded")


async def _resize(store: LocalStore, cpu: str) -> None:
    node = await store.get("nodes", "", "lite-bob")
    node["status"]["allocatable"]["cpu"] = cpu
    await store.update("nodes", "", "lite-bob", node)


async def test_running_pods_use_capacity() -> None:
    def pod(name: str, node: str | None, phase: str) -> Object:
        spec = {
            "containers": [{"resources": {"limits": {"cpu": "1500m"}}}],
            **({"nodeName": node} if node else {}),
        }
        return {"metadata": {"name": name, "namespace": "alice"}, "spec": spec, "status": {"phase": phase}}

    node = {
        "metadata": {"name": "n", "labels": {names.LABEL_NAMESPACE: "alice"}},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {"cpu": "4", "memory": "1Gi"},
        },
    }
    new = pod("new", None, names.PENDING)
    two = [pod("a", "n", names.RUNNING), pod("b", "n", names.PENDING)]
    assert schedule.place([new], [node], two)[0] == {}
    ended = [pod("a", "n", names.RUNNING), pod("b", "n", names.SUCCEEDED)]
    assert schedule.place([new], [node], ended)[0] == {"alice/new": "n"}


async def test_suspends_and_restarts(store: LocalStore, jobs: h.Jobs) -> None:
    await jobs.create(h.job_request("j", "ok"))
    await report_both(store, "j-only-0", names.RUNNING)
    first = await bound(store, "alice", "j-only-0")
    await jobs.command("suspend", "j")
    status = await h.wait_state(jobs, "j", "Suspended")
    assert {entry["state"] for entry in status["stage_status_list"]} == {"JobSuspendStageSucceeded"}
    await jobs.command("restart", "j")
    await h.wait_state(jobs, "j", "Running")

    async def anew() -> bool:
        pod = await h.find(store, "pods", "alice", "j-only-0")
        return bool(pod and pod["metadata"]["uid"] != first["metadata"]["uid"])

    await h.eventually(anew, "a new pod of the same name")
    await report_both(store, "j-only-0", names.SUCCEEDED)
    await h.wait_state(jobs, "j", "Succeeded")


async def test_restarts_failed_job_twice(store: LocalStore, jobs: h.Jobs) -> None:
    await jobs.create(h.job_request("j", "ok"))
    for _ in range(2):
        await report(store, "bob", "j-only-0", names.FAILED)
        await h.wait_state(jobs, "j", "Failed")
        await jobs.command("restart", "j")
        await h.wait_state(jobs, "j", "Running")
    await report_both(store, "j-only-0", names.SUCCEEDED)
    await h.wait_state(jobs, "j", "Succeeded")


async def test_cancels_job(store: LocalStore, jobs: h.Jobs) -> None:
    await jobs.create(h.job_request("j", "ok"))
    await report_both(store, "j-only-0", names.RUNNING)
    await jobs.command("cancel", "j")
    status = await h.wait_state(jobs, "j", "Cancelled")
    assert status["err_msg"] == "Party:  execute the cmd: Cancel."
    with pytest.raises(ApiError, match="can not be restart"):
        await jobs.command("restart", "j")


async def test_stop_fails_party_that_had_succeeded(store: LocalStore, jobs: h.Jobs) -> None:
    """stopTasks in Kuscia's pkg/controllers/kusciajob/handler/scheduler.go."""
    await jobs.create(h.job_request("j", "ok"))
    await report(store, "alice", "j-only-0", names.SUCCEEDED)
    await report(store, "bob", "j-only-0", names.RUNNING)

    async def said() -> bool:
        status = await jobs.status("j")
        return bool(status["tasks"][0].get("parties")) and bool(party(status, "alice")["state"] == "Succeeded")

    await h.eventually(said, "alice Succeeded")
    await jobs.command("stop", "j")
    status = await h.wait_state(jobs, "j", "Failed")
    assert [party(status, domain)["state"] for domain in h.DOMAINS] == ["Failed", "Failed"]


async def test_stop_ignores_succeeded_job(store: LocalStore, jobs: h.Jobs) -> None:
    await jobs.create(h.job_request("j", "ok"))
    await report_both(store, "j-only-0", names.SUCCEEDED)
    await h.wait_state(jobs, "j", "Succeeded")
    await jobs.command("stop", "j")
    await asyncio.sleep(0.5)
    assert (await jobs.status("j"))["state"] == "Succeeded"


async def test_deleting_job_removes_its_objects(store: LocalStore, jobs: h.Jobs) -> None:
    await jobs.create(h.job_request("j", "ok"))
    await report_both(store, "j-only-0", names.RUNNING)
    await jobs.command("delete", "j")
    for kind in ("kusciatasks", "pods", "configmaps"):
        assert await store.list(kind) == [], kind


async def test_restarted_master_continues(tmp_path: Path) -> None:
    store = await h.open_store(tmp_path)
    await h.add_app_image(store, "ok", "true")
    async with controller(store):
        await h.Jobs(store).create(h.job_request("j", "ok"))
        await report_both(store, "j-only-0", names.RUNNING)
    await store.close()

    again = await LocalStore.open(datastore_url("", str(tmp_path / "kine.db")), "kuscia-system")
    await report_both(again, "j-only-0", names.SUCCEEDED)
    async with controller(again):
        await h.wait_state(h.Jobs(again), "j", "Succeeded")
    await again.close()


@pytest.mark.parametrize("rounds", range(1, 7))
async def test_continues_after_crash_in_any_round(tmp_path: Path, rounds: int) -> None:
    """A controller without memory between rounds reaches the same end."""
    store = await h.open_store(tmp_path)
    await h.add_app_image(store, "ok", "true")
    await h.Jobs(store).create(h.job_request("j", "ok"))
    for _ in range(rounds):
        await JobController(store).round()
    async with controller(store):
        await report_both(store, "j-only-0", names.SUCCEEDED)
        await h.wait_state(h.Jobs(store), "j", "Succeeded")
    await store.close()


async def test_second_job_with_same_task_id_fails(store: LocalStore, jobs: h.Jobs) -> None:
    task = [h.task_request("ok", "alice", alias="a", task_id="same")]
    await jobs.create(h.job_request("one", "ok", tasks=task))
    await bound(store, "alice", "same-0")
    await jobs.create(h.job_request("two", "ok", tasks=task))
    status = await h.wait_state(jobs, "two", "Failed")
    assert status["err_msg"] == "Failed to create task same because of a task with the same name already exists"


async def test_stops_running_tasks_when_one_cannot_be_created(store: LocalStore, jobs: h.Jobs) -> None:
    """FailedHandler in Kuscia's pkg/controllers/kusciajob/handler/failed.go."""
    await jobs.create(h.job_request("one", "ok", tasks=[h.task_request("ok", "alice", alias="a", task_id="same")]))
    await bound(store, "alice", "same-0")
    tasks = [
        h.task_request("ok", "alice", alias="first", task_id="first", priority=1),
        h.task_request("ok", "alice", alias="long", task_id="long", priority=1),
        h.task_request("ok", "alice", alias="same", task_id="same"),
    ]
    await jobs.create(h.job_request("two", "ok", tasks=tasks))
    await report(store, "alice", "first-0", names.SUCCEEDED)

    async def over() -> dict[str, Any] | None:
        status = await jobs.status("two")
        return status if status["end_time"] else None

    status = await h.eventually(over, "an end")
    assert status["state"] == "Failed"
    assert [task["state"] for task in status["tasks"]] == ["Succeeded", "Failed", "Pending"]
    assert status["tasks"][1]["err_msg"] == "Job was stopped"


async def test_invalid_task_id_fails_job(jobs: h.Jobs) -> None:
    """The CRD's pattern of task IDs has no anchors; syncHandler in Kuscia's kusciajob/controller.go stops retrying."""
    await jobs.create(h.job_request("j", "ok", tasks=[h.task_request("ok", "alice", alias="a", task_id="My_task")]))
    status = await h.wait_state(jobs, "j", "Failed")
    refusal = 'KusciaTask.kuscia.secretflow "My_task" is invalid: metadata.name: '
    assert status["err_msg"].startswith(f"KusciaJob failed after 3x retry, last error: {refusal}")
    assert (status["tasks"][0]["state"], status["tasks"][0].get("parties", [])) == ("Pending", [])
    assert status["end_time"]


async def test_app_image_without_replicas_never_starts(store: LocalStore, jobs: h.Jobs) -> None:
    await h.add_app_image(store, "none", "true", replicas=0)
    request = h.job_request("j", "none")
    request["tasks"][0]["schedule_config"] = {
        "task_timeout_seconds": 1,
        "resource_reserved_seconds": 0,
        "resource_reallocation_interval_seconds": 0,
    }
    await jobs.create(request)
    await h.wait_state(jobs, "j", "Failed", 6)
    assert await store.list("pods") == []


def test_times_are_whole_seconds() -> None:
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=datetime.UTC)
    from kuscia_sim.jobs.tasks import parse_time, rfc3339

    assert parse_time(rfc3339(moment)) == moment.replace(microsecond=0)
