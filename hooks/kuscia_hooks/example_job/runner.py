"""Runs the example job: submits it, follows it, and retries it after a transient failure.

Each job is created with a mark (`OWNER`): SIGTERM stops and deletes the job, and the next run deletes the jobs that
killed runs left.
"""

import json
import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from kuscia_hooks.core.activity import Activity
from kuscia_hooks.core.cleanup import on_stop
from kuscia_hooks.core.config.check import ExampleJob, Party
from kuscia_hooks.core.errors import DeadlineExceeded, PermanentError, RetryableError, StepError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.waiting import Deadline, bounded_by, until
from kuscia_hooks.example_job import psi_config, results
from kuscia_hooks.kuscia import jobs
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import Exists, Missing
from kuscia_hooks.kuscia.jobs import describe, ended, reasons, show

ATTEMPTS = 3
CLEANUP_SECONDS = 10.0
OWNER = "kuscia-chart-check"
"""Custom field of a job with the namespace of the release whose `check` created it."""
KEPT = "kuscia-chart-keep"
"""Custom field of a job that is not to be deleted once it succeeded."""
TASK = "single-psi"
_ID = re.compile(r"psi-[0-9a-f-]+")
# Reasons for which a retry fails again.
_PERMANENT_REASONS = re.compile(
    r"failed to get appImage|namespace \"[^\"]*\" not found|ErrImagePull|ImagePullBackOff|InvalidImageName|"
    r"can't find initiator|validate|no such host|name or service not known|name resolution|could not resolve|NXDOMAIN",
    re.IGNORECASE,
)


def new_id() -> str:
    """Return a unique job ID. `<id>-single-psi-0-<port>` must fit into a DNS label."""
    return f"psi-{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"


def output_of(job: ExampleJob, job_id: str) -> str:
    """Return the ID of the result in each domain; it is unique to the run."""
    return f"{job.output}-{job_id.removeprefix('psi-')}"


@dataclass(frozen=True)
class Run:
    """A job that succeeded.

    Args:
        output: ID of its result in each domain.
        attempts: number of jobs that were submitted.
    """

    job_id: str
    output: str
    attempts: int

    def __str__(self) -> str:
        return f"{self.job_id} Succeeded" + (f" in attempt {self.attempts}" if self.attempts > 1 else "")


def body(job: ExampleJob, job_id: str, owner: str) -> dict[str, Any]:
    """Return the body of `job/create`.

    Args:
        owner: namespace of the release.
    """
    config = psi_config.task_input_config(job, output_of(job, job_id), results.report_of(job_id))
    return {
        "job_id": job_id,
        "initiator": job.initiator,
        "max_parallelism": 2,
        "custom_fields": {OWNER: owner, KEPT: str(job.keep).lower()},
        "tasks": [
            {
                "app_image": job.app_image,
                "alias": TASK,
                "task_id": f"{job_id}-{TASK}",
                "priority": 100,
                "parties": [{"domain_id": party.domain, "role": ""} for party in job.parties],
                "task_input_config": config,
            }
        ],
    }


def transient(reason: str) -> bool:
    """Return whether a retry may succeed, as after a lost, evicted or killed pod."""
    return not _PERMANENT_REASONS.search(reason)


def run(
    api: KusciaAPI, job: ExampleJob, owner: str, deadline: Deadline, fresh_id: Callable[[], str] | None = None
) -> Run:
    """Run the job until it succeeds. A job that succeeded is deleted unless `job.keep`; a failed one stays.

    Args:
        owner: namespace of the release.
        fresh_id: returns a new job ID; by default `new_id`.

    Raises:
        PermanentError: `example-job-failed`: permanently or three times; or `example-job-deleted`.
        DeadlineExceeded: the deadline passed; the job is stopped.
    """
    deadline = deadline.within(job.timeout_seconds)
    until("jobs of interrupted runs", partial(sweep, api, owner), deadline)
    for party in job.parties:
        until("earlier results", partial(results.supersede, api, party.domain), deadline)
    failures: list[str] = []
    for attempt in range(1, ATTEMPTS + 1):
        job_id = (fresh_id or new_id)()
        output = output_of(job, job_id)
        with on_stop(partial(_abandon, api, job, job_id)):
            until("KusciaAPI to accept the job", partial(_create, api, job, job_id, owner), deadline)
            logger.info("submitted KusciaJob %s", job_id)
            try:
                status = _follow(api, job_id, deadline)
            except DeadlineExceeded as error:
                with bounded_by(Deadline(CLEANUP_SECONDS)):
                    _stop(api, job_id)
                    _mark(api, job.parties, output, job_id, results.FAILED)
                raise _with_failures(error, failures) from error
            if status["state"] == "Succeeded":
                _mark(api, job.parties, output, job_id, results.LATEST, job.keep)
                if not job.keep:
                    _delete(api, job_id)
                return Run(job_id, output, attempt)
            _mark(api, job.parties, output, job_id, results.FAILED)
            reason = reasons(status)
            if attempt == ATTEMPTS or not transient(reason) or deadline.passed:
                raise PermanentError(
                    "example-job-failed", f"KusciaJob {job_id} {status['state']}: {reason}", see=show(job_id)
                )
            logger.info("KusciaJob %s %s (%s); retrying", job_id, status["state"], reason)
            failures.append(f"KusciaJob {job_id} {status['state']}: {reason}")
            _delete(api, job_id)
    raise AssertionError("unreachable")


