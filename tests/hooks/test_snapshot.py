"""The state that `doctor` reads, and its findings for whole releases."""

import json
from typing import Any

import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config.common import SecretKey
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepWarning
from kuscia_hooks.inspect import doctor, reading, snapshot
from kuscia_hooks.inspect.diagnosis import diagnose
from kuscia_hooks.inspect.engine_logs import TASK_ANNOTATION
from kuscia_hooks.inspect.report import Report
from kuscia_hooks.kuscia import datastore
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.engine_namespace import DOMAIN_LABEL
from kuscia_hooks.kuscia.start_record import start_record
from tests.hooks.builders import SQLITE, container, job, lite_release, master_release, pod, prepared, secret_data
from tests.hooks.fakes.cluster import FakeCore, api_exception
from tests.hooks.fakes.kuscia import Kuscia

LITE = lite_release()
pytestmark = pytest.mark.usefixtures("gateways")


def closed() -> Any:
    raise RetryableError("kusciaapi-busy", "the message")


def test_finds_nothing_in_healthy_release(
    healthy: FakeCore, kube: Kube, master: KusciaAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.attempt(SQLITE, kube, lambda: master) == 0
    assert capsys.readouterr().out == "kuscia-system: nothing found\n"


def test_reports_secret_that_changed_after_start(
    healthy: FakeCore, kube: Kube, master: KusciaAPI, other_key_pem: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    healthy.put("secrets", "ns", "own-domain-key", data=secret_data(**{"domain.key": other_key_pem}))
    assert doctor.attempt(SQLITE, kube, lambda: master) == 1
    output = capsys.readouterr().out
    assert "[secret-changed]" in output
    assert "kubectl rollout restart deployment/kuscia-master -n ns" in output


def test_reports_extra_config_that_changed_after_start(
    healthy: FakeCore, kube: Kube, master: KusciaAPI, key_pem: bytes
) -> None:
    """The Secret first has the content that `prepare` recorded, then a different one."""
    more = SecretKey(name="more", key="kuscia.yaml")
    config = SQLITE.model_copy(update={"extra_config_secret": more})
    recorded = start_record(key_pem, [(SQLITE.key_secret, key_pem), (more, b"clusterToken: a")], [])
    healthy.pods["ns"][0]["status"]["initContainerStatuses"] = [prepared(json.dumps(recorded))]
    healthy.put("secrets", "ns", "more", data=secret_data(**{"kuscia.yaml": "clusterToken: a"}))
    assert diagnose(config, reading.collect(config, kube, lambda: master)) == []
    healthy.put("secrets", "ns", "more", data=secret_data(**{"kuscia.yaml": "clusterToken: b"}))
    (found,) = diagnose(config, reading.collect(config, kube, lambda: master))
    assert found.id == "secret-changed"
    assert "ns/more" in found.cause
    assert "kuscia.yaml" in found.seen


@pytest.mark.parametrize("message", ["", "no JSON", "[]"])
def test_ignores_invalid_start_record(healthy: FakeCore, kube: Kube, master: KusciaAPI, message: str) -> None:
    healthy.pods["ns"][0]["status"]["initContainerStatuses"] = [prepared(message)]
    assert reading.collect(SQLITE, kube, lambda: master).started_with is None


def test_reports_what_could_not_be_checked(
    healthy: FakeCore, kube: Kube, master: KusciaAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    def forbidden(verb: str, kind: str, name: str) -> None:
        if kind == "events":
            raise api_exception(403, "events is forbidden")

    healthy.fail = forbidden
    assert doctor.attempt(SQLITE, kube, lambda: master) == 2
    output = capsys.readouterr().out
    assert "events of ns: [" in output
    assert output.splitlines()[0] != "kuscia-system: nothing found"


def test_calls_kusciaapi_of_ready_node_only(healthy: FakeCore, kube: Kube) -> None:
    assert reading.collect(SQLITE, kube, closed).api == (Report("kusciaapi-busy", "the message"),)
    healthy.pods["ns"][0]["status"]["containerStatuses"][0]["ready"] = False
    assert reading.collect(SQLITE, kube, closed).api == ()


def test_reads_logs_of_crash_loop(healthy: FakeCore, kube: Kube) -> None:
    ended = {"terminated": {"exitCode": 0, "reason": "Completed", "message": "the termination message"}}
    status = container("master", 3, waiting={"reason": "CrashLoopBackOff"}) | {"lastState": ended}
    healthy.pods["ns"][0]["status"]["containerStatuses"] = [status]
    healthy.logs["ns", "m-1", "master", False] = b"this run\n"
    healthy.logs["ns", "m-1", "master", True] = b"run before\n"
    node = reading.collect(SQLITE, kube, closed).node
    assert node is not None
    (found,) = [one for one in node.containers if one.name == "master"]
    assert (found.end_code, found.end_reason, found.waiting) == (0, "Completed", "CrashLoopBackOff")
    assert found.termination == "the termination message"
    assert (found.log, found.previous) == ("this run\n", "run before\n")


def test_reads_newest_node_and_newest_pod_of_each_job(healthy: FakeCore, kube: Kube) -> None:
    job = "job-name"
    pods = [
        pod("m-2", "master", created=5),
        pod("register-1", "register", created=1, phase="Failed"),
        pod("register-2", "register", created=2, phase="Succeeded"),
        pod("routes-1", "routes", created=1, phase="Failed"),
        pod("check", "check", phase="Failed"),
    ]
    for one in pods[1:4]:
        one["metadata"]["labels"][job] = one["metadata"]["labels"]["app.kubernetes.io/component"]
    healthy.pods["ns"] += pods
    found = reading.collect(SQLITE, kube, closed)
    assert found.node is not None
    assert found.node.name == "m-2"
    assert [one.name for one in found.steps] == ["routes-1"]


def test_reads_reason_of_unscheduled_pod(healthy: FakeCore, kube: Kube) -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    healthy.pods["ns"] = [pod("m-1", "master", phase="Pending", conditions=[condition])]
    node = reading.collect(SQLITE, kube, closed).node
    assert node is not None
    assert node.unscheduled == "0/1 nodes are available"


def test_reads_events_gateway_and_engines_of_lite(
    core: FakeCore, kube: Kube, key_pem: bytes, gateways: dict[str, str]
) -> None:
    core.put("secrets", "ns", "own-domain-key", data=secret_data(**{"domain.key": key_pem}))
    core.put("services", "ns", "kuscia-lite-carl", spec={"clusterIP": "10.1.1.1"})
    engine = pod("t-0", "x", phase="Pending", containerStatuses=[container("e", waiting={"reason": "ErrImagePull"})])
    engine["metadata"] |= {
        "namespace": "engines",
        "labels": {DOMAIN_LABEL: "carl"},
        "annotations": {TASK_ANNOTATION: "t"},
    }
    core.pods["engines"] = [engine]
    core.events["ns"] = [
        {"involvedObject": {"name": "kuscia-lite-carl-1"}, "reason": "FailedCreate", "message": "quota"}
    ]
    assert LITE.master is not None
    gateways[LITE.master.endpoint] = "kusciaapi-timeout"
    found = reading.collect(LITE, kube, closed)
    assert found.node is None
    assert [one.name for one in found.engines] == ["t-0"]
    assert [one.reason for one in found.warnings] == ["FailedCreate"]
    assert [(probe.of, probe.problems) for probe in found.probes] == [
        (snapshot.MASTER, (Report("kusciaapi-timeout", "the message"),))
    ]
    assert found.known is None
    assert found.present["dnsServers"] == ["10.1.1.1"]


def test_missing_secret_of_database_is_fixed_by_creating_it(healthy: FakeCore, kube: Kube, master: KusciaAPI) -> None:
    config = master_release(domains={}, routes=[])
    findings = diagnose(config, reading.collect(config, kube, lambda: master))
    assert [finding.id for finding in findings] == ["secret-not-found"]
    assert "kubectl create secret generic db -n ns --from-file=password=" in findings[0].fix


def test_reads_whose_gateway_answers(kube: Kube, gateways: dict[str, str]) -> None:
    """The gateway of a lite answers the probe as that of a master does."""
    assert LITE.master is not None
    found = reading.collect(LITE, kube, closed)
    assert ([probe.problems for probe in found.probes], found.known) == ([()], True)
    gateways[f"{LITE.master.endpoint}/handshake"] = "gateway-of-another-domain"
    found = reading.collect(LITE, kube, closed)
    problems = (Report("gateway-of-another-domain", "the message"),)
    assert ([(probe.of, probe.problems) for probe in found.probes], found.known) == (
        [(snapshot.MASTER, problems)],
        None,
    )


def test_reads_latest_job_and_what_it_requests(
    healthy: FakeCore, kube: Kube, master: KusciaAPI, kuscia: Kuscia
) -> None:
    kuscia.jobs["job-1"] = {"tasks": [{"app_image": "psi", "task_id": "t"}]}
    kuscia.job_states = [{"state": "Running", "create_time": "2026-11-24T00:00:00Z", "tasks": []}]
    resources = {"requests": {"cpu": "16", "memory": "64Gi"}}
    kuscia.app_images["psi"] = {"name": "psi", "deploy_templates": [{"containers": [{"resources": resources}]}]}
    latest = reading.collect(SQLITE, kube, lambda: master).latest_job
    assert latest is not None
    assert (latest.job_id, latest.requests) == ("job-1", {"psi": "cpu 16, memory 64Gi"})
    assert latest.age is not None
    assert latest.age > 60


def test_reads_jobs_of_steps_without_pod(healthy: FakeCore, kube: Kube) -> None:
    ended = [{"type": "Complete", "status": "True"}]
    healthy.jobs["ns"] = [
        job("register-1", "register"),
        job("routes", "routes", conditions=ended),
        job("data-1", "data", active=1),
        job("doctor-x", "doctor"),
    ]
    running = pod("data-1-x", "data")
    running["metadata"]["labels"]["job-name"] = "data-1"
    healthy.pods["ns"].append(running)
    assert [one.name for one in reading.collect(SQLITE, kube, closed).jobs] == ["register-1"]


@pytest.mark.parametrize(
    "times",
    [
        {"lastTimestamp": "2026-11-24T00:00:09Z"},
        {"lastTimestamp": None, "eventTime": "2026-11-24T00:00:09Z"},
        {"eventTime": "2026-11-24T00:00:01Z", "series": {"lastObservedTime": "2026-11-24T00:00:09Z"}},
        {"lastTimestamp": None, "eventTime": None, "metadata": {"creationTimestamp": "2026-11-24T00:00:09Z"}},
    ],
)
def test_reads_when_an_event_was_last_seen(healthy: FakeCore, kube: Kube, times: dict[str, Any]) -> None:
    about = {"kind": "Pod", "name": "m-1"}
    healthy.events["ns"] = [{"involvedObject": about, "reason": "FailedMount", "message": "m", **times}]
    (warning,) = reading.collect(SQLITE, kube, closed).warnings
    assert (warning.kind, warning.about, warning.time) == ("Pod", "m-1", "2026-11-24T00:00:09Z")


def test_keeps_state_of_pod_whose_log_cannot_be_read(healthy: FakeCore, kube: Kube) -> None:
    def forbidden(verb: str, kind: str, name: str) -> None:
        if kind == "pods/log":
            raise api_exception(403, "pods/log is forbidden")

    healthy.fail = forbidden
    found = reading.collect(SQLITE, kube, closed)
    assert found.node is not None
    assert found.node.name == "m-1"
    assert any("m-1" in text for text in found.unread)


def test_reads_warnings_and_errors_of_database(
    healthy: FakeCore, kube: Kube, master: KusciaAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy.put("secrets", "ns", "db", data=secret_data(password="right"))
    config = master_release(domains={}, routes=[])
    monkeypatch.setattr(
        datastore, "check_database", lambda store, password: [StepWarning("database-version", "it is old")]
    )
    assert reading.collect(config, kube, lambda: master).database == (Report("database-version", "it is old"),)

    def refused(store: Any, password: str) -> list[str]:
        raise PermanentError("kusciaapi-rejected", "it fails")

    monkeypatch.setattr(datastore, "check_database", refused)
    assert reading.collect(config, kube, lambda: master).database == (Report("kusciaapi-rejected", "it fails"),)


def test_draws_no_conclusion_from_pods_that_cannot_be_read(healthy: FakeCore, kube: Kube, master: KusciaAPI) -> None:
    """Neither that the Kuscia pod does not exist, nor that engine pods have no lite, nor that Jobs have no pod."""
    engine = pod("t-0", "x")
    engine["metadata"] |= {"namespace": "engines", "labels": {DOMAIN_LABEL: "carl"}, "annotations": {}}
    healthy.pods["engines"] = [engine]
    healthy.jobs["ns"] = [job("register-1", "register")]
    message = {"reason": "FailedCreate", "message": "exceeded quota: x"}
    healthy.events["ns"] = [{"involvedObject": {"kind": "Job", "name": "register-1"}, **message}]
    released = healthy.fail

    def forbidden(verb: str, kind: str, name: str) -> None:
        if kind == "pods" and "ns" not in healthy.pods:
            raise api_exception(403, "pods is forbidden")
        if released:
            released(verb, kind, name)

    del healthy.pods["ns"]
    healthy.fail = forbidden
    for config in (SQLITE, LITE):
        seen = reading.collect(config, kube, lambda: master)
        assert not seen.pods_read
        found = {one.id for one in diagnose(config, seen)}
        assert found & {"no-pod", "engine-pods-without-lite", "quota-exceeded"} == set()
    assert reading.collect(SQLITE, kube, closed).api == (Report("kusciaapi-busy", "the message"),)


def test_reads_a_log_without_colors(healthy: FakeCore, kube: Kube) -> None:
    healthy.logs["ns", "m-1", "master", False] = b"password\x1b[0m=\x1b[31mx\n"
    node = reading.collect(SQLITE, kube, closed).node
    assert node is not None
    assert [one.log for one in node.containers if one.name == "master"] == ["password=x\n"]


def test_reads_failed_and_suspended_jobs_without_pod(healthy: FakeCore, kube: Kube) -> None:
    """An earlier Job of a step whose newest one succeeded says nothing."""
    failed = [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "too long"}]
    healthy.jobs["ns"] = [
        job("register-1", "register", conditions=failed),
        job("routes-1", "routes", conditions=failed),
        job("routes-2", "routes", conditions=[{"type": "Complete", "status": "True"}]),
        job("data-1", "data") | {"spec": {"suspend": True}},
    ]
    healthy.jobs["ns"][2]["metadata"]["creationTimestamp"] = "2026-11-24T00:00:09Z"
    found = reading.collect(SQLITE, kube, closed).jobs
    assert [(one.name, one.suspended, one.failed) for one in found] == [
        ("register-1", False, "DeadlineExceeded: too long"),
        ("data-1", True, ""),
    ]


@pytest.mark.parametrize(
    ("reason", "ready", "lost"), [("", True, True), ("ReadinessGatesNotReady", True, False), ("", False, False)]
)
def test_reads_whether_the_host_reports(healthy: FakeCore, kube: Kube, reason: str, ready: bool, lost: bool) -> None:
    status = healthy.pods["ns"][0]["status"]
    status["conditions"] = [{"type": "Ready", "status": "False", **({"reason": reason} if reason else {})}]
    status["containerStatuses"][0]["ready"] = ready
    node = reading.collect(SQLITE, kube, closed).node
    assert node is not None
    assert node.lost is lost


def test_reads_how_long_a_container_runs(healthy: FakeCore, kube: Kube) -> None:
    healthy.pods["ns"][0]["status"]["containerStatuses"][0]["state"] = {
        "running": {"startedAt": "2026-11-24T00:00:00Z"}
    }
    node = reading.collect(SQLITE, kube, closed).node
    assert node is not None
    assert max(one.seconds or 0 for one in node.containers) > 60


def test_reads_claims_of_a_pod(healthy: FakeCore, kube: Kube) -> None:
    volumes = [{"name": "state", "persistentVolumeClaim": {"claimName": "k3s"}}, {"name": "run", "emptyDir": {}}]
    healthy.pods["ns"][0]["spec"]["volumes"] = volumes
    node = reading.collect(SQLITE, kube, closed).node
    assert node is not None
    assert node.claims == ("k3s",)
