"""The next step of one KusciaJob: a pure function of the job, its tasks and the domains.

Phases, texts and states as recorded (notes 'job ...'): a job goes "" -> Pending -> Running -> Succeeded or Failed;
commands (labels) stop, cancel, suspend and restart it.
"""

import dataclasses
import uuid
from typing import Any

from kuscia_sim.jobs import names
from kuscia_sim.state.store import Object, owner_reference

FINISHED = (names.SUCCEEDED, names.FAILED)


@dataclasses.dataclass
class Outcome:
    """What to do: write `job` back if it changed, then act on its tasks."""

    job: Object
    create: list[Object] = dataclasses.field(default_factory=list)
    stop: list[str] = dataclasses.field(default_factory=list)
    delete: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Domains:
    """Domains with a namespace, and which of them are partners: domains of another master."""

    known: frozenset[str]
    partners: frozenset[str] = frozenset()


def is_over(job: Object) -> bool:
    """Tell whether only a command can change this job."""
    status = job.get("status", {})
    final = (names.SUCCEEDED, names.CANCELLED, names.APPROVAL_REJECT)
    return bool(status.get("completionTime")) and status.get("phase") in final


def party_domains(job: Object) -> list[str]:
    """Return the domain IDs that take part, each once, in the order of the spec."""
    found = {party["domainID"]: None for task in job["spec"]["tasks"] for party in task["parties"]}
    return list(found)


def reconcile(job: Object, tasks: dict[str, Object], domains: Domains, now: str) -> Outcome:
    """Compute the next step of `job`, which is changed in place; `tasks` are its KusciaTasks by task ID."""
    outcome = Outcome(job)
    status = job.setdefault("status", {})
    if _handle_command(outcome, tasks, domains, now):
        return outcome
    phase = status.get("phase", "")
    if phase == "":
        _start(job, domains, now)
    elif phase == names.AWAITING_APPROVAL:
        _await_approval(job, now)
    elif phase == names.PENDING and status.get("stageStatus", {}).keys() >= set(party_domains(job)):
        status["phase"] = names.RUNNING
        _name_tasks(job)
    elif phase == names.RUNNING:
        _name_tasks(job)
        _run(outcome, tasks, now)
    elif phase == names.FAILED and not status.get("completionTime"):
        _stop_tasks(outcome, tasks)
        status["completionTime"] = now
    return outcome


def _start(job: Object, domains: Domains, now: str) -> None:
    status = job["status"]
    status["startTime"] = now
    problem = _validate(job, domains)
    if problem:
        _set_condition(status, "JobValidated", "False", "ValidateFailed", f"Validate job failed, {problem}", now)
        status.update(phase=names.FAILED, reason="ValidateFailed", message="", completionTime=now)
        return
    _set_condition(status, "JobValidated", "True", "", "", now)
    missing = [domain for domain in party_domains(job) if domain not in domains.known]
    if missing:
        status.update(
            phase=names.FAILED,
            reason="KusciaJobFailed",
            message=f'KusciaJob failed after 3x retry, last error: namespace "{missing[0]}" not found',
            completionTime=now,
        )
        return
    own = _own_parties(job, domains)
    if own:
        # The parties that the master's own KusciaAPI approves for.
        job["metadata"].setdefault("annotations", {})[names.ANNOTATION_SELF_PARTIES] = "_".join(own)
    begun_here = job["spec"]["initiator"] not in domains.partners
    status["approveStatus"] = dict.fromkeys(own if begun_here else (), names.ACCEPTED)
    complete = _set_stage(job, domains, "Create")
    status["phase"] = names.AWAITING_APPROVAL if begun_here and not complete else names.PENDING


def _await_approval(job: Object, now: str) -> None:
    """Wait until all parties except the initiator approved (Kuscia's pkg/controllers/kusciajob/handler/approval.go)."""
    status = job["status"]
    approvals = {
        status["approveStatus"].get(party) for party in party_domains(job) if party != job["spec"]["initiator"]
    }
    if approvals <= {names.ACCEPTED}:
        status["phase"] = names.PENDING
    if names.REJECTED in approvals:
        status.update(phase=names.APPROVAL_REJECT, completionTime=now)


def _validate(job: Object, domains: Domains) -> str | None:
    initiator = job["spec"]["initiator"]
    if initiator not in domains.known:
        return f'can\'t find initiator namespace {initiator} under cluster, namespace "{initiator}" not found'
    tasks = job["spec"]["tasks"]
    aliases = {task["alias"] for task in tasks}
    for task in tasks:
        for dependency in task.get("dependencies", []):
            if dependency not in aliases:
                return f"validate failed: task {task['alias']} has not exist dependency task {dependency}"
    waiting = {task["alias"]: set(task.get("dependencies", [])) for task in tasks}
    while waiting:
        free = {alias for alias, needs in waiting.items() if not needs & waiting.keys()}
        if not free:
            return "validate failed: cycled dependencies"
        waiting = {alias: needs for alias, needs in waiting.items() if alias not in free}
    return None


