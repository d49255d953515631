"""Reads everything that `doctor` needs, side by side.

`collect` asks the API server, KusciaAPI, the gateways and the database, and returns a `Snapshot`: plain data, which
`diagnosis` turns into findings without any request.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config.datastore import Database
from kuscia_hooks.core.config.release import Release
from kuscia_hooks.core.errors import StepError
from kuscia_hooks.inspect import kuscia_state, report
from kuscia_hooks.inspect.engine_logs import TASK_ANNOTATION
from kuscia_hooks.inspect.masking import without_colors
from kuscia_hooks.inspect.parts import Parts
from kuscia_hooks.inspect.report import Report
from kuscia_hooks.inspect.snapshot import (
    MASTER,
    ContainerState,
    EngineJob,
    JobState,
    PodState,
    Probe,
    Snapshot,
    WarningEvent,
)
from kuscia_hooks.inspect.status import master_of, selector
from kuscia_hooks.inspect.step_runs import JOB_STEPS, component, ended
from kuscia_hooks.kuscia import datastore, gateway
from kuscia_hooks.kuscia import jobs as kuscia_jobs
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import expected_fields
from kuscia_hooks.kuscia.engine_namespace import DOMAIN_LABEL
from kuscia_hooks.kuscia.gateway_trust import trust_master
from kuscia_hooks.kuscia.start_record import start_record

LINES = 1000
"""Lines that are read of each log."""
# Kubernetes 1.27 added a prefixed label; every version also sets this label.
JOB_LABEL = "job-name"


def collect(config: Release, kube: Kube, open_api: Callable[[], KusciaAPI]) -> Snapshot:
    """Return the state of a release, within `parts.SECONDS` seconds.

    Args:
        config: describes the release; from the ConfigMap of its CronJob `<fullname>-doctor`.
        open_api: returns KusciaAPI of the node; raises StepError if it cannot be used.

    Returns:
        What could be read. The field `unread` names the rest, with the reasons.
    """
    parts = Parts()
    namespace, labels = config.namespace, selector(config)
    place = (config.engines and config.engines.namespace) or ""
    pods = parts.start("pods", lambda: kube.pods(namespace, labels))
    jobs = parts.start("Jobs", lambda: kube.jobs(namespace, labels))
    engine_pods = parts.start(
        "engine pods", lambda: kube.pods(place, f"{DOMAIN_LABEL}={config.domain_id}") if place else []
    )
    namespaces = sorted({namespace, place or namespace})
    events = [parts.start(f"events of {one}", partial(_warnings, kube, one)) for one in namespaces]
    present = parts.start("Secrets and the Service", lambda: _present(config, kube))
    admission = parts.start("gateway of the master", lambda: _admission(config, kube))
    probes = [parts.start(f"gateway of {of}", partial(_probe, of, endpoint)) for of, endpoint in _gateways(config)]

    found = pods.get_or([])
    nodes = _newest([pod for pod in found if component(pod) == config.mode])
    node = [_PodPart(parts, kube, pod) for pod in nodes[:1]]
    steps = [_PodPart(parts, kube, pod) for pod in _newest_of_each_job(found) if _unfinished(pod)]
    engines = [_PodPart(parts, kube, pod) for pod in engine_pods.get_or([]) if _unfinished(pod)]
    state = node[0].get() if node else None
    ready = state is not None and all(one.ready for one in state.containers if one.name == config.mode)
    running = _running(parts, config, kube, open_api) if ready or pods.problem() else {}
    own = running.pop("probes", ())
    masters, known = admission.get_or(((), None))
    return Snapshot(
        node=state,
        steps=tuple(one.get() for one in steps),
        pods_read=not pods.problem(),
        jobs=tuple(_without_pod(jobs.get_or([]), found) if not pods.problem() else ()),
        engines=tuple(one.get() for one in engines),
        warnings=tuple(warning for one in events for warning in one.get_or([])),
        probes=own + masters + tuple(probe for one in probes for probe in one.get_or([])),
        started_with=_started_with(nodes[0]) if nodes else None,
        present=present.get_or({}),
        known=known,
        unread=tuple(parts.unread()),
        **running,
    )


def _running(parts: Parts, config: Release, kube: Kube, open_api: Callable[[], KusciaAPI]) -> dict[str, Any]:
    """Return the fields of the snapshot that require a node that is ready, or may be.

    Returns:
        Arguments of `Snapshot` by name. `api` says why KusciaAPI cannot be used; domains, routes and jobs are then
        left out.
    """
    problems: list[Report] = []

    def opened() -> KusciaAPI | None:
        try:
            return open_api()
        except StepError as error:
            problems.extend(report.from_error(error))
            return None

    probe = parts.start("own gateway", lambda: _probe(config.domain_id, config.gateway))
    database = parts.start("database", lambda: _database(config, kube))
    master = master_of(config, parts)
    api = parts.start("KusciaAPI", opened).get_or(None)
    found: dict[str, Any] = {"api": tuple(problems)}
    if api is not None:
        wanted = kuscia_state.own_domains(config)
        domains = parts.start("domains", lambda: kuscia_state.nodes(api, wanted))
        pairs = kuscia_state.wanted_routes(config, master.get_or(""))
        routes = parts.start("routes", lambda: kuscia_state.route_states(api, config, pairs))
        latest = parts.start("latest job", lambda: _latest_job(api, config))
        found |= {
            "domains": tuple(domains.get_or([])),
            "routes": tuple(routes.get_or([])),
            "latest_job": latest.get_or(None),
        }
    return found | {"database": tuple(database.get_or([])), "probes": tuple(probe.get_or([]))}


class _PodPart:
    """A pod whose logs are being read; `get` returns it without them if they cannot be read."""

    def __init__(self, parts: Parts, kube: Kube, pod: dict[str, Any]) -> None:
        self._pod = pod
        self._part = parts.start(f"logs of pod {pod['metadata']['name']}", lambda: _pod(pod, partial(_log, kube)))

    def get(self) -> PodState:
        return self._part.get_or(_pod(self._pod, lambda *_: ""))


def _newest(pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return objects of the API server, newest first."""
    return sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)


