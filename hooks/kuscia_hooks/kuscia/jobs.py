"""KusciaJobs: list and status."""

from typing import Any

from kuscia_hooks.core.text import quoted
from kuscia_hooks.kuscia.api import KusciaAPI

NO_REASON = "no reason given"
ENDED = {"Succeeded", "Failed", "Cancelled", "ApprovalReject"}


def reasons(status: dict[str, Any]) -> str:
    """Return all error messages in the status of a job, with their domains."""
    texts = [status.get("err_msg") or ""]
    for task in status.get("tasks") or []:
        texts.append(task.get("err_msg") or "")
        for party in task.get("parties") or []:
            if party.get("err_msg"):
                texts.append(f"{party['domain_id']}: {party['err_msg']}")
    return "; ".join(dict.fromkeys(text.strip() for text in texts if text)) or NO_REASON


def ended(status: dict[str, Any]) -> bool:
    """Return whether a job has ended."""
    return str(status["state"]) in ENDED


def listed(api: KusciaAPI) -> list[dict[str, Any]]:
    """Return ID and status of the jobs in which the node participates, newest first.

    KusciaAPI has no list request; a watch starts with all existing jobs (recording "job watch 2s").
    """
    jobs = {}
    for event in api.stream("job/watch", {"timeout_seconds": 1}):
        if event.get("object"):
            jobs[event["object"]["job_id"]] = event["object"]
    return sorted(jobs.values(), key=lambda found: str(found.get("status", {}).get("create_time", "")), reverse=True)


def show(job_id: str) -> str:
    """Return the command that prints the engine logs of a job."""
    return f"kubectl kuscia logs {quoted(job_id)} -A (docs/operations.md)"


def describe(status: dict[str, Any]) -> str:
    """Return the state of a job and of its parties on one line."""
    parties = [
        f"{party['domain_id']} {party['state']}"
        for task in status.get("tasks") or []
        for party in sorted(task.get("parties") or [], key=lambda party: str(party["domain_id"]))
    ]
    return str(status["state"]) + (f" ({', '.join(parties)})" if parties else "")
