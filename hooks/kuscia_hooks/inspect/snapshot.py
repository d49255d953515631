"""Everything that `doctor` reads; `diagnosis` derives the causes from it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Database, Release
from kuscia_hooks.core.errors import RetryableError, StepError
from kuscia_hooks.core.text import printable
from kuscia_hooks.inspect import report, status
from kuscia_hooks.inspect.engine_logs import TASK_ANNOTATION
from kuscia_hooks.inspect.report import Report
from kuscia_hooks.kuscia import datastore, gateway
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.engine_namespace import DOMAIN_LABEL
from kuscia_hooks.kuscia.start_record import start_record

LINES = 1000
"""Lines that are read of each log."""
MASTER = "the master"
"""`Probe.of` for the gateway of the master."""
# Kubernetes 1.27 added a prefixed label; every version also sets this label.
JOB_LABEL = "job-name"
STEPS = ("keys", "register", "routes", "data")


@dataclass(frozen=True)
class ContainerState:
    """One container of a pod.

    Args:
        waiting: reason why it does not run; "" if it runs or has ended.
        message: details of `waiting`.
        end_code: exit code of the last run that ended; None if none has.
        end_reason: reason of that end, such as `OOMKilled`.
        termination: termination message of that run.
        log: log of the current run, or of the last one while the container waits for its restart.
        previous: log of the run before that.
    """

    name: str
    ready: bool = False
    running: bool = False
    waiting: str = ""
    message: str = ""
    end_code: int | None = None
    end_reason: str = ""
    termination: str = ""
    log: str = ""
    previous: str = ""


@dataclass(frozen=True)
class PodState:
    """One pod.

    Args:
        component: the step, `master` or `lite`; the task for an engine pod.
        unscheduled: why it cannot be scheduled; "" if it is.
    """

    namespace: str
    name: str
    component: str
    phase: str
    unscheduled: str = ""
    containers: tuple[ContainerState, ...] = ()


@dataclass(frozen=True)
class WarningEvent:
    """An event of type Warning about one object."""

    namespace: str
    about: str
    reason: str
    message: str


@dataclass(frozen=True)
class Probe:
    """The check of one gateway.

    Args:
        of: domain ID, or MASTER.
        problems: empty if a Kuscia gateway answers.
    """

    of: str
    endpoint: str
    problems: tuple[Report, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """The state of a release.

    Args:
        node: the Kuscia pod; None if it does not exist.
        steps: the newest pod of each step that has not succeeded.
        engines: the engine pods of the domain that have not succeeded.
        started_with: what `prepare` recorded when the pod started (start_record); None if it recorded nothing.
        present: the same for the Secrets and the Service as they are now.
        known: whether the master has the domain; None if that is unknown.
        api: why KusciaAPI cannot be used; empty if it can, or was not called.
        database: errors and warnings of the database.
        unread: what could not be read, with the reason.
    """

    node: PodState | None = None
    steps: tuple[PodState, ...] = ()
    engines: tuple[PodState, ...] = ()
    warnings: tuple[WarningEvent, ...] = ()
    probes: tuple[Probe, ...] = ()
    started_with: dict[str, Any] | None = None
    present: dict[str, Any] = field(default_factory=dict)
    known: bool | None = None
    api: tuple[Report, ...] = ()
    domains: tuple[dict[str, str], ...] = ()
    routes: tuple[status.RouteState, ...] = ()
    database: tuple[Report, ...] = ()
    unread: tuple[str, ...] = ()


def collect(config: Release, kube: Kube, open_api: Callable[[], KusciaAPI]) -> Snapshot:
    """Return the state of a release.

    Args:
        open_api: returns KusciaAPI of the node; raises StepError if it cannot be used.
    """
    reader = status.PartReader()
    labels = f"app.kubernetes.io/instance={config.release},kuscia-chart/domain={config.domain_id}"
    found = reader.rows("pods", lambda: kube.pods(config.namespace, labels))
    nodes = _newest([pod for pod in found if _component(pod) == config.mode])
    steps = [pod for pod in _newest_of_each_job(found) if _unfinished(pod)]
    engines: list[dict[str, Any]] = []
    namespaces = [config.namespace]
    if config.engines is not None and config.engines.namespace is not None:
        place = config.engines.namespace
        engines = reader.rows("engine pods", lambda: kube.pods(place, f"{DOMAIN_LABEL}={config.domain_id}"))
        namespaces = sorted({config.namespace, place})
    node = reader.one("log of the Kuscia pod", lambda: _pod(kube, nodes[0])) if nodes else None
    serving = bool(node and all(one.ready for one in node.containers if one.name == config.mode))
    api: KusciaAPI | None = None
    api_problems: list[Report] = []
    if serving:
        try:
            api = open_api()
        except StepError as error:
            api_problems = report.from_error(error)
    domains: list[dict[str, str]] = []
    routes: list[status.RouteState] = []
    if api is not None:
        opened = api
        wanted = [config.domain_id] if config.mode == "lite" else sorted(config.domains)
        pairs = status.wanted_routes(config, reader)
        domains = reader.rows("domains", lambda: status.nodes(opened, wanted))
        routes = reader.rows("routes", lambda: status.route_states(opened, pairs, status.endpoints(config)))
    return Snapshot(
        node=node,
        steps=tuple(reader.rows("logs of the steps", lambda: [_pod(kube, pod) for pod in steps])),
        engines=tuple(
            reader.rows("logs of the engines", lambda: [_pod(kube, pod) for pod in engines if _unfinished(pod)])
        ),
        warnings=tuple(
            warning
            for namespace in namespaces
            for warning in reader.rows(f"events of {namespace}", partial(_warnings, kube, namespace))
        ),
        probes=tuple(_probes(config, serving)),
        started_with=_started_with(nodes[0]) if nodes else None,
        present=reader.one("Secrets", lambda: _present(config, kube)) or {},
        known=_known(config),
        api=tuple(api_problems),
        domains=tuple(domains),
        routes=tuple(routes),
        database=tuple(reader.rows("database", lambda: _database(config, kube)) if serving else []),
        unread=tuple(reader.unread),
    )


def _component(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["labels"].get("app.kubernetes.io/component", ""))


def _newest(pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)


def _newest_of_each_job(pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the newest pod of each step's Job; what failed an earlier pod may be fixed."""
    found: dict[str, dict[str, Any]] = {}
    for pod in _newest(pods):
        if _component(pod) in STEPS:
            found.setdefault(pod["metadata"]["labels"].get(JOB_LABEL, pod["metadata"]["name"]), pod)
    return list(found.values())