def _job_of(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["labels"].get(JOB_LABEL, pod["metadata"]["name"]))


def _newest_of_each_job(pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the newest pod of each step's Job; what failed an earlier pod may be fixed."""
    found: dict[str, dict[str, Any]] = {}
    for pod in _newest(pods):
        if component(pod) in JOB_STEPS:
            found.setdefault(_job_of(pod), pod)
    return list(found.values())


def _unfinished(pod: dict[str, Any]) -> bool:
    return bool(pod["status"]["phase"] != "Succeeded")


def _without_pod(jobs: list[dict[str, Any]], pods: list[dict[str, Any]]) -> list[JobState]:
    """Return the Jobs of the steps that have not succeeded and have no pod; of ended ones, the newest of each step."""
    with_pod = {_job_of(pod) for pod in pods}
    newest: dict[str, str] = {}
    for job in _newest(jobs):
        newest.setdefault(component(job), job["metadata"]["name"])
    return [
        JobState(job["metadata"]["namespace"], job["metadata"]["name"], component(job), *_held(job))
        for job in jobs
        if component(job) in JOB_STEPS
        and job["metadata"]["name"] not in with_pod
        and (not ended(job) or (ended(job) == "Failed" and newest[component(job)] == job["metadata"]["name"]))
    ]


def _held(job: dict[str, Any]) -> tuple[bool, str]:
    """Return whether a Job is suspended, and why it failed; "" if it did not."""
    failed = [
        one for one in job["status"].get("conditions") or [] if (one["type"], one["status"]) == ("Failed", "True")
    ]
    reasons = [f"{one.get('reason', 'Failed')}: {one.get('message', '')}" for one in failed]
    return bool((job.get("spec") or {}).get("suspend")), "".join(reasons[:1])


_ReadLog = Callable[[str, str, str, bool], str]
"""Returns the log of a container, given namespace, pod, container, and whether of the previous run."""


def _log(kube: Kube, namespace: str, pod: str, container: str, previous: bool) -> str:
    return without_colors(kube.pod_log(namespace, pod, container, LINES, previous=previous) or "")


def _pod(pod: dict[str, Any], read: _ReadLog) -> PodState:
    """Return a pod as the API server reports it, with the logs of its containers."""
    metadata, found = pod["metadata"], pod["status"]
    states = (found.get("initContainerStatuses") or []) + (found.get("containerStatuses") or [])
    unscheduled = [
        str(condition.get("message", ""))
        for condition in found.get("conditions") or []
        if condition["type"] == "PodScheduled" and condition["status"] == "False"
    ]
    reason = str(found.get("reason", ""))
    return PodState(
        metadata["namespace"],
        metadata["name"],
        component(pod) or str((metadata.get("annotations") or {}).get(TASK_ANNOTATION, "")),
        found["phase"],
        unscheduled[0] if unscheduled else "",
        tuple(_container(metadata["namespace"], metadata["name"], one, read) for one in states),
        f"{reason}: {found.get('message', '')}" if reason else "",
        _lost(found),
        tuple(
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["spec"].get("volumes") or []
            if "persistentVolumeClaim" in volume
        ),
    )


def _lost(status: dict[str, Any]) -> bool:
    """Return whether the node of a pod does not report: Kubernetes sets the pod NotReady, but no container of it.

    A pod that is NotReady for another reason has that reason in the condition.
    """
    containers = status.get("containerStatuses") or []
    not_ready = any(
        (one["type"], one["status"], one.get("reason", "")) == ("Ready", "False", "")
        for one in status.get("conditions") or []
    )
    return not_ready and bool(containers) and all(one["ready"] for one in containers)


def _container(namespace: str, pod: str, found: dict[str, Any], read: _ReadLog) -> ContainerState:
    """Return a container with its log, and with that of its previous run if it restarted.

    Args:
        found: its entry in `containerStatuses` or `initContainerStatuses`.
    """
    state = found["state"]
    waiting = state.get("waiting") or {}
    ended = state.get("terminated") or (found.get("lastState") or {}).get("terminated") or {}
    name, again = found["name"], bool(found.get("restartCount"))
    started = "running" in state or bool(ended)
    return ContainerState(
        name=name,
        ready=bool(found["ready"]),
        running="running" in state,
        waiting=str(waiting.get("reason", "")),
        message=str(waiting.get("message", "")),
        end_code=int(ended["exitCode"]) if "exitCode" in ended else None,
        end_reason=str(ended.get("reason", "")),
        termination=str(ended.get("message", "")),
        log=read(namespace, pod, name, False) if started else "",
        previous=read(namespace, pod, name, True) if again else "",
        seconds=_age((state.get("running") or {}).get("startedAt", "")),
    )


def _warnings(kube: Kube, namespace: str) -> list[WarningEvent]:
    """Return the warning events of a namespace, also those about objects of others. Raises StepError."""
    return [
        WarningEvent(
            namespace,
            str(event["involvedObject"].get("kind", "")),
            str(event["involvedObject"].get("name", "")),
            str(event.get("reason", "")),
            str(event.get("message", "")),
            _time(event),
        )
        for event in kube.events(namespace)
    ]


def _time(event: dict[str, Any]) -> str:
    """Return when an event was last seen. A new event has `eventTime` only, until it is repeated."""
    repeated = (event.get("series") or {}).get("lastObservedTime")
    return str(
        repeated
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event.get("metadata", {}).get("creationTimestamp")
        or ""
    )


def _gateways(config: Release) -> list[tuple[str, str]]:
    """Return the gateways of the lites of a master as domain ID and endpoint."""
    return [(name, one.endpoint) for name, one in sorted(config.domains.items()) if one.endpoint]


def _probe(of: str, endpoint: str) -> list[Probe]:
    """Return the check of a gateway, with the reasons if it failed.

    Args:
        of: domain ID of the gateway, or `MASTER` for that of any master.
    """
    try:
        if of == MASTER:
            gateway.probe(endpoint)
        else:
            gateway.probe_domain(endpoint, of)
    except StepError as error:
        return [Probe(of, endpoint, tuple(report.from_error(error)))]
    return [Probe(of, endpoint)]


def _admission(config: Release, kube: Kube) -> tuple[tuple[Probe, ...], bool | None]:
    """Return the check of the gateway of the master, and whether the master has this domain; None if unknown.

    The gateway of a lite passes the probe, but not the handshake.
    """
    if config.master is None:
        return (), None
    endpoint = config.master.endpoint
    try:
        trust_master(kube, config.namespace, config.master)
        probes = tuple(_probe(MASTER, endpoint))
        if any(probe.problems for probe in probes):
            return probes, None
        return probes, gateway.handshake_state(endpoint, config.domain_id) in gateway.KNOWN
    except StepError as error:
        return (Probe(MASTER, endpoint, tuple(report.from_error(error))),), None


def _started_with(pod: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the step `prepare` recorded at the start of a Kuscia pod; None if it is not known."""
    for found in pod["status"].get("initContainerStatuses") or []:
        message = (found["state"].get("terminated") or {}).get("message", "")
        if found["name"] == "prepare" and message:
            try:
                recorded = json.loads(message)
            except ValueError:
                return None
            return recorded if isinstance(recorded, dict) else None
    return None


def _present(config: Release, kube: Kube) -> dict[str, Any]:
    """Return what a Kuscia pod would start with now, to compare with `_started_with`. Raises StepError."""
    secrets = [config.key_secret]
    if config.extra_config_secret is not None:
        secrets.append(config.extra_config_secret)
    if isinstance(config.datastore, Database):
        secrets.append(config.datastore.password_secret)
    values = [(secret, kube.secret_value(config.namespace, secret.name, secret.key)) for secret in secrets]
    service = kube.service(config.namespace, config.fullname)
    return start_record(values[0][1], values, [service["spec"].get("clusterIP")] if service else [])


@expected_fields()
def _latest_job(api: KusciaAPI, config: Release) -> EngineJob | None:
    """Return the latest job; on a master also what its AppImages request, which a lite cannot read (facts 7.2)."""
    jobs = kuscia_jobs.listed(api)
    if not jobs:
        return None
    job_id, status = str(jobs[0]["job_id"]), jobs[0]["status"]
    requests = {}
    if config.mode == "master" and status["state"] != "Succeeded":
        for task in api.call("job/query", {"job_id": job_id})["tasks"]:
            image = api.find("appimage/query", {"name": task["app_image"]})
            if image is not None:
                requests[str(task["app_image"])] = _requests(image)
    begun = [status, *(status.get("tasks") or [])]
    return EngineJob(job_id, status, requests, _age(max(str(one.get("create_time", "")) for one in begun)))


def _requests(image: dict[str, Any]) -> str:
    """Return what the containers of an AppImage request, such as `cpu 16, memory 64Gi`; "" for nothing."""
    texts = []
    for template in image.get("deploy_templates") or []:
        for container in template.get("containers") or []:
            resources = container.get("resources") or {}
            amounts = (resources.get("limits") or {}) | (resources.get("requests") or {})
            texts += [f"{item} {amount}" for item, amount in sorted(amounts.items())]
    return ", ".join(dict.fromkeys(texts))


def _age(time: str) -> float | None:
    """Return the seconds since a time such as `2026-11-23T16:52:09Z`; None if it is not one."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()
    except (ValueError, TypeError):
        return None


def _database(config: Release, kube: Kube) -> list[Report]:
    """Return the warnings about a database that works, or why it does not."""
    store = config.datastore
    if not isinstance(store, Database):
        return []
    try:
        password = datastore.read_password(store, config.namespace, kube)
        warnings = [*datastore.warnings(store), *datastore.check_database(store, password)]
    except StepError as error:
        return report.from_error(error)
    return [Report(warning.id, warning.message, warning.fix) for warning in warnings]
