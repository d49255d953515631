"""`logs`: prints the logs of the engines of a job, or the command that prints them elsewhere.

A party can read the engine logs of its domain only: those of the pods under RunK while the pods exist, and the logs
that its lite keeps afterwards and under the other runtimes (log/task/query, which a master does not serve: Kuscia facts
7.2).
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from kuscia_hooks.cluster.client import Kube, NoLogYet
from kuscia_hooks.core.activity import Activity
from kuscia_hooks.core.config.engines import InspectedEngines
from kuscia_hooks.core.config.release import Release
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.text import printable, printable_lines, quoted
from kuscia_hooks.core.waiting import TOO_LATE, Deadline, bounded_by
from kuscia_hooks.inspect.known.commands import UPGRADE
from kuscia_hooks.inspect.names import namespace_of
from kuscia_hooks.kuscia import jobs
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import ApiError, Missing, expected_fields
from kuscia_hooks.kuscia.engine_namespace import DOMAIN_LABEL

TASK_ANNOTATION = "kuscia.secretflow/task-id"
"""Annotation of an engine pod in the host cluster (recording runk-task-pod.yaml)."""
# Texts of KusciaAPI.
MANY_CONTAINERS = "please specify the container name"
LATER = "please try later"
NO_DIRECTORY = "pod log directory"
FOLLOWED = 32
"""Engines that are followed at the same time; the others wait in the order of the tasks."""
KEPT_SECONDS = 2.0
"""Interval at which a kept log is read with `follow`."""


@dataclass(frozen=True)
class Query:
    """The arguments of `logs`.

    Args:
        job_id: "" for the latest job.
        follow: whether to wait for the engines and print until they end.
        container: "" for all containers of a pod, or the only one.
    """

    job_id: str = ""
    follow: bool = False
    container: str = ""


@dataclass
class Outcome:
    """The number of engines by result.

    Args:
        printed: the log was printed.
        lost: engines of this domain whose log could not be read.
        elsewhere: engines of other domains.
    """

    printed: int = 0
    lost: int = 0
    elsewhere: int = 0

    def line(self, seconds: float) -> str:
        return f"printed={self.printed} lost={self.lost} elsewhere={self.elsewhere} in {seconds:.1f}s"


@dataclass(frozen=True)
class Reader:
    """Reads the logs of the engines of one domain."""

    config: Release
    engines: InspectedEngines
    kube: Kube
    api: KusciaAPI
    deadline: Deadline
    query: Query
    say: Callable[[str], None] = field(default=lambda line: None)

    def task(self, job_id: str, task_id: str) -> int:
        """Print the logs of the engines of a task, and return the number of engines.

        Raises:
            StepError: no log found.
        """
        namespace = self.engines.namespace
        if namespace is None:
            return self._stored_logs(job_id, task_id)
        pods = self._await_pods(namespace, job_id, task_id) if self.query.follow else self._pods(namespace, task_id)
        if not pods:
            return self._stored_logs(job_id, task_id)
        for pod in pods:
            for container in pod["spec"]["containers"]:
                if self.query.container in ("", container["name"]):
                    self._pod(namespace, job_id, pod["metadata"]["name"], container["name"])
        return len(pods)

    def _pods(self, namespace: str, task_id: str) -> list[dict[str, Any]]:
        found = self.kube.pods(namespace, f"{DOMAIN_LABEL}={self.config.domain_id}")
        return [pod for pod in found if (pod["metadata"].get("annotations") or {}).get(TASK_ANNOTATION) == task_id]

    def _await_pods(self, namespace: str, job_id: str, task_id: str) -> list[dict[str, Any]]:
        waiting = _Waiting(self)
        while True:
            pods = self._pods(namespace, task_id)
            if pods:
                return pods
            status = self.api.call("job/query", {"job_id": job_id})["status"]
            if _task_ended(status, task_id):
                return []
            self._wait(waiting, f"no pod yet; job {jobs.describe(status)}: {jobs.reasons(status)}")

    def _wait(self, waiting: "_Waiting", text: str) -> None:
        """Pause before the next attempt, and report every ten seconds what `logs` is waiting for.

        Raises:
            RetryableError: `log-wait-timeout`.
        """
        waiting.reason = text
        waiting.beat()
        self.deadline.pause()
        if self.deadline.left() < TOO_LATE:
            raise RetryableError("log-wait-timeout", f"timed out waiting for the engine: {text}")

    def _pod(self, namespace: str, job_id: str, name: str, container: str) -> None:
        waiting = _Waiting(self)
        while True:
            try:
                follow = self.deadline if self.query.follow else None
                for line in self.kube.follow_log(namespace, name, container, follow):
                    self.say(line)
                return
            except NoLogYet as error:
                if not self.query.follow:
                    raise RetryableError(
                        "no-log-yet",
                        f"pod {namespace}/{name} has no log yet: {error.message}",
                        see=f"kubectl describe pod {quoted(name)} -n {quoted(namespace)}",
                    ) from error
                if jobs.ended(self.api.call("job/query", {"job_id": job_id})["status"]):
                    raise PermanentError(
                        "engine-log-not-found",
                        f"pod {namespace}/{name} was deleted before its log could be read: {error.message}",
                    ) from error
                self._wait(waiting, error.message)

    def _stored_logs(self, job_id: str, task_id: str) -> int:
        replica, waiting = 0, _Waiting(self)
        while True:
            try:
                self._replica(job_id, task_id, replica)
                replica += 1
                if self.deadline.passed:
                    return replica
            except ApiError as error:
                if replica:
                    return replica
                waits = self.query.follow and LATER in error.text
                if waits and not jobs.ended(self.api.call("job/query", {"job_id": job_id})["status"]):
                    self._wait(waiting, error.text)
                    continue
                raise self._reason(error) from error

    def _replica(self, job_id: str, task_id: str, replica: int) -> None:
        """Print the kept log of one engine; with `follow`, until its task ends.

        The `follow` of Kuscia never ends (Kuscia's pkg/kusciaapi/service/log_service.go, tailFile), so the log is read
        repeatedly. While the task runs, the last line may be incomplete; it is printed with the next read.
        """
        body = {"task_id": task_id, "replica_idx": replica, "container": self.query.container}
        said, held = 0, list[str]()
        while True:
            ended = not self.query.follow or _task_ended(
                self.api.call("job/query", {"job_id": job_id})["status"], task_id
            )
            answers = self.api.stream("log/task/query", body)
            lines = [line for item in answers for line in str(item.get("log", "")).split("\n")]
            if len(lines) < said + len(held):
                # A different file: the container restarted.
                for line in held:
                    self.say(line)
                said = 0
            whole = len(lines) if ended else len(lines) - 1
            for line in lines[said:whole]:
                self.say(line)
            said, held = max(whole, 0), lines[max(whole, 0) :]
            if ended or self.deadline.passed:
                return
            self.deadline.pause(KEPT_SECONDS)

    def _reason(self, error: ApiError) -> StepError:
        if MANY_CONTAINERS in error.text:
            return PermanentError(
                "container-required", f"KusciaAPI: {printable(error.text)}", fix="add --container NAME"
            )
        if NO_DIRECTORY not in error.text:
            return error
        if not self.engines.keeps_logs:
            upgrade = UPGRADE.format(release=quoted(self.config.release), namespace=quoted(self.config.namespace))
            return PermanentError(
                "engine-logs-not-kept",
                "the engine pod is gone, and the lite does not keep logs of engines",
                fix=f"set lite.runk.enableLogging: true, then {upgrade}   # or follow the next job: "
                "kubectl kuscia logs -f",
            )
        return PermanentError(
            "engine-log-not-found",
            "the lite has no log of this engine: it never started, or the pod of the lite was replaced since",
            see=f"kubectl get events -n {quoted(self.engines.namespace or self.config.namespace)}",
        )


class _Waiting(Activity):
    """Waiting for an engine, reported as a line of its log."""

    def __init__(self, reader: Reader) -> None:
        self.reason = ""
        super().__init__(
            lambda: f"waiting: {printable(self.reason)}", reader.deadline.clock.now, at_once=True, say=reader.say
        )


def _task_ended(status: dict[str, Any], task_id: str) -> bool:
    states = [task["state"] for task in status.get("tasks") or [] if task["task_id"] == task_id]
    return jobs.ended(status) or bool({"Succeeded", "Failed"} & set(states))


def latest(api: KusciaAPI) -> str:
    """Return the ID of the latest job.

    Raises:
        PermanentError: `no-job`.
    """
    found = jobs.listed(api)
    if not found:
        raise PermanentError("no-job", "the domain does not take part in any job")
    return str(found[0]["job_id"])


def attempt(config: Release, kube: Kube, api: KusciaAPI, query: Query, deadline: Deadline) -> Outcome:
    """Print the logs of the engines of a job, each line with its domain.

    Args:
        deadline: ends every request and every wait. What was not read by then counts as lost.

    Raises:
        PermanentError: `no-job`, `job-not-found` or `kusciaapi-unexpected-answer`.
    """
    with bounded_by(deadline), expected_fields():
        return _printed(config, kube, api, query, deadline)


def _printed(config: Release, kube: Kube, api: KusciaAPI, query: Query, deadline: Deadline) -> Outcome:
    job_id = query.job_id or latest(api)
    try:
        found = api.call("job/query", {"job_id": job_id})
    except Missing as error:
        raise PermanentError(
            "job-not-found",
            f"job {job_id} not found, or domain {config.domain_id} does not take part in it: {printable(error.text)}",
            see="kubectl kuscia status",
        ) from error
    _print(f"KusciaJob {job_id}: {jobs.describe(found['status'])}")
    reason = jobs.reasons(found["status"])
    if reason != jobs.NO_REASON:
        _print(f"KusciaJob {job_id}: {reason}")
    tasks = [(task, list(_domains(task))) for task in found["tasks"]]
    width = max((len(domain) for _, domains in tasks for domain in domains), default=0)
    outcome = Outcome()
    engines, own = config.engines, []
    for task, domains in tasks:
        for domain in domains:
            if domain == config.domain_id and engines is not None:
                own.append((engines, task))
            else:
                outcome.elsewhere += 1
                _print(f"{domain.ljust(width)} | {_elsewhere(config, domain, job_id)}")

    def one(engine: tuple[InspectedEngines, dict[str, Any]]) -> int:
        where, task = engine
        name = f"{config.domain_id}/{task['alias']}" if len(own) > 1 else config.domain_id.ljust(width)

        def say(line: str) -> None:
            _print(f"{name} | {line}")

        try:
            with expected_fields():
                return Reader(config, where, kube, api, deadline, query, say).task(job_id, task["task_id"])
        except StepError as error:
            say(f"no log: {error}")
            return 0

    with ThreadPoolExecutor(min(len(own), FOLLOWED) if query.follow and own else 1) as pool:
        # The requests of a thread end at the deadline if it runs in a copy of the context.
        for future in [pool.submit(copy_context().run, one, engine) for engine in own]:
            printed = future.result()
            outcome.printed += printed
            outcome.lost += not printed
    return outcome


def _print(text: str) -> None:
    """Print text of engines and of other parties, which must not control the terminal."""
    logger.info("%s", printable_lines(text))


def _domains(task: dict[str, Any]) -> Iterator[str]:
    for domain in sorted({party["domain_id"] for party in task.get("parties") or []}):
        yield str(domain)


def _elsewhere(config: Release, domain: str, job_id: str) -> str:
    namespace = namespace_of(config, domain)
    return f"run as {domain}: kubectl kuscia logs {quoted(job_id)} -n {namespace}"
