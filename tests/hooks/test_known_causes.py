"""All causes of Kuscia facts 12.6, each with the finding of `doctor`. docs/operations.md has the same table."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from kuscia_hooks.core.config.release import Release
from kuscia_hooks.inspect.diagnosis import diagnose
from kuscia_hooks.inspect.kuscia_state import RouteState
from kuscia_hooks.inspect.report import Report
from kuscia_hooks.inspect.snapshot import MASTER, ContainerState, EngineJob, PodState, Probe, Snapshot
from tests.hooks.builders import MASTER_ENDPOINT, lite_release, master_release
from tests.hooks.recordings import recordings, startup_log

LITE, HUB = lite_release(), master_release()
HANDSHAKE = "LastUpdateAt=x, Message=TokenNotGenerate, Reason:DestinationIsNotAuthrized"
UNTRUSTED = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
KERNEL = {"kernel": {"net/ipv4/tcp_max_syn_backlog": 1024, "net/core/somaxconn": 4096}}


@dataclass(frozen=True)
class Case:
    """A cause as doctor sees it.

    Args:
        number: in Kuscia facts 12.6.
        finding: ID that `doctor` must print first.
    """

    number: int
    finding: str
    config: Release
    snapshot: Snapshot


def ready(mode: str, **more: Any) -> Snapshot:
    node = PodState("ns", "the-pod", mode, "Running", containers=(ContainerState(mode, ready=True),))
    return Snapshot(node=node, **more)


def exited(mode: str, log: str) -> Snapshot:
    node = PodState("ns", "the-pod", mode, "Running", containers=(ContainerState(mode, log=log, end_code=0),))
    return Snapshot(node=node)


def gateway(error_id: str) -> Snapshot:
    return ready("lite", probes=(Probe(MASTER, MASTER_ENDPOINT, (Report(error_id, "the message"),)),))


def failed(step: str, error_id: str) -> Snapshot:
    log = f"ERROR [{error_id}] {step}: the message\n"
    container = ContainerState(step, end_code=2, log=log)
    return ready("master", steps=(PodState("ns", "p", step, "Failed", containers=(container,)),))


def engine(**container: Any) -> PodState:
    return PodState("engines", "job-0", "job", "Running", containers=(ContainerState("e", **container),))


def job(text: str, state: str = "Failed") -> EngineJob:
    party = {"domain_id": "carl", "state": "Pending", "err_msg": text}
    task = {"task_id": "t-1", "state": "Pending", "create_time": "2026-11-24T00:00:00Z", "parties": [party]}
    return EngineJob("job-1", {"state": state, "tasks": [task]}, {"psi": "cpu 16"}, age=300)


def task_without_pods(**task: Any) -> EngineJob:
    """Return a job whose task Kuscia keeps waiting without any reason."""
    fields = {"task_id": "t-1", "state": "Pending", "create_time": "2026-11-24T00:00:00Z", "parties": []}
    return EngineJob("job-1", {"state": "Running", "tasks": [fields | task]}, age=300)


def waiting_for_resources() -> EngineJob:
    """Return a recorded job whose engines have not started."""
    (answer,) = [line for line in recordings("api-transcript") if line["note"] == "job query j-cf"]
    return EngineJob("j-cf", answer["response"]["json"]["data"]["status"], {}, age=300)


CASES = [
    Case(1, "master-unreachable", LITE, gateway("master-unreachable")),
    Case(2, "master-down", LITE, gateway("master-down")),
    Case(3, "not-a-gateway", LITE, gateway("not-a-gateway")),
    Case(4, "wrong-scheme", LITE, exited("lite", startup_log("https-to-http"))),
    Case(5, "route-no-handshake", HUB, ready("master", routes=(RouteState("alice", "bob", "", False, HANDSHAKE),))),
    Case(6, "host-not-found", LITE, exited("lite", startup_log("badendpoint"))),
    Case(7, "deploy-token-mismatch", LITE, exited("lite", startup_log("badtoken-newkey"))),
    Case(8, "unknown-domain", LITE, exited("lite", startup_log("unknown-domain"))),
    Case(9, "database-unreachable", HUB, exited("master", startup_log("dbdown"))),
    Case(9, "database-login", HUB, exited("master", startup_log("badpw"))),
    Case(9, "database-not-found", HUB, exited("master", startup_log("nodb"))),
    Case(9, "database-certificate-not-trusted", HUB, exited("master", f"ping datastore endpoint error: {UNTRUSTED}")),
    Case(
        10,
        "state-of-another-domain",
        HUB,
        exited("master", "FATAL error building kubernetes client config from token, detail-> stat "
               "/home/kuscia/etc/kubeconfig: no such file or directory"),
    ),
    Case(11, "too-many-connections", HUB, exited("master", "ping datastore endpoint error: Error 1040: Too many")),
    Case(12, "database-setting", HUB, ready("master", database=(Report("database-setting", "derived_merge is on"),))),
    Case(13, "inotify-limit", LITE, exited("lite", "failed to create fsnotify watcher: too many open files")),
    Case(
        14,
        "too-few-threads",
        LITE,
        ready("lite", engines=(engine(log="pthread_create failed: Resource temporarily unavailable"),)),
    ),
    Case(
        15,
        "kernel-parameters",
        LITE,
        ready("lite", started_with=KERNEL, engines=(engine(log="recv: Connection reset by peer"),)),
    ),
    Case(16, "read-timeout", LITE, ready("lite", engines=(engine(log="ReadTimeoutError: Read timed out."),))),
    Case(
        17,
        "object-store-address-style",
        LITE,
        ready("lite", engines=(engine(log="ClientError: (400) when calling the ListObjectsV2 operation"),)),
    ),
    Case(18, "image-pull", LITE, ready("lite", engines=(engine(waiting="ErrImagePull", message="401"),))),
    Case(19, "runk-requires-capacity", LITE, exited("lite", "finished with err=capacity config is empty")),
    Case(19, "service-account-token-missing", LITE, exited("lite", "failed to get in cluster config")),
    Case(19, "runk-forbidden", LITE, exited("lite", 'pods is forbidden: User "x" cannot list resource "pods"')),
    Case(20, "runc-requires-privileged", LITE, exited("lite", startup_log("runc"))),
    Case(21, "engine-no-room", HUB, ready("master", latest_job=waiting_for_resources())),
    Case(21, "engine-no-room", LITE, ready("lite", latest_job=job("", "Running"))),
    Case(21, "engine-no-room", HUB, ready("master", latest_job=task_without_pods())),
    Case(21, "engine-no-room", LITE, ready("lite", latest_job=task_without_pods())),
    Case(
        21,
        "engine-no-room",
        HUB,
        ready("master", latest_job=job("resource-check no node status available for domain carl")),
    ),
    Case(
        22,
        "dns-service-recreated",
        LITE,
        ready("lite", started_with={"dnsServers": ["10.1.1.1"]}, present={"dnsServers": ["10.2.2.2"]}),
    ),
    Case(23, "no-eth0", LITE, exited("lite", "host IP unknown")),
    Case(24, "domain-key-lost", HUB, failed("keys", "domain-key-lost")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.number}-{case.finding}")
def test_finds_known_cause(case: Case) -> None:
    findings = diagnose(case.config, case.snapshot)
    assert [finding.id for finding in findings] == [case.finding]
    assert findings[0].fix


def test_covers_all_causes() -> None:
    assert sorted({case.number for case in CASES}) == list(range(1, 25))


def test_docs_have_the_same_table() -> None:
    page = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    documented = {
        (int(number), finding)
        for number, findings in re.findall(r"^\| (\d+) \| [^|]+ \| ([^|]+) \| [\w-]+ \|$", page, re.MULTILINE)
        for finding in re.findall(r"`([a-z0-9-]+)`", findings)
    }
    assert documented == {(case.number, case.finding) for case in CASES}


def test_names_request_and_capacity_of_engine_without_room() -> None:
    (at_master,) = diagnose(HUB, ready("master", latest_job=job("", "Running")))
    assert "psi requests cpu 16" in at_master.cause
    assert "master.appImages" in at_master.fix
    lite = lite_release(engines={"namespace": "engines", "keepsLogs": False, "capacity": {"cpu": "2", "memory": "4Gi"}})
    (at_lite,) = diagnose(lite, ready("lite", latest_job=replace(job("", "Running"), requests={})))
    assert "cpu 2, memory 4Gi" in at_lite.cause
    assert "lite.capacity.cpu " in at_lite.fix


@pytest.mark.parametrize(
    "state",
    [
        ready("lite", latest_job=replace(job("", "Running"), age=5)),
        ready("lite", latest_job=replace(waiting_for_resources(), age=5)),
        ready("lite", latest_job=job("", "Succeeded")),
        ready("lite", latest_job=job("", "Running"), engines=(engine(running=True),)),
        ready("lite", latest_job=job("Job was stopped")),
        # It depends on a task that runs.
        ready("lite", latest_job=task_without_pods(create_time="")),
        ready("lite", latest_job=task_without_pods(state="Running")),
        ready("lite", latest_job=replace(job("can not reserve resources for pods"), age=7200)),
    ],
)
def test_ignores_jobs_that_start_or_failed_otherwise_or_long_ago(state: Snapshot) -> None:
    assert diagnose(LITE, state) == []


def test_names_the_bundle_for_an_object_store_that_kuscia_does_not_trust() -> None:
    (found,) = diagnose(LITE, ready("lite", engines=(engine(log=f"RequestError: send request failed: {UNTRUSTED}"),)))
    assert found.id == "s3-certificate-not-trusted"
    assert "global.kuscia.caBundle" in found.fix


def test_reports_engine_that_exceeded_its_memory() -> None:
    """Under RunK its pod is gone by then; the status of the job has the reason."""
    text = 'Task[psi]-Party[carl]: container[e] terminated state reason "OOMKilled", message: ""'
    (found,) = diagnose(HUB, ready("master", latest_job=job(text)))
    assert found.id == "out-of-memory"
    assert "master.appImages" in found.fix


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("Fatal glibc error: CPU does not support x86-64-v2", "cpu-unsupported"),
        ("exec /home/kuscia/bin/kuscia: exec format error", "wrong-architecture"),
        ("listen tcp 0.0.0.0:80: bind: permission denied", "port-not-permitted"),
        ("write /home/kuscia/var/k3s/db: no space left on device", "disk-full"),
        ("process [k3s][17] only existed 812 ms, less than 3000 ms, with error: signal: killed", "out-of-memory"),
        ("[Module] k3s is finished with err=process(k3s) exit: signal: killed", "out-of-memory"),
    ],
)
def test_recognizes_limits_of_the_host(line: str, finding: str) -> None:
    (found,) = diagnose(HUB, exited("master", f"begin\n{line}\n[Module] k3s wait ready failed with wait\n"))
    assert found.id == finding
    step = ContainerState("data", end_code=1, log=f"{line}\n")
    (of_step,) = diagnose(HUB, ready("master", steps=(PodState("ns", "p", "data", "Failed", containers=(step,)),)))
    assert of_step.id == finding
    (of_engine,) = diagnose(LITE, ready("lite", engines=(engine(end_code=1, log=line),)))
    assert of_engine.id == finding


def test_kernel_parameters_alone_are_no_finding() -> None:
    """Most nodes have defaults that Kuscia does not recommend, and work."""
    assert diagnose(LITE, ready("lite", started_with=KERNEL)) == []


def test_killed_k3s_names_the_memory_of_the_master() -> None:
    (found,) = diagnose(HUB, exited("master", "process [k3s][17] only existed 1 ms, with error: signal: killed"))
    assert "set master.resources.limits.memory: " in found.fix
