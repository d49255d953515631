import json
import re
import time
from typing import Any

import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.cluster.login import Login
from kuscia_hooks.core.config.release import Release
from kuscia_hooks.core.tls import unverified
from kuscia_hooks.core.waiting import TOO_LATE, Deadline
from kuscia_hooks.inspect.engine_logs import TASK_ANNOTATION, Outcome, Query, attempt
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.engine_namespace import DOMAIN_LABEL
from tests.hooks.builders import lite_release, master_release
from tests.hooks.failing import fails
from tests.hooks.fakes.clock import FakeTime
from tests.hooks.fakes.cluster import FakeCore
from tests.hooks.fakes.dripping import dripping
from tests.hooks.fakes.kuscia import Kuscia, Reply, found
from tests.hooks.recordings import recordings

JOB = "job-1"
NO_DIRECTORY = json.dumps(
    next(line for line in recordings("api-transcript") if line["note"] == "lite: log query")["response"]["json"]
).encode()


MASTER = master_release(domains={"alice": {"namespace": "lite-alice"}})


def lite(**engines: Any) -> Release:
    return lite_release(domainId="alice", engines={"namespace": "engines", "keepsLogs": False} | engines)


def status(state: str) -> dict[str, Any]:
    parties = [{"domain_id": name, "state": state, "err_msg": ""} for name in ("alice", "bob")]
    return {"state": state, "err_msg": "", "tasks": [{"task_id": "t-1", "state": state, "parties": parties}]}


@pytest.fixture(autouse=True)
def job(kuscia: Kuscia) -> None:
    """A job of alice and bob, with one task, that is running."""
    task = {"task_id": "t-1", "alias": "psi", "parties": [{"domain_id": "bob"}, {"domain_id": "alice"}]}
    kuscia.jobs[JOB] = {"job_id": JOB, "tasks": [task]}
    kuscia.job_states = [status("Running")]


def pod(task: str = "t-1", domain: str = "alice") -> dict[str, Any]:
    metadata = {"name": f"{task}-0", "labels": {DOMAIN_LABEL: domain}, "annotations": {TASK_ANNOTATION: task}}
    return {"metadata": metadata, "spec": {"containers": [{"name": "engine"}]}}


def read(config: Release, kube: Kube, client: KusciaAPI, query: Query, fake_time: FakeTime) -> Outcome:
    return attempt(config, kube, client, query, Deadline(0, fake_time.clock))