def _name_tasks(job: Object) -> None:
    for task in job["spec"]["tasks"]:
        task["taskID"] = task.get("taskID") or f"{job['metadata']['name']}-{uuid.uuid4().hex[-12:]}"


def _run(outcome: Outcome, tasks: dict[str, Object], now: str) -> None:
    job = outcome.job
    status = job["status"]
    phases = {
        task["alias"]: tasks[task["taskID"]].get("status", {}).get("phase") or names.PENDING
        for task in job["spec"]["tasks"]
        if task["taskID"] in tasks
    }
    status["taskStatus"] = {
        task["taskID"]: phases[task["alias"]] for task in job["spec"]["tasks"] if task["taskID"] in tasks
    }
    phase = job_phase(job, phases)
    if phase == names.RUNNING:
        busy = sum(1 for state in phases.values() if state not in FINISHED)
        places = max(0, job["spec"].get("maxParallelism", 1) - busy)
        outcome.create = [_new_task(job, template) for template in ready_tasks(job, phases)[:places]]
        return
    status.update(phase=phase, completionTime=now)
    if phase == names.FAILED:
        status["message"] = failure_message(job, tasks)


def ready_tasks(job: Object, phases: dict[str, str]) -> list[dict[str, Any]]:
    """Return the task templates that may be created now, by descending priority.

    Of several with one alias always the last is used (readyTasksOf in Kuscia's scheduler.go).
    """
    by_alias = {task["alias"]: task for task in job["spec"]["tasks"]}
    ready = [
        task
        for task in job["spec"]["tasks"]
        if task["alias"] not in phases
        and all(phases.get(need) == names.SUCCEEDED for need in task.get("dependencies", []))
    ]
    return [by_alias[task["alias"]] for task in sorted(ready, key=lambda task: -int(task.get("priority") or 0))]


def job_phase(job: Object, phases: dict[str, str]) -> str:
    """Return the phase of a BestEffort job: failed once a task that is not tolerable failed and none runs or is next.

    Kuscia looks up dependencies among task IDs here, so a task that depends on another alias is never next: its job
    fails before it ran (readyTaskMap in pkg/controllers/kusciajob/handler/scheduler.go).
    """
    tasks = {task["taskID"]: task for task in job["spec"]["tasks"]}
    states = {task_id: phases.get(task["alias"]) for task_id, task in tasks.items()}
    critical = [states[task_id] for task_id, task in tasks.items() if not task.get("tolerable")]
    if all(state in FINISHED for state in states.values()) and all(state == names.SUCCEEDED for state in critical):
        return names.SUCCEEDED
    running = any(state is not None and state not in FINISHED for state in states.values())
    following = any(
        states[task_id] is None and all(states.get(need) == names.SUCCEEDED for need in task.get("dependencies", []))
        for task_id, task in tasks.items()
    )
    if not following and not running and names.FAILED in critical:
        return names.FAILED
    return names.RUNNING


def failure_message(job: Object, tasks: dict[str, Object]) -> str:
    """Return the messages of the parties' engines, one entry for each (recorded: note 'job query job-fail')."""
    said = []
    for template in job["spec"]["tasks"]:
        status = tasks.get(template["taskID"], {}).get("status", {})
        if status.get("phase") != names.FAILED:
            continue
        for pod in status.get("podStatuses", {}).values():
            text = pod_message(pod)
            if text:
                said.append(f"Task[{template['alias']}]-Party[{pod['namespace']}]: {text}")
    return ",".join(said)


def pod_message(pod_status: dict[str, Any]) -> str:
    """Return a pod's part of its party's `err_msg`: status message, then the termination message of its container."""
    message = pod_status.get("message", "")
    return (f"{message};" if message else "") + str(pod_status.get("terminationLog", ""))


def _new_task(job: Object, template: dict[str, Any]) -> Object:
    metadata = job["metadata"]
    return {
        "metadata": {
            "name": template["taskID"],
            "labels": {names.LABEL_CONTROLLER: "kusciajob", names.LABEL_JOB_UID: metadata["uid"]},
            "annotations": {
                names.ANNOTATION_JOB_ID: metadata["name"],
                names.ANNOTATION_TASK_ALIAS: template["alias"],
                names.ANNOTATION_INITIATOR: job["spec"]["initiator"],
            },
            "ownerReferences": [owner_reference("KusciaJob", job)],
        },
        "spec": {
            "initiator": job["spec"]["initiator"],
            "taskInputConfig": template.get("taskInputConfig", ""),
            "parties": [
                {
                    "domainID": party["domainID"],
                    "role": party.get("role", ""),
                    "appImageRef": template.get("appImage", ""),
                    "resources": party.get("resources") or {},
                    "bandwidthLimits": party.get("bandwidthLimits", []),
                }
                for party in template["parties"]
            ],
            "scheduleConfig": template.get("scheduleConfig") or {},
        },
        "status": {},
    }


