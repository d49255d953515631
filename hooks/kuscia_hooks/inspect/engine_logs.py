"""`logs`: what the engines of a job print, or why that cannot be had here and who can.

A party sees the engines of its own domain only: under RunK their pods while they exist, afterwards, and under the other
runtimes always, what its lite kept of them (log/task/query, which a master does not answer: Kuscia facts 7.2).
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from kuscia_hooks.cluster.client import Kube, Waiting
from kuscia_hooks.core.config import LookedAtEngines, Release
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.waiting import REPORT_SECONDS, Deadline
from kuscia_hooks.kuscia import jobs
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import ApiError, Missing
from kuscia_hooks.kuscia.engine_namespace import DOMAIN_LABEL

# Of an engine's pod on the host cluster (recording runk-task-pod.yaml).
TASK_ANNOTATION = "kuscia.secretflow/task-id"
MANY_CONTAINERS = "please specify the container name"
LATER = "please try later"
# How often a log that is followed is read.
KEPT_SECONDS = 2.0


@dataclass(frozen=True)
class Query:
    """What the user asks for.

    Args:
        job_id: "" for the latest job.
        container: "" for all of a pod, or the only one.
    """

    job_id: str = ""
    follow: bool = False
    container: str = ""


@dataclass
class Outcome:
    """How many engines' logs were printed, and how many of the own domain's could not be."""

    printed: int = 0
    lost: int = 0
    elsewhere: int = 0

    def line(self, seconds: float) -> str:
        return f"printed={self.printed} lost={self.lost} elsewhere={self.elsewhere} in {seconds:.1f}s"


@dataclass(frozen=True)
class Reader:
    """The engines of one domain."""

    config: Release
    engines: LookedAtEngines
    kube: Kube
    api: KusciaAPI
    deadline: Deadline
    query: Query
    say: Callable[[str], None] = field(default=lambda line: None)

    def task(self, job_id: str, task_id: str) -> int:
        """Print a task's engines to their end; returns how many there were.

        Raises:
            StepError: there is nothing to read, and why.
        """
        namespace = self.engines.namespace
        if namespace is None:
            return self._kept(job_id, task_id)
        pods = self._await_pods(namespace, job_id, task_id) if self.query.follow else self._pods(namespace, task_id)
        if not pods:
            return self._kept(job_id, task_id)
        for pod in pods:
            for container in pod["spec"]["containers"]:
                if self.query.container in ("", container["name"]):
                    self._pod(namespace, job_id, pod["metadata"]["name"], container["name"])
        return len(pods)

    def _pods(self, namespace: str, task_id: str) -> list[dict[str, Any]]:
        found = self.kube.pods(namespace, f"{DOMAIN_LABEL}={self.config.domain_id}")
        return [pod for pod in found if (pod["metadata"].get("annotations") or {}).get(TASK_ANNOTATION) == task_id]

    def _await_pods(self, namespace: str, job_id: str, task_id: str) -> list[dict[str, Any]]:
        told = float("-inf")
        while True:
            pods = self._pods(namespace, task_id)
            if pods:
                return pods
            status = self.api.call("job/query", {"job_id": job_id})["status"]
            if _over(status, task_id):
                return []
            told = self._report(told, f"no pod yet; job {jobs.describe(status)}: {jobs.reasons(status)}")

    def _report(self, told: float, text: str) -> float:
        """Say what is waited for every ten seconds, and wait a step."""
        if self.deadline.passed:
            raise RetryableError("unclassified-retryable", f"gave up: {text}")
        now = self.deadline.elapsed()
        if now - told >= REPORT_SECONDS:
            self.say(f"waiting: {text}")
            told = now
        self.deadline.pause()
        return told

    def _pod(self, namespace: str, job_id: str, name: str, container: str) -> None:
        told = float("-inf")
        while True:
            try:
                for line in self.kube.follow_log(namespace, name, container, self.query.follow):
                    self.say(line)
                return
            except Waiting as error:
                if not self.query.follow:
                    raise RetryableError(
                        "unclassified-retryable",
                        f"{name} has no log yet: {error.message}",
                        see=f"kubectl describe pod {name} -n {namespace}",
                    ) from error
                if jobs.ended(self.api.call("job/query", {"job_id": job_id})["status"]):
                    raise RetryableError(
                        "unclassified-retryable", f"{name} was gone before its log could be read: {error.message}"
                    ) from error
                told = self._report(told, error.message)

    def _kept(self, job_id: str, task_id: str) -> int:
        replica, told = 0, float("-inf")
        while True:
            try:
                self._replica(job_id, task_id, replica)
                replica += 1
            except ApiError as error:
                if replica:
                    return replica
                waits = self.query.follow and LATER in error.text
                if waits and not jobs.ended(self.api.call("job/query", {"job_id": job_id})["status"]):
                    told = self._report(told, error.text)
                    continue
                raise self._lost(error) from error

    def _replica(self, job_id: str, task_id: str, replica: int) -> None:
        """Print what is kept of one engine; with `follow` until its task has ended.

        Kuscia's own `follow` goes on waiting for lines after that, for ever (Kuscia's
        pkg/kusciaapi/service/log_service.go, tailFile). So the log is read again and again, and the last line of a task
        that runs is left to the next time, since it may not be whole yet.
        """
        body = {"task_id": task_id, "replica_idx": replica, "container": self.query.container}
        said, held = 0, list[str]()
        while True:
            over = not self.query.follow or _over(self.api.call("job/query", {"job_id": job_id})["status"], task_id)
            answers = self.api.stream("log/task/query", body)
            lines = [line for item in answers for line in str(item.get("log", "")).split("\n")]
            if len(lines) < said + len(held):
                # Another file, as after a restart of the container.
                for line in held:
                    self.say(line)
                said = 0
            whole = len(lines) if over else len(lines) - 1
            for line in lines[said:whole]:
                self.say(line)
            said, held = max(whole, 0), lines[max(whole, 0) :]
            if over or self.deadline.passed:
                return
            self.deadline.pause(KEPT_SECONDS)

    def _lost(self, error: ApiError) -> StepError:
        if MANY_CONTAINERS in error.text:
            return PermanentError("unclassified", f"{error.text}: add --container NAME")
        if "pod log directory" not in error.text:
            return error
        if not self.engines.keeps_logs:
            return PermanentError(
                "unclassified",
                "the engine's pod is gone, and the lite keeps no logs. Follow the next job while it runs, or set "
                "lite.runk.enableLogging: true",
                see=f"helm upgrade {self.config.release} ./charts/kuscia -n {self.config.namespace} --reuse-values "
                "--set lite.runk.enableLogging=true",
            )
        return PermanentError(
            "unclassified",
            "the lite has nothing of this engine: it never started, or the lite's pod was replaced since",
            see=f"kubectl get events -n {self.engines.namespace or self.config.namespace}",
        )


def _over(status: dict[str, Any], task_id: str) -> bool:
    states = [task["state"] for task in status.get("tasks") or [] if task["task_id"] == task_id]
    return jobs.ended(status) or bool({"Succeeded", "Failed"} & set(states))


def latest(api: KusciaAPI) -> str:
    """The id of the job that was made last.

    Raises:
        PermanentError: there is none.
    """
    found = jobs.listed(api)
    if not found:
        raise PermanentError("unclassified", "there is no job that this domain takes part in")
    return str(found[0]["job_id"])


def attempt(config: Release, kube: Kube, api: KusciaAPI, query: Query, deadline: Deadline) -> Outcome:
    """Print the logs of a job's engines, each line with its party.

    Raises:
        PermanentError: no such job.
    """
    job_id = query.job_id or latest(api)
    try:
        found = api.call("job/query", {"job_id": job_id})
    except Missing as error:
        raise PermanentError(
            "unclassified", f"there is no job {job_id} that {config.domain_id} takes part in: {error.text}"
        ) from error
    logger.info("KusciaJob %s: %s", job_id, jobs.describe(found["status"]))
    reason = jobs.reasons(found["status"])
    if reason != jobs.NO_REASON:
        logger.info("KusciaJob %s: %s", job_id, reason)
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
                logger.info("%s | %s", domain.ljust(width), _elsewhere(config, domain, job_id))

    def one(engine: tuple[LookedAtEngines, dict[str, Any]]) -> int:
        where, task = engine
        name = f"{config.domain_id}/{task['alias']}" if len(own) > 1 else config.domain_id.ljust(width)

        def say(line: str) -> None:
            logger.info("%s | %s", name, line)

        try:
            return Reader(config, where, kube, api, deadline, query, say).task(job_id, task["task_id"])
        except StepError as error:
            say(f"no log: {error}")
            return 0

    with ThreadPoolExecutor(len(own) if query.follow and own else 1) as pool:
        for printed in pool.map(one, own):
            outcome.printed += printed
            outcome.lost += not printed
    return outcome


def _domains(task: dict[str, Any]) -> Iterator[str]:
    for domain in sorted({party["domain_id"] for party in task.get("parties") or []}):
        yield str(domain)


def _elsewhere(config: Release, domain: str, job_id: str) -> str:
    neighbour = config.domains.get(domain)
    namespace = (neighbour.namespace if neighbour else None) or f"<{domain}'s namespace>"
    return f"only {domain} may read its engine's log. There: kubectl kuscia logs {job_id} -n {namespace}"
