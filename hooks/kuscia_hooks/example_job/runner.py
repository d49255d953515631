"""Runs the example job: submits it, follows it, and retries it after a transient failure."""

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from kuscia_hooks.core.activity import Activity
from kuscia_hooks.core.config import ExampleJob
from kuscia_hooks.core.errors import DeadlineExceeded, PermanentError, RetryableError, StepError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.waiting import Deadline, bounded_by, until
from kuscia_hooks.example_job import psi_config, results
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import Exists, Missing
from kuscia_hooks.kuscia.jobs import describe, ended, reasons, show

ATTEMPTS = 3
CLEANUP_SECONDS = 10.0
TASK = "single-psi"
# Reasons for which a retry fails again.
_PERMANENT_REASONS = re.compile(
    r"failed to get appImage|namespace \"[^\"]*\" not found|ErrImagePull|ImagePullBackOff|InvalidImageName|"
    r"can't find initiator|validate",
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


def body(job: ExampleJob, job_id: str) -> dict[str, Any]:
    """Return the body of `job/create`."""
    config = psi_config.task_input_config(job, output_of(job, job_id), results.report_of(job_id))
    return {
        "job_id": job_id,
        "initiator": job.initiator,
        "max_parallelism": 2,
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


def run(api: KusciaAPI, job: ExampleJob, deadline: Deadline, fresh_id: Callable[[], str] | None = None) -> Run:
    """Run the job until it succeeds. A job that succeeded is deleted unless `job.keep`; a failed one stays.

    Args:
        fresh_id: returns a new job ID; by default `new_id`.

    Raises:
        PermanentError: `example-job-failed`: permanently or three times; or `example-job-deleted`.
        DeadlineExceeded: the deadline passed; the job is stopped.
    """
    deadline = deadline.within(job.timeout_seconds)
    for party in job.parties:
        until("earlier results", partial(results.supersede, api, party.domain), deadline)
    for attempt in range(1, ATTEMPTS + 1):
        job_id = (fresh_id or new_id)()
        until("KusciaAPI to accept the job", partial(_create, api, job, job_id), deadline)
        logger.info("submitted KusciaJob %s", job_id)
        try:
            status = _follow(api, job_id, deadline)
        except DeadlineExceeded:
            with bounded_by(Deadline(CLEANUP_SECONDS)):
                _stop(api, job_id)
                _mark(api, job, job_id, results.FAILED)
            raise
        if status["state"] == "Succeeded":
            _mark(api, job, job_id, results.LATEST)
            if not job.keep:
                _delete(api, job_id)
            return Run(job_id, output_of(job, job_id), attempt)
        _mark(api, job, job_id, results.FAILED)
        reason = reasons(status)
        if attempt == ATTEMPTS or not transient(reason) or deadline.passed:
            raise PermanentError(
                "example-job-failed", f"KusciaJob {job_id} {status['state']}: {reason}", see=show(job_id)
            )
        logger.info("KusciaJob %s %s (%s); retrying", job_id, status["state"], reason)
        _delete(api, job_id)
    raise AssertionError("unreachable")


def _mark(api: KusciaAPI, job: ExampleJob, job_id: str, state: str) -> None:
    """Mark the results for the `check` of each party; that a result exists is checked there."""
    keep = job.keep and state == results.LATEST
    for party in job.parties:
        try:
            results.mark(api, party.domain, output_of(job, job_id), job_id, state, keep)
        except StepError as error:
            logger.warning("cannot mark the result of KusciaJob %s in domain %s: %s", job_id, party.domain, error)


def _create(api: KusciaAPI, job: ExampleJob, job_id: str) -> None:
    try:
        api.call("job/create", body(job, job_id))
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
                raise PermanentError("example-job-deleted", f"KusciaJob {job_id} was deleted while it ran") from error
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
        api.call("job/stop", {"job_id": job_id, "reason": "the check timed out"})
    except StepError as error:
        logger.warning("cannot stop KusciaJob %s: %s", job_id, error)


def _delete(api: KusciaAPI, job_id: str) -> None:
    try:
        api.call("job/delete", {"job_id": job_id})
    except Missing:
        logger.info("KusciaJob %s is already deleted", job_id)
    except StepError as error:
        logger.warning("cannot delete KusciaJob %s: %s", job_id, error)