def _unfinished(pod: dict[str, Any]) -> bool:
    return bool(pod["status"]["phase"] != "Succeeded")


def _pod(kube: Kube, pod: dict[str, Any]) -> PodState:
    metadata, found = pod["metadata"], pod["status"]
    states = (found.get("initContainerStatuses") or []) + (found.get("containerStatuses") or [])
    unscheduled = [
        str(condition.get("message", ""))
        for condition in found.get("conditions") or []
        if condition["type"] == "PodScheduled" and condition["status"] == "False"
    ]
    return PodState(
        metadata["namespace"],
        metadata["name"],
        _component(pod) or str((metadata.get("annotations") or {}).get(TASK_ANNOTATION, "")),
        found["phase"],
        unscheduled[0] if unscheduled else "",
        tuple(_container(kube, metadata["namespace"], metadata["name"], one) for one in states),
    )


def _container(kube: Kube, namespace: str, pod: str, found: dict[str, Any]) -> ContainerState:
    state = found["state"]
    waiting = state.get("waiting") or {}
    ended = state.get("terminated") or (found.get("lastState") or {}).get("terminated") or {}
    name, again = found["name"], bool(found.get("restartCount"))
    started = bool(state.get("running") or ended)
    return ContainerState(
        name=name,
        ready=bool(found["ready"]),
        running="running" in state,
        waiting=str(waiting.get("reason", "")),
        message=str(waiting.get("message", "")),
        end_code=int(ended["exitCode"]) if "exitCode" in ended else None,
        end_reason=str(ended.get("reason", "")),
        termination=str(ended.get("message", "")),
        log=(kube.pod_log(namespace, pod, name, LINES) or "") if started else "",
        previous=(kube.pod_log(namespace, pod, name, LINES, previous=True) or "") if again else "",
    )


def _warnings(kube: Kube, namespace: str) -> list[WarningEvent]:
    return [
        WarningEvent(
            namespace,
            str(event["involvedObject"].get("name", "")),
            str(event.get("reason", "")),
            str(event.get("message", "")),
        )
        for event in kube.events(namespace)
    ]


def _probes(config: Release, serving: bool) -> list[Probe]:
    wanted = [(config.domain_id, config.gateway)] if serving else []
    if config.master is not None:
        wanted.append((MASTER, config.master.endpoint))
    wanted += [(name, one.endpoint) for name, one in sorted(config.domains.items()) if one.endpoint]
    return [Probe(of, endpoint, tuple(_problems(endpoint))) for of, endpoint in wanted]


def _problems(endpoint: str) -> list[Report]:
    try:
        gateway.probe(endpoint)
    except RetryableError as error:
        return report.from_error(error)
    return []


def _known(config: Release) -> bool | None:
    if config.master is None:
        return None
    try:
        return gateway.handshake_state(config.master.endpoint, config.domain_id) in gateway.KNOWN
    except RetryableError:
        # The probe of the same gateway reports the cause.
        return None


def _started_with(pod: dict[str, Any]) -> dict[str, Any] | None:
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
    secrets = [config.key_secret]
    if config.extra_config_secret is not None:
        secrets.append(config.extra_config_secret)
    if isinstance(config.datastore, Database):
        secrets.append(config.datastore.password_secret)
    values = [(secret, kube.secret_value(config.namespace, secret.name, secret.key)) for secret in secrets]
    service = kube.service(config.namespace, config.fullname)
    return start_record(values[0][1], values, [service["spec"].get("clusterIP")] if service else [])


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
    return [Report("database-warning", printable(text)) for text in warnings]