def sweep(api: KusciaAPI, owner: str) -> None:
    """Delete the jobs that earlier runs of the same release left, and mark their results for deletion.

    Only one `check` of a release runs at a time: Helm deletes the pod of the previous one.

    Args:
        owner: namespace of the release.
    """
    for listed in jobs.listed(api):
        job_id = listed["job_id"]
        if not _ID.fullmatch(job_id):
            continue
        try:
            found = api.call("job/query", {"job_id": job_id})
        except Missing:
            continue
        fields = found.get("custom_fields") or {}
        succeeded = found["status"]["state"] == "Succeeded"
        if fields.get(OWNER) != owner or (succeeded and fields.get(KEPT) == "true"):
            continue
        if not jobs.ended(found["status"]):
            _stop(api, job_id)
        for domain, output in _outputs(found):
            _mark_one(api, domain, output, job_id, results.FAILED)
        _delete(api, job_id)
        logger.info("deleted KusciaJob %s of an earlier helm test", job_id)


def _outputs(job: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the domains of a job and the ID of its result in each of them."""
    found = []
    for task in job.get("tasks") or []:
        try:
            output = str(json.loads(task.get("task_input_config", ""))["sf_output_ids"][0])
        except (ValueError, KeyError, TypeError, IndexError):
            continue
        found += [(party["domain_id"], output) for party in task.get("parties") or []]
    return found


def _abandon(api: KusciaAPI, job: ExampleJob, job_id: str) -> None:
    """Stop and delete the job when the step is stopped, and mark results that it has registered."""
    # The step may have been interrupted within a request of `api`.
    with api.separate() as separate, bounded_by(Deadline(CLEANUP_SECONDS)):
        _stop(separate, job_id)
        _mark(separate, job.parties, output_of(job, job_id), job_id, results.FAILED)
        _delete(separate, job_id)


def _with_failures(error: DeadlineExceeded, failures: list[str]) -> DeadlineExceeded:
    """Return the error with what failed in the attempts before."""
    if failures:
        error.message += "; earlier attempts failed: " + "; ".join(failures)
    return error


def _mark(api: KusciaAPI, parties: Iterable[Party], output: str, job_id: str, state: str, keep: bool = False) -> None:
    """Mark the results for the `check` of each party; that a result exists is checked there."""
    for party in parties:
        _mark_one(api, party.domain, output, job_id, state, keep)


def _mark_one(api: KusciaAPI, domain: str, output: str, job_id: str, state: str, keep: bool = False) -> None:
    try:
        results.mark(api, domain, output, job_id, state, keep)
    except StepError as error:
        logger.warning("cannot mark the result of KusciaJob %s in domain %s: %s", job_id, domain, error)


def _create(api: KusciaAPI, job: ExampleJob, job_id: str, owner: str) -> None:
    try:
        api.call("job/create", body(job, job_id, owner))
    except Exists:
        logger.info("KusciaJob %s exists: an earlier request created it", job_id)


def _follow(api: KusciaAPI, job_id: str, deadline: Deadline) -> dict[str, Any]:
    line, status = "submitted", {"state": "Unknown"}

    def report() -> str:
        return f"KusciaJob {job_id}: {line}, {deadline.elapsed():.0f} s"

    with Activity(report, deadline.clock.now, at_once=True) as activity:
        while True:
            reported = line
            try:
                status = api.call("job/query", {"job_id": job_id})["status"]
                line = describe(status)
            except Missing as error:
                raise PermanentError(
                    "example-job-deleted",
                    f"KusciaJob {job_id} was deleted while it ran",
                    fix="run helm test again, once at a time",
                ) from error
            except RetryableError as error:
                line = str(error)
            activity.beat(changed=line != reported)
            if ended(status):
                return status
            if deadline.passed:
                running = RetryableError(
                    "example-job-running", f"{job_id} is still {describe(status)}: {reasons(status)}", see=show(job_id)
                )
                raise DeadlineExceeded("the example job", deadline.elapsed(), running)
            deadline.pause()


def _stop(api: KusciaAPI, job_id: str) -> None:
    """Stop the job and its engines. The job itself stays, so that its status can be read."""
    try:
        api.call("job/stop", {"job_id": job_id, "reason": "the check ended"})
    except Missing:
        logger.info("KusciaJob %s does not exist", job_id)
    except StepError as error:
        logger.warning("cannot stop KusciaJob %s: %s", job_id, error)


def _delete(api: KusciaAPI, job_id: str) -> None:
    try:
        api.call("job/delete", {"job_id": job_id})
    except Missing:
        logger.info("KusciaJob %s is already deleted", job_id)
    except StepError as error:
        logger.warning("cannot delete KusciaJob %s: %s", job_id, error)