def test_prints_log_of_engine_of_domain(
    core: FakeCore, kube: Kube, client: KusciaAPI, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    core.pods["engines"] = [pod("t-0"), pod(domain="bob"), pod()]
    core.logs["engines", "t-1-0", "engine", False] = "first\nzweite Zeile ü\nlast".encode()
    assert read(lite(), kube, client, Query(JOB), fake_time) == Outcome(printed=1, elsewhere=1)
    assert capsys.readouterr().out.splitlines() == [
        "KusciaJob job-1: Running (alice Running, bob Running)",
        "bob   | run as bob: kubectl kuscia logs job-1 -n <namespace of bob>",
        "alice | first",
        "alice | zweite Zeile ü",
        "alice | last",
    ]


def test_removes_control_characters(
    core: FakeCore,
    kube: Kube,
    kuscia: Kuscia,
    client: KusciaAPI,
    fake_time: FakeTime,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The log is from an engine, the reason from another party."""
    core.pods["engines"] = [pod()]
    core.logs["engines", "t-1-0", "engine", False] = b"\x1b]0;title\x07  10%\r  20%\xc2\x9b31m\n"
    failed = status("Failed") | {"err_msg": "\x1b[2Jgone"}
    kuscia.job_states = [failed]
    read(lite(), kube, client, Query(JOB), fake_time)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.isprintable()] == []
    assert any("10%" in line and "20%" in line for line in lines)
    assert any("gone" in line for line in lines)


def test_master_prints_commands_for_parties(
    kube: Kube, kuscia: Kuscia, client: KusciaAPI, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read(MASTER, kube, client, Query(JOB), fake_time) == Outcome(elsewhere=2)
    assert "kubectl kuscia logs job-1 -n lite-alice" in capsys.readouterr().out
    assert "log/task/query" not in kuscia.paths()


def test_prints_log_that_lite_kept(
    kube: Kube, kuscia: Kuscia, client: KusciaAPI, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pod is gone. The stream has no separator between objects and omits zero values."""
    stream = b'{"status":{"message":"success"},"log":"one\\ntwo"}{"status":{"message":"success"},"log":"three"}'
    kuscia.job_states = [status("Succeeded")]
    kuscia.replies["log/task/query"] = [stream, NO_DIRECTORY]
    outcome = read(lite(keepsLogs=True), kube, client, Query(JOB), fake_time)
    assert outcome == Outcome(printed=1, elsewhere=1)
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("alice")] == [
        "alice | one",
        "alice | two",
        "alice | three",
    ]
    assert [body["replica_idx"] for body in kuscia.bodies("log/task/query")] == [0, 1]


@pytest.mark.parametrize(("keeps", "error_id"), [(False, "engine-logs-not-kept"), (True, "engine-log-not-found")])
def test_reports_why_log_is_lost(
    kube: Kube,
    kuscia: Kuscia,
    client: KusciaAPI,
    fake_time: FakeTime,
    capsys: pytest.CaptureFixture[str],
    keeps: bool,
    error_id: str,
) -> None:
    kuscia.job_states = [status("Succeeded")]
    kuscia.replies["log/task/query"] = NO_DIRECTORY
    assert read(lite(keepsLogs=keeps), kube, client, Query(JOB), fake_time).lost == 1
    assert f"[{error_id}]" in capsys.readouterr().out


def test_reads_kept_log_without_engine_pods(
    kube: Kube, core: FakeCore, kuscia: Kuscia, client: KusciaAPI, fake_time: FakeTime
) -> None:
    stream = b'{"status":{"message":"success"},"log":"one"}'
    kuscia.replies["log/task/query"] = [stream, NO_DIRECTORY]
    assert read(lite(namespace=None, keepsLogs=True), kube, client, Query(JOB), fake_time).printed == 1
    assert core.calls == []


def test_requires_container_name_for_several_containers(
    kube: Kube, kuscia: Kuscia, client: KusciaAPI, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    text = b'{"status":{"code":11100,"message":"deploy container larger than 1, please specify the container name"}}'
    kuscia.replies["log/task/query"] = text
    read(lite(namespace=None), kube, client, Query(JOB), fake_time)
    assert "[container-required]" in capsys.readouterr().out


def test_follow_waits_for_pod_to_start(
    core: FakeCore,
    kube: Kube,
    kuscia: Kuscia,
    client: KusciaAPI,
    fake_time: FakeTime,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[int] = []

    def query(body: dict[str, Any]) -> Reply:
        asked.append(1)
        if len(asked) == 3:
            core.pods["engines"] = [pod()]
        if len(asked) == 5:
            core.logs["engines", "t-1-0", "engine", False] = b"at last\n"
        kuscia.job_states = [status("Pending" if len(asked) < 4 else "Running")]
        return kuscia.do_job_query(body)

    kuscia.replies["job/query"] = query
    assert read(lite(), kube, client, Query(JOB, follow=True), fake_time).printed == 1
    said = capsys.readouterr().out
    assert "job Pending" in said
    assert "ContainerCreating" in said
    assert said.splitlines()[-1] == "alice | at last"


def test_follow_ends_when_job_fails_without_pod(
    kube: Kube, kuscia: Kuscia, client: KusciaAPI, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    kuscia.job_states = [status("Pending"), status("Pending"), status("Failed")]
    kuscia.replies["log/task/query"] = NO_DIRECTORY
    assert read(lite(), kube, client, Query(JOB, follow=True), fake_time).lost == 1
    assert "[engine-logs-not-kept]" in capsys.readouterr().out


def test_follow_of_kept_logs_waits_while_the_task_is_pending(
    kube: Kube, kuscia: Kuscia, client: KusciaAPI, fake_time: FakeTime
) -> None:
    later = b'{"status":{"code":13200,"message":"task t-1 status pending, please try later"}}'
    stream = b'{"status":{"message":"success"},"log":"one"}'
    kuscia.job_states = [*[status("Pending")] * 5, status("Succeeded")]
    kuscia.replies["log/task/query"] = [later, later, stream, NO_DIRECTORY]
    assert read(lite(namespace=None), kube, client, Query(JOB, follow=True), fake_time).printed == 1


def test_follow_of_kept_logs_ends_when_task_ends(
    kube: Kube, kuscia: Kuscia, client: KusciaAPI, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    """The `follow` of Kuscia never ends. An incomplete line is printed once it is complete; a shorter log is that of a
    restarted container.
    """

    def log(text: str) -> bytes:
        return json.dumps({"status": {"message": "success"}, "log": text}).encode()

    texts = ["one\ntw", "one\ntwo\nthree", "new", "new\nlast"]
    kuscia.job_states = [*[status("Running")] * 4, status("Succeeded")]
    kuscia.replies["log/task/query"] = [*map(log, texts), NO_DIRECTORY]
    assert read(lite(namespace=None), kube, client, Query(JOB, follow=True), fake_time).printed == 1
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("alice")]
    assert said == ["alice | one", "alice | two", "alice | three", "alice | new", "alice | last"]
    bodies = kuscia.bodies("log/task/query")
    assert not any(body.get("follow") for body in bodies)
    assert len(bodies) == 5


def test_deadline_ends_waiting(
    kube: Kube, kuscia: Kuscia, client: KusciaAPI, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    kuscia.job_states = [status("Pending")]
    deadline = Deadline(30, fake_time.clock)
    assert attempt(lite(), kube, client, Query(JOB, follow=True), deadline).lost == 1
    assert sum(fake_time.naps) > 30 - TOO_LATE
    assert "[log-wait-timeout]" in capsys.readouterr().out


@pytest.mark.parametrize("slow", ["job/query", "log/task/query"])
def test_requests_end_at_the_deadline(kube: Kube, kuscia: Kuscia, client: KusciaAPI, slow: str) -> None:
    """Also those of the threads that follow the engines."""
    asked: list[dict[str, Any]] = []
    stream = b'{"status":{"message":"success"},"log":"one"}'

    def answer(body: dict[str, Any]) -> Reply:
        asked.append(body)
        if len(asked) > 1 or slow == "log/task/query":
            time.sleep(4)
        return kuscia.do_job_query(body) if slow == "job/query" else stream

    kuscia.replies = {"log/task/query": stream, slow: answer}
    begin = time.monotonic()
    attempt(lite(namespace=None), kube, client, Query(JOB, follow=True), Deadline(0.5))
    assert time.monotonic() - begin < 2


def test_follow_of_a_pod_ends_at_the_deadline() -> None:
    """The second line comes shortly before it, and no other until after it."""
    with dripping(b"line\n", 0.8) as url:
        follow, kube = Deadline(1.0), Kube(login=Login(url, unverified()))
        assert list(kube.follow_log("engines", "t-1-0", "engine", follow)) == ["line", "line"]
    assert follow.elapsed() < 1.4


def test_reads_latest_job_by_default(kube: Kube, kuscia: Kuscia, client: KusciaAPI, fake_time: FakeTime) -> None:
    """A watch starts with all existing jobs; the recording has several."""
    watch = next(line for line in recordings("api-transcript") if line["note"] == "job watch 2s")
    body = watch["response"]["body"]
    kuscia.replies["job/watch"] = body.encode()
    kuscia.replies["job/query"] = found({**kuscia.jobs[JOB], "status": status("Failed")})
    kuscia.replies["log/task/query"] = NO_DIRECTORY
    read(lite(), kube, client, Query(), fake_time)
    (wanted,) = [body["job_id"] for body in kuscia.bodies("job/query")]
    created = re.findall(r'"job_id":"([^"]+)","status":{"state":"[^"]+",[^{}]*?"create_time":"([^"]+)"', body)
    assert len(created) > 1
    assert dict(created)[wanted] == max(time for _, time in created)


@pytest.mark.parametrize(("query", "error_id"), [(Query("nosuch"), "job-not-found"), (Query(), "no-job")])
def test_reports_missing_job(
    kube: Kube, kuscia: Kuscia, client: KusciaAPI, fake_time: FakeTime, query: Query, error_id: str
) -> None:
    kuscia.jobs.clear()
    with fails(error_id):
        read(lite(), kube, client, query, fake_time)


@pytest.mark.parametrize("change", [{"tasks": "x"}, {"tasks": [{"parties": [1]}]}, {"err_msg": 5}])
def test_reports_answers_of_another_type(
    kube: Kube, kuscia: Kuscia, client: KusciaAPI, fake_time: FakeTime, change: dict[str, Any]
) -> None:
    kuscia.replies["job/query"] = found({**kuscia.jobs[JOB], "status": status("Running") | change})
    with fails("kusciaapi-unexpected-answer"):
        read(lite(), kube, client, Query(JOB), fake_time)


@pytest.mark.parametrize("job", [{"job_id": []}, {"status": {}}, {"job_id": "j", "status": 5}])
def test_reports_a_list_of_jobs_of_another_type(
    kube: Kube, kuscia: Kuscia, client: KusciaAPI, fake_time: FakeTime, job: dict[str, Any]
) -> None:
    kuscia.replies["job/watch"] = json.dumps({"object": job}).encode()
    with fails("kusciaapi-unexpected-answer"):
        read(lite(), kube, client, Query(), fake_time)


def test_unexpected_answer_concerns_its_engine_only(
    kube: Kube,
    kuscia: Kuscia,
    core: FakeCore,
    client: KusciaAPI,
    fake_time: FakeTime,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The first of two tasks has a pod without containers, as no version of Kubernetes returns it."""
    parties = [{"domain_id": "alice"}]
    tasks = [{"task_id": f"t-{number}", "alias": f"psi-{number}", "parties": parties} for number in (1, 2)]
    kuscia.jobs[JOB] = {"job_id": JOB, "tasks": tasks}
    core.pods["engines"] = [pod("t-1") | {"spec": {}}, pod("t-2")]
    core.logs["engines", "t-2-0", "engine", False] = b"last\n"
    assert read(lite(), kube, client, Query(JOB), fake_time) == Outcome(printed=1, lost=1)
    said = capsys.readouterr().out
    assert "alice/psi-2 | last" in said
    assert "[kusciaapi-unexpected-answer]" in said
