"""What `doctor` looks at: everything is read here, nothing is judged (diagnosis.py does)."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Database, Release
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.inspect import status
from kuscia_hooks.inspect.engine_logs import TASK_ANNOTATION
from kuscia_hooks.kuscia import datastore, gateway
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.engine_namespace import DOMAIN_LABEL
from kuscia_hooks.kuscia.start_record import start_record

LINES = 1000
# Its namesake below batch.kubernetes.io came with Kubernetes 1.27; every version sets this one.
JOB_LABEL = "job-name"
STEPS = ("keys", "register", "routes", "data")


@dataclass(frozen=True)
class ContainerState:
    """One container of a pod: where it stands, how it last ended, what it printed.

    Args:
        end_code: exit code of its last end; None when it never ended.
        log: of the present run, or of the last while it waits to be started again.
        previous: of the run before that.
    """

    name: str
    ready: bool = False
    running: bool = False
    waiting: str = ""
    message: str = ""
    end_code: int | None = None
    end_reason: str = ""
    log: str = ""
    previous: str = ""


@dataclass(frozen=True)
class PodState:
    """`unscheduled` says why no node takes it; "" otherwise."""

    namespace: str
    name: str
    component: str
    phase: str
    unscheduled: str = ""
    containers: tuple[ContainerState, ...] = ()


@dataclass(frozen=True)
class WarningEvent:
    """A warning event of the cluster about one object."""

    namespace: str
    about: str
    reason: str
    message: str


@dataclass(frozen=True)
class Probe:
    """A gateway that was asked; `problem` is "" when a Kuscia gateway answered."""

    of: str
    endpoint: str
    problem: str = ""


@dataclass(frozen=True)
class Snapshot:
    """All that was seen.

    Args:
        node: the Kuscia pod of the release; None when there is none.
        steps: the newest pod of each step that has not succeeded.
        engines: the engine pods of the domain.
        started_with: what `prepare` recorded at the pod's start (start_record); None when it recorded nothing.
        present: the same, of the Secrets and the Service as they are now.
        known: whether the master knows the domain; None when that could not be asked.
        api: why KusciaAPI cannot be used; "" when it can or was not asked.
        unread: what could not be looked at, and why.
    """

    node: PodState | None = None
    steps: tuple[PodState, ...] = ()
    engines: tuple[PodState, ...] = ()
    warnings: tuple[WarningEvent, ...] = ()
    probes: tuple[Probe, ...] = ()
    started_with: dict[str, Any] | None = None
    present: dict[str, Any] = field(default_factory=dict)
    known: bool | None = None
    api: str = ""
    domains: tuple[dict[str, str], ...] = ()
    routes: tuple[dict[str, str], ...] = ()
    database: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def collect(config: Release, kube: Kube, open_api: Callable[[], KusciaAPI]) -> Snapshot:
    """Look at everything.

    Args:
        open_api: the node's KusciaAPI; raises StepError while it does not serve.
    """
    look = status.Look()
    labels = f"app.kubernetes.io/instance={config.release},kuscia-chart/domain={config.domain_id}"
    found = look.rows("pods", lambda: kube.pods(config.namespace, labels))
    nodes = _newest([pod for pod in found if _component(pod) == config.mode])
    steps = [pod for pod in _newest_of_each_job(found) if _troubled(pod)]
    engines: list[dict[str, Any]] = []
    namespaces = [config.namespace]
    if config.engines is not None and config.engines.namespace is not None:
        place = config.engines.namespace
        engines = look.rows("engine pods", lambda: kube.pods(place, f"{DOMAIN_LABEL}={config.domain_id}"))
        namespaces = sorted({config.namespace, place})
    node = look.one("the node's log", lambda: _pod(kube, nodes[0])) if nodes else None
    serving = bool(node and all(one.ready for one in node.containers if one.name == config.mode))
    api, api_problem = None, ""
    if serving:
        try:
            api = open_api()
        except StepError as error:
            api_problem = error.message
    domains, routes = [], []
    if api is not None:
        wanted = [config.domain_id] if config.mode == "lite" else sorted(config.domains)
        pairs = status.wanted_routes(config, look)
        domains = look.rows("domains", lambda: status.nodes(api, wanted))
        routes = look.rows("routes", lambda: status.routes(api, pairs, status.endpoints(config)))
    return Snapshot(
        node=node,
        steps=tuple(look.rows("the steps' logs", lambda: [_pod(kube, pod) for pod in steps])),
        engines=tuple(look.rows("the engines' logs", lambda: [_pod(kube, pod) for pod in engines if _troubled(pod)])),
        warnings=tuple(
            warning
            for namespace in namespaces
            for warning in look.rows(f"events of {namespace}", partial(_warnings, kube, namespace))
        ),
        probes=tuple(_probes(config, serving)),
        started_with=_started_with(nodes[0]) if nodes else None,
        present=look.one("the present Secrets", lambda: _present(config, kube)) or {},
        known=_known(config),
        api=api_problem,
        domains=tuple(domains),
        routes=tuple(routes),
        database=tuple(look.rows("the database", lambda: _database(config, kube)) if serving else []),
        unread=tuple(look.unread),
    )


def _component(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["labels"].get("app.kubernetes.io/component", ""))


def _newest(pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)


def _newest_of_each_job(pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a Job's earlier pods met is no news once a later one went on."""
    found: dict[str, dict[str, Any]] = {}
    for pod in _newest(pods):
        if _component(pod) in STEPS:
            found.setdefault(pod["metadata"]["labels"].get(JOB_LABEL, pod["metadata"]["name"]), pod)
    return list(found.values())


def _troubled(pod: dict[str, Any]) -> bool:
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
        wanted.append(("the master", config.master.endpoint))
    wanted += [(name, one.endpoint) for name, one in sorted(config.domains.items()) if one.endpoint]
    return [Probe(of, endpoint, _problem(endpoint)) for of, endpoint in wanted]


def _problem(endpoint: str) -> str:
    try:
        gateway.probe(endpoint)
    except RetryableError as error:
        return error.message
    return ""


def _known(config: Release) -> bool | None:
    if config.master is None:
        return None
    try:
        return gateway.handshake_state(config.master.endpoint, config.domain_id) in gateway.KNOWN
    except RetryableError:
        # The probe of the same gateway says what is wrong with it.
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


def _database(config: Release, kube: Kube) -> list[str]:
    """What is unwise about a database that works, and why one does not."""
    store = config.datastore
    if not isinstance(store, Database):
        return []
    try:
        password = datastore.read_password(store, config.namespace, kube)
        return [*datastore.warnings(store), *datastore.check_database(store, password)]
    except (RetryableError, PermanentError) as error:
        return [error.message]
