"""The runs of the steps: which Job or container ran, with what result, and how long it took."""

from datetime import datetime
from typing import Any

COMPONENT = "app.kubernetes.io/component"
JOB_STEPS = ("keys", "register", "routes", "data")
INIT_STEPS = ("prepare", "seed")


def step_runs(jobs: list[dict[str, Any]], pods: list[dict[str, Any]], mode: str) -> list[dict[str, Any]]:
    """Return the last run of each step: of Jobs, of init containers of the Kuscia pod, and of the pod of `helm test`.

    Args:
        jobs: the Jobs of the release.
        pods: the pods of the release.
        mode: component of the Kuscia pod.

    Returns:
        Rows with `step`, `name`, `state`, `started` and `seconds`; `seconds` is None while the step runs.
    """
    rows = [_of_job(job) for job in jobs if component(job) in JOB_STEPS]
    for pod in pods:
        status = pod["status"]
        if component(pod) == mode:
            named = {one["name"]: one for one in status.get("initContainerStatuses") or []}
            rows += [_of_container(name, pod, named[name]) for name in INIT_STEPS if name in named]
        elif component(pod) == "check":
            rows += [_of_container("check", pod, one) for one in status.get("containerStatuses") or []]
    return sorted(rows, key=lambda row: str(row["started"]))


def component(item: dict[str, Any]) -> str:
    """Return the step, `master` or `lite` that an object belongs to; "" for none."""
    return str((item["metadata"].get("labels") or {}).get(COMPONENT, ""))


def ended(job: dict[str, Any]) -> str:
    """Return `Succeeded` or `Failed` for a Job that has ended, else ""."""
    for condition in job["status"].get("conditions") or []:
        if condition["status"] == "True" and condition["type"] in ("Complete", "Failed"):
            return "Succeeded" if condition["type"] == "Complete" else "Failed"
    return ""


def _of_job(job: dict[str, Any]) -> dict[str, Any]:
    status = job["status"]
    state = ended(job) or ("Running" if status.get("active") else "Waiting")
    last = [one["lastTransitionTime"] for one in status.get("conditions") or [] if one["status"] == "True"]
    end = status.get("completionTime") or (last[-1] if ended(job) and last else None)
    return _row(component(job), job, state, status.get("startTime", ""), end)


def _of_container(step: str, pod: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    state = found["state"]
    if "terminated" in state:
        result = "Succeeded" if state["terminated"].get("exitCode") == 0 else "Failed"
        return _row(step, pod, result, state["terminated"].get("startedAt", ""), state["terminated"].get("finishedAt"))
    return _row(
        step, pod, "Running" if "running" in state else "Waiting", state.get("running", {}).get("startedAt", ""), None
    )


def _row(step: str, item: dict[str, Any], state: str, started: str, end: str | None) -> dict[str, Any]:
    seconds = None
    if started and end:
        seconds = round((datetime.fromisoformat(end) - datetime.fromisoformat(started)).total_seconds())
    return {"step": step, "name": item["metadata"]["name"], "state": state, "started": started, "seconds": seconds}
