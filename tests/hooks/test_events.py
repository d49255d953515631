"""The warning events of pods and Jobs that hang, as Kubernetes words them, and what `doctor` makes of them."""

from dataclasses import replace
from typing import Any

import pytest

from kuscia_hooks.inspect.diagnosis import diagnose
from kuscia_hooks.inspect.finding import Finding
from kuscia_hooks.inspect.report import Report
from kuscia_hooks.inspect.snapshot import ContainerState, EngineJob, JobState, PodState, Snapshot, WarningEvent
from tests.hooks.builders import lite_release, master_release
from tests.hooks.warning_events import OF_JOBS, OF_PODS

MASTER, LITE = master_release(), lite_release()
NODE = PodState("ns", "the-pod", "master", "Pending", containers=(ContainerState("master", waiting="PodInitializing"),))
RUNNING = Snapshot(
    node=PodState("ns", "the-pod", "master", "Running", containers=(ContainerState("master", ready=True),))
)
JOB = JobState("ns", "kuscia-master-register-1", "register")


def event(reason: str, message: str, name: str = "the-pod", time: str = "1", kind: str = "Pod") -> WarningEvent:
    return WarningEvent("ns", kind, name, reason, message, time)


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


@pytest.mark.parametrize(("reason", "message", "error_id", "fix"), OF_PODS)
def test_explains_hanging_pod(reason: str, message: str, error_id: str, fix: str) -> None:
    found = only(diagnose(MASTER, Snapshot(node=NODE, warnings=(event(reason, message),))))
    assert found.id == error_id
    assert fix in found.fix
    assert reason in found.seen
    assert "ns/the-pod" in found.seen


@pytest.mark.parametrize(("message", "error_id", "fix"), OF_JOBS)
def test_explains_job_without_pod(message: str, error_id: str, fix: str) -> None:
    warning = event("FailedCreate", message, JOB.name, kind="Job")
    found = only(diagnose(MASTER, replace(RUNNING, jobs=(JOB,), warnings=(warning,))))
    assert found.id == error_id
    assert fix in found.fix


def test_event_comes_before_its_consequences() -> None:
    """`data` waits for KusciaAPI because the lite cannot start."""
    node = PodState("ns", "the-pod", "lite", "Pending", containers=(ContainerState("lite"),))
    log = "waiting for KusciaAPI of carl (20 s): [kusciaapi-unreachable] cannot reach KusciaAPI\n"
    data = PodState("ns", "d", "data", "Running", containers=(ContainerState("data", running=True, log=log),))
    warning = event("FailedMount", 'MountVolume.SetUp failed for volume "ca" : secret "my-ca" not found')
    found = diagnose(LITE, Snapshot(node=node, steps=(data,), warnings=(warning,)))
    assert [finding.id for finding in found] == ["secret-not-found", "kusciaapi-unreachable"]


def test_takes_newest_event_only() -> None:
    old = event("FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu.", time="2026-11-24T00:00:01Z")
    new = event("FailedMount", 'secret "my-ca" not found', time="2026-11-24T00:00:09Z")
    other = event("FailedScheduling", "of another pod", "other", "2026-11-24T00:00:10Z")
    assert only(diagnose(MASTER, Snapshot(node=NODE, warnings=(new, old, other)))).id == "secret-not-found"


@pytest.mark.parametrize("reason", ["Unhealthy", "BackOff"])
def test_ignores_events_that_are_consequences(reason: str) -> None:
    assert diagnose(MASTER, Snapshot(node=NODE, warnings=(event(reason, "probe failed"),))) == []


def test_ignores_events_of_pods_that_started() -> None:
    warning = event("FailedMount", 'secret "my-ca" not found')
    assert diagnose(MASTER, replace(RUNNING, warnings=(warning,))) == []
    started = replace(NODE, containers=(ContainerState("prepare", running=True), *NODE.containers))
    assert diagnose(MASTER, Snapshot(node=started, warnings=(warning,))) == []


def test_names_missing_pull_secret_first() -> None:
    image = ContainerState("master", waiting="ImagePullBackOff", message="Back-off pulling image: 401 Unauthorized")
    warning = event("FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (regcred); …")
    found = diagnose(MASTER, Snapshot(node=replace(NODE, containers=(image,)), warnings=(warning,)))
    assert [finding.id for finding in found] == ["pull-secret-not-found", "image-pull"]
    assert "create secret docker-registry regcred -n ns" in found[0].fix


def test_says_that_the_image_of_the_steps_must_be_built() -> None:
    message = 'Back-off pulling image "docker.io/secretflow/kuscia-hooks:0.1.0": not found'
    image = ContainerState("prepare", waiting="ImagePullBackOff", message=message)
    found = only(diagnose(MASTER, Snapshot(node=replace(NODE, containers=(image,)))))
    assert found.id == "image-pull"
    assert "global.kuscia.hooksImage.repository" in found.fix
    assert "README.md" in found.fix