def _handle_command(outcome: Outcome, tasks: dict[str, Object], domains: Domains, now: str) -> bool:
    job = outcome.job
    status = job["status"]
    labels = job["metadata"].setdefault("labels", {})
    command = labels.get(names.LABEL_JOB_STAGE, "")
    phase, over = status.get("phase", ""), bool(status.get("completionTime"))
    if not command or phase == "":
        return False
    text = f"Party: {labels.get(names.LABEL_JOB_STAGE_TRIGGER, '')} execute the cmd: {command}."
    if command in (names.STAGE_STOP, names.STAGE_CANCEL):
        if phase in (names.SUCCEEDED, names.CANCELLED) and over:
            return False
        if command == names.STAGE_STOP and phase == names.FAILED and over:
            return False
        _stop_tasks(outcome, tasks)
        _set_stage(job, domains, command)
        final = names.FAILED if command == names.STAGE_STOP else names.CANCELLED
        status.update(phase=final, reason=text, message=text, completionTime=status.get("completionTime") or now)
        return True
    if command == names.STAGE_SUSPEND and phase == names.RUNNING:
        _stop_tasks(outcome, tasks)
        _set_stage(job, domains, command)
        status.update(phase=names.SUSPENDED, reason=text, message="")
        return True
    if command == names.STAGE_RESTART and phase in (names.FAILED, names.SUSPENDED):
        return _restart(outcome, tasks, domains, text)
    # Restarted, but not by all parties yet.
    return bool(command == names.STAGE_RESTART and phase == names.RUNNING)


def _restart(outcome: Outcome, tasks: dict[str, Object], domains: Domains, text: str) -> bool:
    job = outcome.job
    labels = job["metadata"]["labels"]
    status = job["status"]
    conditions = status.get("conditions", [])
    if any(entry["type"] == "JobValidated" and entry["status"] == "False" for entry in conditions):
        return False
    outcome.delete = [
        task_id for task_id, task in tasks.items() if task.get("status", {}).get("phase") != names.SUCCEEDED
    ]
    status["taskStatus"] = {
        task_id: phase for task_id, phase in status.get("taskStatus", {}).items() if phase == names.SUCCEEDED
    }
    status.pop("completionTime", None)
    trigger = labels.get(names.LABEL_JOB_STAGE_TRIGGER, "")
    status.update(phase=names.RUNNING, reason=text, message=f"This job is restarted by {trigger}")
    if not _set_stage(job, domains, names.STAGE_RESTART):
        return True
    # Back to Start, as in Kuscia, so that the job can be restarted again.
    labels[names.LABEL_JOB_STAGE] = names.STAGE_START
    labels[names.LABEL_JOB_STAGE_TRIGGER] = job["spec"]["initiator"]
    labels[names.LABEL_JOB_STAGE_VERSION] = str(int(labels.get(names.LABEL_JOB_STAGE_VERSION, "0")) + 1)
    _set_stage(job, domains, names.STAGE_START)
    return True


def _stop_tasks(outcome: Outcome, tasks: dict[str, Object]) -> None:
    """Stop the tasks in the job's status; newer ones continue, as in Kuscia (stopTasks in scheduler.go)."""
    named = outcome.job["status"].get("taskStatus", {})
    for task_id, phase in named.items():
        if phase in FINISHED:
            continue
        named[task_id] = names.FAILED
        if task_id in tasks:
            outcome.stop.append(task_id)


def _set_stage(job: Object, domains: Domains, stage: str) -> bool:
    """Record the stage for this master's parties; tell whether they are all (getAllParties in scheduler.go)."""
    own = _own_parties(job, domains)
    job["status"].setdefault("stageStatus", {}).update(dict.fromkeys(own, names.STAGE_SUCCEEDED.format(stage)))
    return own == party_domains(job)


def _own_parties(job: Object, domains: Domains) -> list[str]:
    """Return the parties that are not partners; none if one is unknown."""
    parties = party_domains(job)
    return [party for party in parties if party not in domains.partners] if domains.known.issuperset(parties) else []


def _set_condition(status: Object, kind: str, value: str, reason: str, message: str, now: str) -> None:
    others = [entry for entry in status.get("conditions", []) if entry["type"] != kind]
    status["conditions"] = [
        *others,
        {"type": kind, "status": value, "reason": reason, "message": message, "lastTransitionTime": now},
    ]
