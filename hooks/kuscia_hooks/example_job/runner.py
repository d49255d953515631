"""The example job: submit, follow, and again where only the circumstances failed."""

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from kuscia_hooks.core.config import ExampleJob
from kuscia_hooks.core.errors import DeadlineExceeded, PermanentError, RetryableError, StepError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.waiting import REPORT_SECONDS, Deadline, until
from kuscia_hooks.example_job import psi_config, results
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import Exists, Missing
from kuscia_hooks.kuscia.jobs import describe, ended, reasons, show

ATTEMPTS = 3
TASK = "single-psi"
# What another attempt would only meet again.
_LASTING = re.compile(
    r"failed to get appImage|namespace \"[^\"]*\" not found|ErrImagePull|ImagePullBackOff|InvalidImageName|"
    r"can't find initiator|validate",
    re.IGNORECASE,
)


def new_id() -> str:
    """An id that no other run has; `<id>-single-psi-0-<port>` still fits into a DNS label."""
    return f"psi-{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"


def output_of(job: ExampleJob, job_id: str) -> str:
    """ID of a run's result in each domain; no other run writes it."""
    return f"{job.output}-{job_id.removeprefix('psi-')}"


@dataclass(frozen=True)
class Run:
    """A job that succeeded.

    Args:
        output: ID of its result in each domain.
        attempts: how many jobs it took.
    """

    job_id: str
    output: str
    attempts: int

    def __str__(self) -> str:
        return f"{self.job_id} Succeeded" + (f" in attempt {self.attempts}" if self.attempts > 1 else "")


def body(job: ExampleJob, job_id: str) -> dict[str, Any]:
    """The body of `job/create`."""
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


def passing(reason: str) -> bool:
    """Whether another attempt may succeed: a pod that was lost, evicted or killed, an engine that lost its
    peer.
    """
    return not _LASTING.search(reason)


def run(api: KusciaAPI, job: ExampleJob, deadline: Deadline, fresh_id: Callable[[], str] | None = None) -> Run:
    """Run the job to its success. It is then deleted unless it is to be kept; one that failed stays, for a look.

    Raises:
        PermanentError: it failed for a reason that lasts, or failed three times.
        DeadlineExceeded: the deadline passed; the job is stopped.
    """
    deadline = deadline.within(job.timeout_seconds)
    for party in job.parties:
        until("earlier results", partial(results.supersede, api, party.domain), deadline)
    for attempt in range(1, ATTEMPTS + 1):
        job_id = (fresh_id or new_id)()
        until("KusciaAPI to take the job", partial(_create, api, job, job_id), deadline)
        logger.info("submitted KusciaJob %s", job_id)
        try:
            status = _follow(api, job_id, deadline)
        except DeadlineExceeded:
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
        if attempt == ATTEMPTS or not passing(reason) or deadline.passed:
            raise PermanentError("unclassified", f"KusciaJob {job_id} {status['state']}: {reason}", see=show(job_id))
        logger.info("KusciaJob %s %s (%s); trying again", job_id, status["state"], reason)
        _delete(api, job_id)
    raise AssertionError("unreachable")


def _mark(api: KusciaAPI, job: ExampleJob, job_id: str, state: str) -> None:
    """Tell the parties' checks what became of their results; whether there is one at all is checked elsewhere."""
    keep = job.keep and state == results.LATEST
    for party in job.parties:
        try:
            results.mark(api, party.domain, output_of(job, job_id), job_id, state, keep)
        except StepError as error:
            logger.warning("the result of %s in %s is not marked: %s", job_id, party.domain, error)


def _create(api: KusciaAPI, job: ExampleJob, job_id: str) -> None:
    try:
        api.call("job/create", body(job, job_id))
    except Exists:
        logger.info("KusciaJob %s exists by now", job_id)


def _follow(api: KusciaAPI, job_id: str, deadline: Deadline) -> dict[str, Any]:
    told, told_at, status = "", float("-inf"), {"state": "Unknown"}
    while True:
        try:
            status = api.call("job/query", {"job_id": job_id})["status"]
            line = describe(status)
        except Missing as error:
            raise PermanentError("unclassified", f"KusciaJob {job_id} was deleted while it ran") from error
        except RetryableError as error:
            line = str(error)
        if line != told or deadline.elapsed() - told_at >= REPORT_SECONDS:
            logger.info("KusciaJob %s: %s, %.0f s", job_id, line, deadline.elapsed())
            told, told_at = line, deadline.elapsed()
        if ended(status):
            return status
        if deadline.passed:
            running = RetryableError(
                "example-job-running", f"{job_id} is still {describe(status)}: {reasons(status)}", see=show(job_id)
            )
            raise DeadlineExceeded("the example job", deadline.elapsed(), running)
        deadline.pause()


def _stop(api: KusciaAPI, job_id: str) -> None:
    """So that its engines do not run on unwatched; the job itself stays, for a look."""
    try:
        api.call("job/stop", {"job_id": job_id, "reason": "the time of the check is up"})
    except StepError as error:
        logger.warning("KusciaJob %s is not stopped: %s", job_id, error)


def _delete(api: KusciaAPI, job_id: str) -> None:
    try:
        api.call("job/delete", {"job_id": job_id})
    except Missing:
        logger.info("KusciaJob %s is gone already", job_id)
    except StepError as error:
        logger.warning("KusciaJob %s is left behind: %s", job_id, error)
