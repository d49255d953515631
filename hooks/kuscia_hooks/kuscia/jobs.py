"""KusciaJobs: the list of them, and what the status of one says."""

from typing import Any

from kuscia_hooks.kuscia.api import KusciaAPI

NO_REASON = "no reason given"
ENDED = {"Succeeded", "Failed", "Cancelled", "ApprovalReject"}


def reasons(status: dict[str, Any]) -> str:
    """Everything that a job's status says about why it is where it is, and of which party."""
    texts = [status.get("err_msg") or ""]
    for task in status.get("tasks") or []:
        texts.append(task.get("err_msg") or "")
        for party in task.get("parties") or []:
            if party.get("err_msg"):
                texts.append(f"{party['domain_id']}: {party['err_msg']}")
    return "; ".join(dict.fromkeys(text.strip() for text in texts if text)) or NO_REASON


def ended(status: dict[str, Any]) -> bool:
    """Whether a job will not go on by itself."""
    return status["state"] in ENDED


def listed(api: KusciaAPI) -> list[dict[str, Any]]:
    """Id and status of the jobs that the node takes part in, the latest first.

    KusciaAPI has no list; a watch begins with every job there is (recording "job watch 2s").
    """
    jobs = {}
    for event in api.stream("job/watch", {"timeout_seconds": 1}):
        if event.get("object"):
            jobs[event["object"]["job_id"]] = event["object"]
    return sorted(jobs.values(), key=lambda found: str(found.get("status", {}).get("create_time", "")), reverse=True)


def show(job_id: str) -> str:
    """The command that prints the logs of a job's engines."""
    return f"kubectl kuscia logs {job_id} -A (docs/operations.md)"


def describe(status: dict[str, Any]) -> str:
    """A job's state and its parties' in one line."""
    parties = [
        f"{party['domain_id']} {party['state']}"
        for task in status.get("tasks") or []
        for party in sorted(task.get("parties") or [], key=lambda party: str(party["domain_id"]))
    ]
    return str(status["state"]) + (f" ({', '.join(parties)})" if parties else "")
