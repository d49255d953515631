"""Job endpoints of KusciaAPI: /api/v1/job/... (Kuscia facts 7.4; recorded: notes 'job ...')."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

from kuscia_sim.api import validation
from kuscia_sim.api.validation import require
from kuscia_sim.jobs import names, quantity
from kuscia_sim.jobs.jobs import party_domains, pod_message
from kuscia_sim.state import object_names
from kuscia_sim.state.store import Conflict, NotFound, Object, StoreError
from kuscia_sim.transport.endpoints import (
    ERR_AUTH,
    ERR_VALIDATE,
    ApiError,
    Context,
    Endpoints,
    RequestHeader,
    Status,
    store_error,
)
from kuscia_sim.transport.protojson import (
    BOOL,
    FLOAT,
    INT32,
    INT64,
    STR,
    UINT64,
    Dict,
    Enum,
    Message,
    mapping,
    message,
    optional,
    repeated,
)

ERR_CREATE, ERR_QUERY, ERR_STATUS, ERR_DELETE, ERR_STOP, ERR_APPROVE = range(11201, 11207)
ERR_SUSPEND, ERR_RESTART, ERR_CANCEL, ERR_NOT_RUNNING, ERR_NOT_RESTARTABLE = range(11207, 11212)
MAX_TASKS = 128
TASK_ID_PATTERN = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
MAX_PARALLELISM = 128
MAX_INT32 = 2**31 - 1
HEARTBEAT_SECONDS = 10.0
SCHEDULE_FIELDS = {
    "task_timeout_seconds": ("lifecycleSeconds", 300),
    "resource_reserved_seconds": ("resourceReservedSeconds", 30),
    "resource_reallocation_interval_seconds": ("retryIntervalSeconds", 30),
}
"""Fields of a task and their defaults for values that are not positive (Kuscia's pkg/kusciaapi/service/job_service.go).
"""
WRITE_TRIES = 5

BandwidthLimit = message("BandwidthLimit", destination_id=STR, limit_kbps=UINT64)
JobResource = message("JobResource", cpu=STR, memory=STR, bandwidth=STR)
Party = message("Party", domain_id=STR, role=STR, resources=JobResource, bandwidth_limits=repeated(BandwidthLimit))
ScheduleConfig = message(
    "ScheduleConfig",
    task_timeout_seconds=INT32,
    resource_reserved_seconds=INT32,
    resource_reallocation_interval_seconds=INT32,
)
_task_fields: dict[str, Any] = {
    "app_image": STR,
    "parties": repeated(Party),
    "alias": STR,
    "task_id": STR,
    "dependencies": repeated(STR),
    "task_input_config": STR,
    "priority": INT32,
    "schedule_config": ScheduleConfig,
}
# An answer omits `tolerable` if it was not given, as recorded.
TaskConfig = message("TaskConfig", **_task_fields)
TaskRequest = message("Task", **_task_fields, tolerable=optional(BOOL))
EndpointStatus = message("JobPartyEndpoint", port_name=STR, scope=STR, endpoint=STR)
PartyStatus = message("PartyStatus", domain_id=STR, state=STR, err_msg=STR, endpoints=repeated(EndpointStatus))
TaskStatus = message(
    "TaskStatus",
    task_id=STR,
    state=STR,
    err_msg=STR,
    create_time=STR,
    start_time=STR,
    end_time=STR,
    parties=repeated(PartyStatus),
    alias=STR,
    progress=FLOAT,
)
DomainState = message("PartyStageStatus", domain_id=STR, state=STR)
JobStatusDetail = message(
    "JobStatusDetail",
    state=STR,
    err_msg=STR,
    create_time=STR,
    start_time=STR,
    end_time=STR,
    tasks=repeated(TaskStatus),
    stage_status_list=repeated(DomainState),
    approve_status_list=repeated(DomainState),
)
JobStatus = message("JobStatus", job_id=STR, status=JobStatusDetail)
JobID = message("JobResponseData", job_id=STR)

CreateJobRequest = message(
    "CreateJobRequest",
    header=RequestHeader,
    job_id=STR,
    initiator=STR,
    max_parallelism=INT32,
    tasks=repeated(TaskRequest),
    custom_fields=mapping(),
)
QueryJobRequest = message("QueryJobRequest", header=RequestHeader, job_id=STR)
QueryJobResponse = message(
    "QueryJobResponse",
    status=Status,
    data=message(
        "QueryJobResponseData",
        job_id=STR,
        initiator=STR,
        max_parallelism=INT32,
        tasks=repeated(TaskConfig),
        status=JobStatusDetail,
        custom_fields=mapping(),
    ),
)
BatchQueryRequest = message("BatchQueryJobStatusRequest", header=RequestHeader, job_ids=repeated(STR))
BatchQueryResponse = message(
    "BatchQueryJobStatusResponse",
    status=Status,
    data=message("BatchQueryJobStatusResponseData", jobs=repeated(JobStatus)),
)
DeleteJobRequest = message("DeleteJobRequest", header=RequestHeader, job_id=STR)
ApproveResult = Enum(
    "kusciaapi.ApproveResult", ("APPROVE_RESULT_UNKNOWN", "APPROVE_RESULT_ACCEPT", "APPROVE_RESULT_REJECT")
)
ApproveJobRequest = message("ApproveJobRequest", job_id=STR, result=ApproveResult, reason=STR)
EventType = Enum("kusciaapi.EventType", ("ADDED", "MODIFIED", "DELETED", "ERROR", "HEARTBEAT"))
WatchJobRequest = message("WatchJobRequest", header=RequestHeader, timeout_seconds=INT64)
WatchJobResponse = message("WatchJobEventResponse", type=EventType, object=JobStatus)

endpoints = Endpoints("/api/v1/job/", on_lite="proxied")


def _command_request(name: str) -> Message:
    return message(f"{name}JobRequest", header=RequestHeader, job_id=STR, reason=STR)


def _id_response(name: str) -> Message:
    return message(f"{name}JobResponse", status=Status, data=JobID)


# --- create ---


def _check_create(ctx: Context, request: Dict) -> None:
    require(request["job_id"], "job id can not be empty")
    validation.check_id(request["job_id"], "job_id")
    require(request["tasks"], "tasks can not be empty")
    initiator = request["initiator"]
    require(initiator, "initiator can not be empty")
    own = ctx.node.domain_id
    require(
        ctx.node.is_master or initiator == own,
        f"initiator is {initiator}, but initiator must be {own} in P2P",
    )
    for index, task in enumerate(request["tasks"]):
        require(task["alias"], f"task alias can not be empty on tasks[{index}]")
        require(task["parties"], f"parties can not be empty on tasks[{index}]")
        for party in task["parties"]:
            require(party["domain_id"], "party domain id can not be empty")


@endpoints.add("create", CreateJobRequest, _id_response("Create"), check=_check_create)
async def create(ctx: Context, request: Dict) -> Dict:
    taking_part = {party["domain_id"] for task in request["tasks"] for party in task["parties"]}
    if ctx.role == "domain" and ctx.source not in taking_part | {request["initiator"]}:
        raise _not_a_party("create")
    job = _new_job(request)
    try:
        _check_crd(job)
        await ctx.store.create("kusciajobs", names.CROSS_DOMAIN, request["job_id"], job)
    except StoreError as err:
        raise store_error(err, ERR_CREATE) from err
    return {"data": {"job_id": request["job_id"]}}


def _new_job(request: Dict) -> Object:
    parallelism = request["max_parallelism"]
    return {
        "metadata": {
            "name": request["job_id"],
            "labels": {names.LABEL_CUSTOM_FIELD + key: value for key, value in request["custom_fields"].items()},
            "annotations": {},
        },
        "spec": {
            "initiator": request["initiator"],
            "maxParallelism": parallelism if parallelism > 0 else 1,
            "scheduleMode": "BestEffort",
            "tasks": [_new_task(task) for task in request["tasks"]],
        },
        "status": {},
    }


def _new_task(task: Dict) -> Object:
    template: Object = {
        "alias": task["alias"],
        "taskID": task["task_id"],
        "appImage": task["app_image"],
        "taskInputConfig": task["task_input_config"],
        "parties": [_new_party(party) for party in task["parties"]],
        "dependencies": task["dependencies"],
        "priority": task["priority"],
    }
    if task["tolerable"] is not None:
        template["tolerable"] = task["tolerable"]
    if task["schedule_config"] is not None:
        given = task["schedule_config"]
        template["scheduleConfig"] = {
            crd: given[field] if given[field] > 0 else default for field, (crd, default) in SCHEDULE_FIELDS.items()
        }
    return template


def _new_party(party: Dict) -> Object:
    limits = {}
    for kind in ("cpu", "memory"):
        text = (party["resources"] or {}).get(kind, "")
        if not text:
            continue
        try:
            quantity.parse(text)
        except ValueError as err:
            raise ApiError(ERR_VALIDATE, f"parse input {kind} resource failed: {err}") from err
        limits[kind] = text
    for limit in party["bandwidth_limits"]:
        require(limit["limit_kbps"], "bandwidth limit kbps can not be zero or negative")
        require(limit["destination_id"], "bandwidth limit destination id can not be empty")
    return {
        "domainID": party["domain_id"],
        "role": party["role"],
        "resources": {"limits": limits} if limits else {},
        "bandwidthLimits": [
            {"destinationID": limit["destination_id"], "limitKBps": limit["limit_kbps"]}
            for limit in party["bandwidth_limits"]
        ],
    }


def _check_crd(job: Object) -> None:
    """Check what the API server behind KusciaAPI checks.

    Raises:
        Invalid: the job breaks a rule of its CRD.
    """
    spec, name = job["spec"], job["metadata"]["name"]
    errors = object_names.object_name(name)
    for key, value in job["metadata"]["labels"].items():
        errors += object_names.label_key(*key.split("/", 1)) + object_names.label_value(value)
    errors += validation.in_range("spec.maxParallelism", spec["maxParallelism"], 1, MAX_PARALLELISM)
    errors += _too_many("spec.tasks", spec["tasks"])
    for index, task in enumerate(spec["tasks"]):
        errors += _too_many(f"spec.tasks[{index}].dependencies", task["dependencies"])
        if task["taskID"]:
            errors += validation.matches(f"spec.tasks[{index}].taskID", task["taskID"], TASK_ID_PATTERN)
    object_names.refuse_invalid("KusciaJob", name, errors)


def _too_many(path: str, items: list[Any]) -> list[str]:
    if len(items) <= MAX_TASKS:
        return []
    return [f"{path}: Too many: {len(items)}: must have at most {MAX_TASKS} items"]


# --- query ---


def _check_id(_ctx: Context, request: Dict) -> None:
    require(request["job_id"], "job id can not be empty")


@endpoints.add("query", QueryJobRequest, QueryJobResponse, check=_check_id)
async def query(ctx: Context, request: Dict) -> Dict:
    job = await _readable(ctx, request["job_id"], ERR_QUERY)
    spec = job["spec"]
    custom = {
        key.removeprefix(names.LABEL_CUSTOM_FIELD): value
        for key, value in job["metadata"].get("labels", {}).items()
        if key.startswith(names.LABEL_CUSTOM_FIELD)
    }
    data = {
        "job_id": request["job_id"],
        "initiator": spec["initiator"],
        "max_parallelism": spec["maxParallelism"],
        "tasks": [_task_config(task) for task in spec["tasks"]],
        "status": await job_status(ctx, job),
        "custom_fields": custom,
    }
    return {"data": data}


def _task_config(task: Object) -> Dict:
    schedule = task.get("scheduleConfig")
    return {
        "app_image": task["appImage"],
        "parties": [
            {
                "domain_id": party["domainID"],
                "role": party["role"],
                "resources": None,
                "bandwidth_limits": [
                    {"destination_id": limit["destinationID"], "limit_kbps": limit["limitKBps"]}
                    for limit in party["bandwidthLimits"]
                ],
            }
            for party in task["parties"]
        ],
        "alias": task["alias"],
        "task_id": task["taskID"],
        "dependencies": task["dependencies"],
        "task_input_config": task["taskInputConfig"],
        "priority": task["priority"],
        "schedule_config": schedule and {field: schedule[crd] for field, (crd, _) in SCHEDULE_FIELDS.items()},
    }


def _check_ids(_ctx: Context, request: Dict) -> None:
    require(request["job_ids"], "job ids can not be empty")
    for job_id in request["job_ids"]:
        require(job_id, "job id can not be empty")


@endpoints.add("status/batchQuery", BatchQueryRequest, BatchQueryResponse, check=_check_ids)
async def batch_query(ctx: Context, request: Dict) -> Dict:
    found = []
    for job_id in request["job_ids"]:
        job = await _readable(ctx, job_id, ERR_STATUS)
        found.append({"job_id": job_id, "status": await job_status(ctx, job)})
    return {"data": {"jobs": found}}


async def job_status(ctx: Context, job: Object) -> Dict:
    """Return a JobStatusDetail of the job with its tasks."""
    status = job.get("status", {})
    phases = status.get("taskStatus", {})
    return {
        "state": _state(status.get("phase", "")),
        "err_msg": status.get("message", ""),
        "create_time": job["metadata"]["creationTimestamp"],
        "start_time": status.get("startTime", ""),
        "end_time": status.get("completionTime", ""),
        "tasks": [await _task_status(ctx, task, phases) for task in job["spec"]["tasks"]],
        "stage_status_list": _by_domain(status.get("stageStatus", {})),
        "approve_status_list": _by_domain(status.get("approveStatus", {})),
    }


async def _task_status(ctx: Context, template: Object, phases: dict[str, str]) -> Dict:
    task_id = template["taskID"]
    result: Dict = {
        "task_id": task_id,
        "alias": template["alias"],
        "state": phases.get(task_id, names.PENDING),
    }
    if task_id not in phases:
        return result
    try:
        task = await ctx.store.get("kusciatasks", names.CROSS_DOMAIN, task_id)
    except NotFound:
        return result
    status = task.get("status", {})
    return result | {
        "err_msg": status.get("message", ""),
        "create_time": task["metadata"]["creationTimestamp"],
        "start_time": status.get("startTime", ""),
        "end_time": status.get("completionTime", ""),
        "parties": _party_statuses(status),
        "progress": status.get("progress", 0),
    }


def _party_statuses(status: Object) -> list[Dict]:
    said: dict[str, list[str]] = {}
    for pod in status.get("podStatuses", {}).values():
        said.setdefault(pod["namespace"], []).append(pod_message(pod))
    states = {party["domainID"]: party["phase"] for party in status.get("partyTaskStatus", [])}
    parties = [
        {
            "domain_id": domain,
            "state": states.get(domain) or names.PENDING,
            "err_msg": ",".join(texts),
            "endpoints": _as_a_map(
                [
                    {"port_name": entry["portName"], "scope": entry["scope"], "endpoint": _endpoint(entry)}
                    for entry in status.get("serviceStatuses", {}).values()
                    if entry["namespace"] == domain
                ]
            ),
        }
        for domain, texts in said.items()
    ]
    return _as_a_map(parties)


def _endpoint(service: Dict) -> str:
    host = f"{service['serviceName']}.{service['namespace']}.svc"
    return f"{host}:{service['portNumber']}" if service["scope"] == "Domain" else host


def _state(phase: str) -> str:
    known = (
        names.RUNNING,
        names.SUCCEEDED,
        names.FAILED,
        names.SUSPENDED,
        names.CANCELLED,
        names.AWAITING_APPROVAL,
        names.APPROVAL_REJECT,
    )
    if phase in ("", names.PENDING):
        return names.PENDING
    return phase if phase in known else "Unknown"


def _by_domain(states: dict[str, str]) -> list[Dict]:
    return _as_a_map([{"domain_id": domain, "state": state} for domain, state in states.items()])


def _as_a_map(items: list[Dict]) -> list[Dict]:
    """Return the items in random order, as from a Go map (Kuscia facts 7.4)."""
    return random.sample(items, len(items))


async def _readable(ctx: Context, job_id: str, code: int) -> Object:
    """Return the job if the caller may read it.

    Raises:
        ApiError: the job does not exist or the caller may not read it.
    """
    job = await _get(ctx, job_id, code)
    if not _takes_part(ctx, job):
        raise ApiError(code, str(_not_a_party("retrieve")))
    return job


async def _get(ctx: Context, job_id: str, code: int) -> Object:
    validation.check_path(names.CROSS_DOMAIN, job_id, code)
    try:
        job: Object = await ctx.store.get("kusciajobs", names.CROSS_DOMAIN, job_id)
    except StoreError as err:
        raise store_error(err, code) from err
    return job


def _takes_part(ctx: Context, job: Object) -> bool:
    return ctx.role != "domain" or _concerns(ctx.source, job)


def _concerns(domain_id: str, job: Object) -> bool:
    return domain_id == job["spec"]["initiator"] or domain_id in party_domains(job)


def _not_a_party(verb: str) -> ApiError:
    return ApiError(
        ERR_AUTH,
        f"domain's KusciaAPI could only {verb} the job that the domain as a participant in the job",
    )


# --- commands ---


@endpoints.add("delete", DeleteJobRequest, _id_response("Delete"), check=_check_id)
async def delete(ctx: Context, request: Dict) -> Dict:
    job_id = request["job_id"]
    # A caller without access gets the access error even if the job does not exist.
    job = await _get(ctx, job_id, ERR_AUTH if ctx.role == "domain" else ERR_DELETE)
    if not _takes_part(ctx, job):
        raise _not_a_party("delete")
    try:
        await ctx.store.delete("kusciajobs", names.CROSS_DOMAIN, job_id)
    except StoreError as err:
        raise store_error(err, ERR_DELETE) from err
    return {"data": {"job_id": job_id}}


@endpoints.add("stop", _command_request("Stop"), _id_response("Stop"), check=_check_id)
async def stop(ctx: Context, request: Dict) -> Dict:
    return await _command(ctx, request, names.STAGE_STOP, ERR_STOP, verb="retrieve")


@endpoints.add("cancel", _command_request("Cancel"), _id_response("Cancel"), check=_check_id)
async def cancel(ctx: Context, request: Dict) -> Dict:
    return await _command(ctx, request, names.STAGE_CANCEL, ERR_CANCEL)


@endpoints.add("suspend", _command_request("Suspend"), _id_response("Suspend"), check=_check_id)
async def suspend(ctx: Context, request: Dict) -> Dict:
    allowed = (names.RUNNING,)
    return await _command(ctx, request, names.STAGE_SUSPEND, ERR_SUSPEND, allowed, ERR_NOT_RUNNING)


@endpoints.add("restart", _command_request("Restart"), _id_response("Restart"), check=_check_id)
async def restart(ctx: Context, request: Dict) -> Dict:
    allowed = (names.FAILED, names.SUSPENDED)
    return await _command(ctx, request, names.STAGE_RESTART, ERR_RESTART, allowed, ERR_NOT_RESTARTABLE)


async def _command(
    ctx: Context,
    request: Dict,
    stage: str,
    code: int,
    allowed: tuple[str, ...] | None = None,
    not_allowed_code: int = 0,
    verb: str = "approve",
) -> Dict:
    """Set the job's stage label, which the controller follows."""
    job_id = request["job_id"]

    def change(job: Object) -> bool:
        if not _takes_part(ctx, job):
            raise _not_a_party(verb)
        phase = job.get("status", {}).get("phase", "")
        if allowed is not None and phase not in allowed:
            word = stage.lower()
            raise ApiError(not_allowed_code, f"job: {job_id} current status is {phase} can not be {word}.")
        labels = job["metadata"].setdefault("labels", {})
        if stage in (names.STAGE_STOP, names.STAGE_RESTART) and labels.get(names.LABEL_JOB_STAGE) == stage:
            return False
        version = labels.get(names.LABEL_JOB_STAGE_VERSION)
        labels[names.LABEL_JOB_STAGE] = stage
        # Empty on a master, as recorded ("Party:  execute the cmd: Stop.").
        labels[names.LABEL_JOB_STAGE_TRIGGER] = ""
        labels[names.LABEL_JOB_STAGE_VERSION] = str(int(version) + 1) if version else "1"
        return True

    await _change(ctx, job_id, code, change)
    return {"data": {"job_id": job_id}}


def _check_approve(ctx: Context, request: Dict) -> None:
    _check_id(ctx, request)
    unknown = request["result"] == ApproveResult.zero
    require(ctx.node.is_master or not unknown, "approve result must be set")
    legal = ("APPROVE_RESULT_ACCEPT", "APPROVE_RESULT_REJECT")
    require(request["result"] in legal, "request result must be legal")


@endpoints.add("approve", ApproveJobRequest, _id_response("Approve"), check=_check_approve)
async def approve(ctx: Context, request: Dict) -> Dict:
    job_id = request["job_id"]
    result = names.ACCEPTED if request["result"] == "APPROVE_RESULT_ACCEPT" else names.REJECTED

    def change(job: Object) -> bool:
        if not _takes_part(ctx, job):
            raise _not_a_party("approve")
        own = job["metadata"].get("annotations", {}).get(names.ANNOTATION_SELF_PARTIES)
        domains = [ctx.source] if ctx.role == "domain" else own.split("_") if own else []
        job.setdefault("status", {}).setdefault("approveStatus", {}).update(dict.fromkeys(domains, result))
        return True

    await _change(ctx, job_id, ERR_APPROVE, change)
    return {"data": {"job_id": job_id}}


async def _change(ctx: Context, job_id: str, code: int, change: Any) -> None:
    """Read, change and write the job; retry if the controller wrote in between.

    Raises:
        ApiError: the job cannot be read or written.
    """
    for tries_left in reversed(range(WRITE_TRIES)):
        job = await _get(ctx, job_id, code)
        if not change(job):
            return
        try:
            await ctx.store.update("kusciajobs", names.CROSS_DOMAIN, job_id, job)
            return
        except Conflict as err:
            if not tries_left:
                raise store_error(err, code) from err
        except StoreError as err:
            raise store_error(err, code) from err


# --- watch ---


@endpoints.add_stream("watch", WatchJobRequest, WatchJobResponse)
async def watch(ctx: Context, request: Dict) -> AsyncIterator[Dict]:
    """Yield every job as ADDED, then the changes, and a heartbeat every 10 s, until the timeout.

    An invalid timeout ends the stream at once: Kuscia only logs it.
    """
    if not 0 <= request["timeout_seconds"] <= MAX_INT32:
        return
    loop = asyncio.get_running_loop()
    end = loop.time() + (request["timeout_seconds"] or MAX_INT32)
    heartbeat = loop.time() + HEARTBEAT_SECONDS
    known: dict[str, Object] = {}
    revision = 0
    while True:
        jobs = {
            job["metadata"]["name"]: job
            for job in await ctx.store.list("kusciajobs", names.CROSS_DOMAIN)
            if _may_watch(ctx, job)
        }
        for name, job in jobs.items():
            old = known.get(name)
            if old is None or old["metadata"]["uid"] != job["metadata"]["uid"]:
                yield await _event(ctx, "ADDED", job)
            elif old["metadata"]["resourceVersion"] != job["metadata"]["resourceVersion"]:
                yield await _event(ctx, "MODIFIED", job)
        for name in known.keys() - jobs.keys():
            yield await _event(ctx, "DELETED", known[name])
        known = jobs
        if loop.time() >= heartbeat:
            heartbeat = loop.time() + HEARTBEAT_SECONDS
            yield {"type": "HEARTBEAT"}
        wait = min(end, heartbeat) - loop.time()
        if end - loop.time() <= 0:
            return
        revision = await ctx.store.wait_change(revision, max(0.0, wait))


def _may_watch(ctx: Context, job: Object) -> bool:
    if ctx.node.is_master:
        return _takes_part(ctx, job)
    return _concerns(ctx.node.domain_id, job)


async def _event(ctx: Context, kind: str, job: Object) -> Dict:
    return {
        "type": kind,
        "object": {"job_id": job["metadata"]["name"], "status": await job_status(ctx, job)},
    }
