"""The state of a release, from which `diagnosis` derives the causes of failure; `reading` collects it."""

from dataclasses import dataclass, field
from typing import Any

from kuscia_hooks.inspect.kuscia_state import RouteState
from kuscia_hooks.inspect.report import Report

MASTER = "the master"
"""`Probe.of` for the gateway of the master."""


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
        seconds: how long it has been running; None if it is not, or if that is unknown.
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
    seconds: float | None = None


@dataclass(frozen=True)
class PodState:
    """One pod.

    Args:
        component: the step, `master` or `lite`; the task for an engine pod.
        unscheduled: why it cannot be scheduled; "" if it is.
        evicted: why the node ended it; "" if it did not.
        lost: whether its node does not report to Kubernetes.
        claims: names of its PersistentVolumeClaims.
    """

    namespace: str
    name: str
    component: str
    phase: str
    unscheduled: str = ""
    containers: tuple[ContainerState, ...] = ()
    evicted: str = ""
    lost: bool = False
    claims: tuple[str, ...] = ()

    @property
    def hanging(self) -> bool:
        """Return whether it waits for something before its first container can start."""
        started = any(container.running or container.end_code is not None for container in self.containers)
        return self.phase == "Pending" and not started


@dataclass(frozen=True)
class JobState:
    """A Job of the release that has not succeeded and has no pod.

    Args:
        suspended: whether something keeps it from starting, such as a queue.
        failed: why it failed; "" if it has not ended.
    """

    namespace: str
    name: str
    step: str
    suspended: bool = False
    failed: str = ""


@dataclass(frozen=True)
class WarningEvent:
    """An event of type Warning about one object.

    Args:
        kind: of the object, such as `Pod`.
        about: name of the object.
        time: when it was last seen, in ISO 8601.
    """

    namespace: str
    kind: str
    about: str
    reason: str
    message: str
    time: str = ""


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
class EngineJob:
    """The latest KusciaJob.

    Args:
        status: of KusciaAPI.
        requests: what the AppImages of its tasks request, by name; only a master can read them.
        age: seconds since it or the last of its tasks was created; None if that is unknown.
    """

    job_id: str
    status: dict[str, Any]
    requests: dict[str, str] = field(default_factory=dict)
    age: float | None = None


@dataclass(frozen=True)
class Snapshot:
    """The state of a release.

    Args:
        pods_read: whether the pods of the release could be read; if not, those below may exist.
        node: the Kuscia pod; None if it does not exist.
        steps: the newest pod of each step that has not succeeded.
        jobs: the Jobs of the steps that have no pod.
        engines: the engine pods of the domain that have not succeeded.
        started_with: what `prepare` recorded when the pod started (start_record); None if it recorded nothing.
        present: the same for the Secrets and the Service as they are now.
        known: whether the master has the domain; None if that is unknown.
        api: why KusciaAPI cannot be used; empty if it can, or was not called.
        latest_job: None without any job, or if KusciaAPI was not called.
        database: errors and warnings of the database.
        unread: what could not be read, with the reason.
    """

    pods_read: bool = True
    node: PodState | None = None
    steps: tuple[PodState, ...] = ()
    jobs: tuple[JobState, ...] = ()
    engines: tuple[PodState, ...] = ()
    warnings: tuple[WarningEvent, ...] = ()
    probes: tuple[Probe, ...] = ()
    started_with: dict[str, Any] | None = None
    present: dict[str, Any] = field(default_factory=dict)
    known: bool | None = None
    api: tuple[Report, ...] = ()
    domains: tuple[dict[str, str], ...] = ()
    routes: tuple[RouteState, ...] = ()
    latest_job: EngineJob | None = None
    database: tuple[Report, ...] = ()
    unread: tuple[str, ...] = ()

    def newest_warning(self, namespace: str, kind: str, name: str, ignored: tuple[str, ...]) -> WarningEvent | None:
        """Return the newest event about an object, except those with an ignored reason; None for none."""
        found = [
            one
            for one in self.warnings
            if (one.namespace, one.kind, one.about) == (namespace, kind, name) and one.reason not in ignored
        ]
        return max(found, key=lambda one: one.time, default=None)