def test_reports_eviction() -> None:
    text = "Evicted: The node was low on resource: ephemeral-storage."
    pod = PodState("ns", "the-pod", "data", "Failed", evicted=text)
    found = only(diagnose(MASTER, replace(RUNNING, steps=(pod,))))
    assert found.id == "pod-evicted"
    assert "ephemeral-storage" in found.cause


def killed(component: str, container: str) -> PodState:
    """Return a pod whose container exceeded its memory limit."""
    state = ContainerState(container, end_reason="OOMKilled", end_code=137)
    return PodState("ns", "p", component, "Pending", containers=(state,))


@pytest.mark.parametrize(
    ("pod", "role", "fix"),
    [
        (killed("master", "master"), "node", "set master.resources.limits.memory: "),
        (killed("master", "prepare"), "node", "set master.jobs.resources.limits.memory: "),
        (killed("data", "data"), "steps", "set master.jobs.resources.limits.memory: "),
        (killed("task", "e"), "engines", "master.appImages.<name>.deployTemplates"),
    ],
)
def test_memory_is_increased_where_it_is_set(pod: PodState, role: str, fix: str) -> None:
    where = {"node": pod} if role == "node" else {role: (pod,)}
    found = only(diagnose(MASTER, replace(RUNNING, **where)))
    assert found.id == "out-of-memory"
    assert fix in found.fix


def not_ready(seconds: float | None = None, **more: Any) -> Snapshot:
    """Return a snapshot of Kuscia that runs and is not ready."""
    container = ContainerState("master", running=True, log="Kuscia started success\n", seconds=seconds, **more)
    return Snapshot(node=PodState("ns", "the-pod", "master", "Running", containers=(container,)))


READINESS = event("Unhealthy", "Readiness probe failed: connection refused")
LIVENESS = event("Unhealthy", "Liveness probe failed: context deadline exceeded", time="2")


def test_reports_kuscia_that_does_not_become_ready() -> None:
    assert diagnose(MASTER, replace(not_ready(200), warnings=(READINESS,))) == []
    found = only(diagnose(MASTER, replace(not_ready(400), warnings=(READINESS,))))
    assert found.id == "not-ready"
    assert "connection refused" in found.cause
    assert only(diagnose(MASTER, not_ready(400))).id == "not-ready"


def test_reports_probe_that_restarts_kuscia() -> None:
    found = only(diagnose(MASTER, replace(not_ready(5, end_code=137), warnings=(READINESS, LIVENESS))))
    assert found.id == "probe-failed"
    assert "context deadline exceeded" in found.cause
    assert "master.probes" in found.fix
    other = replace(LIVENESS, about="the-pod-2")
    assert only(diagnose(MASTER, replace(not_ready(5, end_code=137), warnings=(other,)))).id == "unknown-exit"


def test_log_explains_more_than_the_probe() -> None:
    log = "ping datastore endpoint error: dial tcp: connection refused\n"
    found = diagnose(MASTER, replace(not_ready(400, previous=log, end_code=0), warnings=(LIVENESS,)))
    assert only(found).id == "database-unreachable"


def test_host_that_does_not_report_comes_before_its_consequences() -> None:
    node = replace(RUNNING.node, lost=True) if RUNNING.node else None
    found = diagnose(MASTER, replace(RUNNING, node=node, api=(Report("kusciaapi-unreachable", "no answer"),)))
    assert [one.id for one in found] == ["host-not-ready", "kusciaapi-unreachable"]


def test_ignores_replica_set_of_a_longer_name() -> None:
    quota = WarningEvent("ns", "ReplicaSet", "kuscia-master-2-5d8f7c", "FailedCreate", "exceeded quota: x", "2")
    assert only(diagnose(MASTER, Snapshot(warnings=(quota,)))).id == "no-pod"
    own = replace(quota, about="kuscia-master-5d8f7c")
    assert only(diagnose(MASTER, Snapshot(warnings=(quota, own)))).id == "quota-exceeded"


def test_explains_job_that_failed_without_a_pod() -> None:
    """A Job deletes its pods at its deadline, and the event of a quota explains more."""
    job = replace(JOB, failed="DeadlineExceeded: Job was active longer than specified deadline")
    found = only(diagnose(MASTER, replace(RUNNING, jobs=(job,))))
    assert found.id == "job-failed"
    assert "DeadlineExceeded" in found.cause
    quota = event("FailedCreate", "exceeded quota: compute", JOB.name, kind="Job")
    assert only(diagnose(MASTER, replace(RUNNING, jobs=(job,), warnings=(quota,)))).id == "quota-exceeded"


def test_explains_suspended_job() -> None:
    found = only(diagnose(MASTER, replace(RUNNING, jobs=(replace(JOB, suspended=True),))))
    assert found.id == "job-suspended"
    assert JOB.name in found.fix


