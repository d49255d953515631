"""Conditions for creating a task's pods: its parties' nodes and the routes between them."""

import datetime
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kuscia_sim.jobs import engines, names, preconditions
from kuscia_sim.jobs.controller import JobController
from kuscia_sim.jobs.tasks import TaskReconciler
from kuscia_sim.state.store import LocalStore, Object
from kuscia_sim_testing import job_harness as h

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    opened = await h.open_store(tmp_path)
    await h.add_app_image(opened, "ok", "true")
    yield opened
    await opened.close()


def route(name: str, status: str, reason: str = "") -> Object:
    conditions = [{"type": "Ready", "status": status, "reason": reason}]
    return {"metadata": {"name": name}, "status": {"conditions": conditions}}


def node(domain: str, ready: str = "True", cpu: str = "4") -> Object:
    return {
        "metadata": {"name": f"lite-{domain}", "labels": {names.LABEL_NAMESPACE: domain}},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "500"},
        },
    }


def parties(*domains: str, **resources: Any) -> list[engines.Party]:
    template = {"spec": {"containers": [{"name": "engine", "resources": resources}]}}
    return [engines.Party(domain, "", "i", "", template, {}, {}, []) for domain in domains]


NODES = [node("alice"), node("bob")]


@pytest.mark.parametrize(
    ("routes", "refused"),
    [
        ([], []),
        ([route("alice-bob", "True"), route("bob-alice", "True")], []),
        ([{"metadata": {"name": "alice-bob"}, "status": {}}], []),
        ([route("alice-carol", "False", "DestinationUnreachable")], []),
        (
            [route("alice-bob", "True"), route("bob-alice", "False", "DestinationIsNotAuthrized")],
            ["cdr-check bob to alice failed with DestinationIsNotAuthrized"],
        ),
    ],
)
def test_requires_ready_routes_between_parties(routes: list[Object], refused: list[str]) -> None:
    assert preconditions.refusals(parties("alice", "bob"), NODES, [], routes) == refused


def test_splits_names_with_hyphens_as_kuscia() -> None:
    nodes = [node("org-a"), node("org-b")]
    routes = [route("org-a-org-b", "False", "TokenNotGenerate")]
    assert preconditions.refusals(parties("org-a", "org-b"), nodes, [], routes) == [
        "cdr-check org to a failed with TokenNotGenerate"
    ]


def test_single_party_needs_no_route() -> None:
    assert preconditions.refusals(parties("alice", "alice"), NODES, [], [route("alice-alice", "False")]) == []


@pytest.mark.parametrize(
    ("nodes", "resources", "refused"),
    [
        ([node("bob")], {}, ["resource-check no node cache to alice"]),
        ([node("alice", "False")], {}, ["resource-check no node status available for domain alice"]),
        (
            [node("alice", cpu="1")],
            {"requests": {"cpu": "1500m"}},
            ["resource-check no node status available for domain alice"],
        ),
        ([node("alice", cpu="1")], {"requests": {"cpu": "1"}}, []),
        ([node("alice", cpu="1")], {"limits": {"cpu": "64"}}, []),
        ([node("alice", cpu="1"), node("alice")], {"requests": {"cpu": "2", "memory": "8Gi"}}, []),
    ],
)
def test_requires_room_for_requests(nodes: list[Object], resources: Any, refused: list[str]) -> None:
    assert preconditions.refusals(parties("alice", **resources), nodes, [], []) == refused


def test_reports_room_and_route() -> None:
    routes = [route("alice-bob", "False", "HeartBeatTimeout")]
    assert preconditions.refusals(parties("alice", "bob"), [], [], routes) == [
        "resource-check no node cache to alice",
        "cdr-check alice to bob failed with HeartBeatTimeout",
    ]


async def refused_task(store: LocalStore) -> Object:
    """Return a task of two parties whose route is not ready, before its first check."""
    status = {"conditions": [{"type": "Ready", "status": "False", "reason": "DestinationIsNotAuthrized"}]}
    await store.create("clusterdomainroutes", "", "alice-bob", {"spec": {}, "status": status})
    await h.Jobs(store).create(h.job_request("j", "ok"))
    for _ in range(10):
        await JobController(store).round()
    return await store.get("kusciatasks", names.CROSS_DOMAIN, "j-only")


async def look(store: LocalStore, reconciler: TaskReconciler, seconds: float) -> Object:
    task = await store.get("kusciatasks", names.CROSS_DOMAIN, "j-only")
    await reconciler.reconcile(task, START + datetime.timedelta(seconds=seconds))
    return await store.get("kusciatasks", names.CROSS_DOMAIN, "j-only")


async def test_refused_task_waits_without_message(store: LocalStore) -> None:
    task = await refused_task(store)
    assert (task["status"]["phase"], task["status"].get("message")) == (names.PENDING, None)
    assert await store.list("pods") == []
    status = await h.Jobs(store).status("j")
    assert (status["state"], status["tasks"][0]["err_msg"], status["tasks"][0]["parties"]) == ("Running", "", [])


async def test_proceeds_at_next_check_when_route_is_ready(store: LocalStore) -> None:
    await refused_task(store)
    reconciler = TaskReconciler(store)
    for moment in (0, 1, 6):
        await look(store, reconciler, moment)
    found = await store.get("clusterdomainroutes", "", "alice-bob")
    found["status"]["conditions"][0]["status"] = "True"
    await store.update("clusterdomainroutes", "", "alice-bob", found)
    await look(store, reconciler, 30)
    assert await store.list("pods") == []
    task = await look(store, reconciler, 31)
    assert len(await store.list("pods")) == 2
    created = [entry for entry in task["status"]["conditions"] if entry["type"] == "ResourceCreated"]
    assert created[0]["lastTransitionTime"] == "2026-01-01T00:00:31Z"


async def test_refused_task_fails_after_last_check(store: LocalStore) -> None:
    await refused_task(store)
    reconciler = TaskReconciler(store)
    for moment in preconditions.OFFSETS[:-1]:
        assert (await look(store, reconciler, moment))["status"]["phase"] == names.PENDING
    assert preconditions.OFFSETS[-1] == 5 * (1 + 5 + 25 + 125)
    status = (await look(store, reconciler, preconditions.OFFSETS[-1]))["status"]
    assert (status["phase"], status["message"]) == (
        names.FAILED,
        "KusciaTask failed after 3x retry, last error: cdr-check alice to bob failed with DestinationIsNotAuthrized",
    )
