"""The loop on the master that advances jobs and tasks."""

import asyncio
import datetime
import logging
from collections.abc import Awaitable

from kuscia_sim.jobs import jobs, names, tasks
from kuscia_sim.node.node import Node
from kuscia_sim.state import object_names
from kuscia_sim.state.objects import is_partner
from kuscia_sim.state.store import AlreadyExists, Conflict, Invalid, NotFound, Object, Store, StoreError

log = logging.getLogger("kusciajob")

# Pod cleanup and schedules depend on the clock, so check even when nothing changed.
IDLE_SECONDS = 1.0
# Several changes in quick succession cost one round.
SETTLE_SECONDS = 0.05


async def run_job_controller(node: Node) -> None:
    """Advance the jobs of `node.store` until cancelled. Errors are logged and the round is repeated."""
    controller = JobController(node.store)
    log.info("Starting 1 workers to handle object for kuscia-job-controller")
    seen = 0
    while True:
        try:
            seen = await node.store.wait_change(seen, IDLE_SECONDS)
            await asyncio.sleep(SETTLE_SECONDS)
            await controller.round()
        except Exception:
            log.exception("Error handling kuscia jobs, retrying in %.0f s", IDLE_SECONDS)
            await asyncio.sleep(IDLE_SECONDS)


class JobController:
    """Advances all jobs and tasks, one step per round."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tasks = tasks.TaskReconciler(store)

    async def round(self) -> None:
        """Advance every job and task by one step; one with a write conflict waits for the next round."""
        all_jobs = await self._store.list("kusciajobs", names.CROSS_DOMAIN)
        all_tasks = await self._store.list("kusciatasks", names.CROSS_DOMAIN)
        if not all_jobs and not all_tasks:
            return
        by_job: dict[str, dict[str, Object]] = {}
        for task in all_tasks:
            uid = task["metadata"].get("labels", {}).get(names.LABEL_JOB_UID, "")
            by_job.setdefault(uid, {})[task["metadata"]["name"]] = task
        open_jobs = [job for job in all_jobs if not jobs.is_over(job)]
        domains = await self._domains() if open_jobs else jobs.Domains(frozenset())
        now = datetime.datetime.now(datetime.UTC)
        for task in all_tasks:
            if not task.get("status", {}).get("cleaned"):
                await self._guard(task, self._tasks.reconcile(task, now))
        for job in open_jobs:
            own = by_job.get(job["metadata"]["uid"], {})
            await self._guard(job, self._job(job, own, domains, now))

    async def _domains(self) -> jobs.Domains:
        known = frozenset(item["metadata"]["name"] for item in await self._store.list("namespaces"))
        domains = await self._store.list("domains")
        return jobs.Domains(known, frozenset(item["metadata"]["name"] for item in domains if is_partner(item)))

    async def _guard(self, obj: Object, step: Awaitable[None]) -> None:
        name = obj["metadata"]["name"]
        try:
            await step
        except (Conflict, NotFound) as err:
            log.info("Re-syncing %s: %s", name, err)
        except StoreError as err:
            log.warning("Error handling %s, re-queuing: %s", name, err)

    async def _job(self, job: Object, own: dict[str, Object], domains: jobs.Domains, now: datetime.datetime) -> None:
        before = repr(job)
        outcome = jobs.reconcile(job, own, domains, tasks.rfc3339(now))
        for task_id in outcome.stop:
            await tasks.stop(self._store, own[task_id], now)
        for task_id in outcome.delete:
            await self._store.delete("kusciatasks", names.CROSS_DOMAIN, task_id)
        for task in outcome.create:
            problem = await self._create_task(job, task, tasks.rfc3339(now))
            if problem:
                job["status"].update(problem, phase=names.FAILED)
                break
        if repr(job) == before:
            return
        job["status"]["lastReconcileTime"] = tasks.rfc3339(now)
        await self._store.update("kusciajobs", names.CROSS_DOMAIN, job["metadata"]["name"], job)

    async def _create_task(self, job: Object, task: Object, now: str) -> dict[str, str]:
        """Create the task. Update the job's status if the name is invalid or taken by another job's task."""
        name = task["metadata"]["name"]
        try:
            object_names.refuse_invalid("KusciaTask", name, object_names.object_name(name))
            await self._store.create("kusciatasks", names.CROSS_DOMAIN, name, task)
        except Invalid as err:
            return {"message": f"KusciaJob failed after 3x retry, last error: {err}", "completionTime": now}
        except AlreadyExists:
            existing = await self._store.get("kusciatasks", names.CROSS_DOMAIN, name)
            if existing["metadata"].get("labels", {}).get(names.LABEL_JOB_UID) != job["metadata"]["uid"]:
                text = f"Failed to create task {name} because of a task with the same name already exists"
                return {"reason": "CreateTaskFailed", "message": text}
        return {}