READY = ContainerState("master", ready=True, running=True)


@pytest.mark.parametrize(
    ("extra", "kuscia", "error_id", "fix"),
    [
        (ContainerState("proxy", waiting="CrashLoopBackOff", end_code=1, log="no config\n"), READY, "container-failed",
         "kubectl logs the-pod -n ns -c proxy"),
        (ContainerState("proxy", waiting="CrashLoopBackOff", end_code=0), READY, "container-failed", "-c proxy"),
        (ContainerState("init", waiting="CrashLoopBackOff", end_code=1, log="x: exec format error"),
         ContainerState("master", waiting="PodInitializing"), "wrong-architecture", "nodeSelector"),
        (ContainerState("proxy", end_code=137, end_reason="OOMKilled"), READY, "out-of-memory",
         "master.extraContainers"),
    ],
)  # fmt: skip
def test_explains_container_that_the_user_added(
    extra: ContainerState, kuscia: ContainerState, error_id: str, fix: str
) -> None:
    node = PodState("ns", "the-pod", "master", "Running", containers=(extra, kuscia))
    found = only(diagnose(MASTER, Snapshot(node=node)))
    assert found.id == error_id
    assert fix in found.fix
    assert "ns/the-pod" in found.seen


def test_ignores_added_container_that_starts_or_has_succeeded() -> None:
    for extra in (ContainerState("proxy", running=True), ContainerState("init", ready=True, end_code=0)):
        node = PodState("ns", "the-pod", "master", "Running", containers=(extra, READY))
        assert diagnose(MASTER, Snapshot(node=node)) == []


def test_added_container_does_not_hide_why_kuscia_fails() -> None:
    proxy = ContainerState("proxy", waiting="ErrImagePull", message="not found")
    log = "ping datastore endpoint error: dial tcp: connection refused\n"
    kuscia = ContainerState("master", waiting="CrashLoopBackOff", end_code=0, log=log)
    node = PodState("ns", "the-pod", "master", "Running", containers=(kuscia, proxy))
    assert {one.id for one in diagnose(MASTER, Snapshot(node=node))} == {"image-pull", "database-unreachable"}


def test_reports_error_of_seed_in_the_pod_of_the_lite() -> None:
    log = "ERROR [secret-not-found] seed: Secret ns/x not found\n"
    seed = ContainerState("seed", waiting="CrashLoopBackOff", end_code=2, log=log)
    node = PodState("ns", "the-pod", "lite", "Pending", containers=(seed, ContainerState("lite")))
    assert only(diagnose(LITE, Snapshot(node=node))).id == "secret-not-found"


@pytest.mark.parametrize(
    ("text", "error_id"),
    [
        ("OutOfcpu: Node didn't have enough resource: cpu, requested: 4000, used: 0", "pod-unscheduled"),
        ("NodeLost: Node x which was running pod the-pod is unresponsive", "host-not-ready"),
    ],
)
def test_reports_why_a_node_rejected_or_lost_the_pod(text: str, error_id: str) -> None:
    node = PodState("ns", "the-pod", "master", "Failed", evicted=text)
    assert only(diagnose(MASTER, Snapshot(node=node))).id == error_id


def test_quota_for_engines_is_not_a_missing_role() -> None:
    text = 'pods "t-0" is forbidden: exceeded quota: engines, requested: limits.cpu=4'
    status = {"state": "Failed", "err_msg": text, "tasks": []}
    found = only(diagnose(LITE, replace(RUNNING, latest_job=EngineJob("j", status, {}, 10))))
    assert found.id == "quota-exceeded"
    assert "kubectl describe resourcequota engines -n " in found.fix
    kuscia = ContainerState("lite", end_code=1, log=f"ERROR {text}\n")
    node = PodState("ns", "the-pod", "lite", "Running", containers=(kuscia,))
    assert only(diagnose(LITE, Snapshot(node=node))).id == "unknown-exit"


@pytest.mark.parametrize(
    "text", ["unbound immediate PersistentVolumeClaims", "didn't find available persistent volumes"]
)
def test_event_of_a_claim_explains_why_its_pod_is_not_scheduled(text: str) -> None:
    node = replace(NODE, unscheduled=f"0/1 nodes are available: {text}.", claims=("state",))
    failed = event("ProvisioningFailed", 'storageclass "fast" not found', "state", kind="PersistentVolumeClaim")
    other = replace(failed, about="other", message="of another pod", time="2")
    found = only(diagnose(MASTER, Snapshot(node=node, warnings=(failed, other))))
    assert found.id == "claim-not-bound"
    assert "fast" in found.cause
    assert "kubectl describe persistentvolumeclaim state -n ns" in found.fix
    no_cpu = replace(node, unscheduled="0/1 nodes are available: 1 Insufficient cpu.")
    assert only(diagnose(MASTER, Snapshot(node=no_cpu, warnings=(failed,)))).id == "pod-unscheduled"
