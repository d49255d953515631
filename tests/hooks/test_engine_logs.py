import json
from typing import Any

import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Release
from kuscia_hooks.core.errors import PermanentError
from kuscia_hooks.core.waiting import Deadline
from kuscia_hooks.inspect.engine_logs import TASK_ANNOTATION, Outcome, Query, attempt
from kuscia_hooks.kuscia.engine_namespace import DOMAIN_LABEL
from tests.hooks.conftest import recordings
from tests.hooks.fakes import FakeCore, FakeTime
from tests.hooks.scripted import Reply, Scripted

JOB = "job-1"
NO_DIRECTORY = json.dumps(
    next(line for line in recordings("api-transcript") if line["note"] == "lite: log query")["response"]["json"]
).encode()


def lite(**engines: Any) -> Release:
    return Release.model_validate(
        {
            "namespace": "ns",
            "keySecret": {"name": "k", "key": "k"},
            "api": {"endpoint": "http://api:8082", "protocol": "NOTLS"},
            "release": "kuscia",
            "gateway": "http://own:1080",
            "mode": "lite",
            "domainId": "alice",
            "fullname": "kuscia-lite-alice",
            "engines": {"namespace": "engines", "keepsLogs": False} | engines,
        }
    )


MASTER = Release.model_validate(
    lite().model_dump(by_alias=True, exclude={"mode", "engines", "domain_id"})
    | {"mode": "master", "domainId": "kuscia-system", "domains": {"alice": {"namespace": "lite-alice"}}}
)


def status(state: str) -> dict[str, Any]:
    parties = [{"domain_id": name, "state": state, "err_msg": ""} for name in ("alice", "bob")]
    return {"state": state, "err_msg": "", "tasks": [{"task_id": "t-1", "state": state, "parties": parties}]}


def job(state: str = "Running") -> Reply:
    task = {"task_id": "t-1", "alias": "psi", "parties": [{"domain_id": "bob"}, {"domain_id": "alice"}]}
    return {"job_id": JOB, "tasks": [task], "status": status(state)}


def pod(task: str = "t-1", domain: str = "alice") -> dict[str, Any]:
    metadata = {"name": f"{task}-0", "labels": {DOMAIN_LABEL: domain}, "annotations": {TASK_ANNOTATION: task}}
    return {"metadata": metadata, "spec": {"containers": [{"name": "engine"}]}}


def read(config: Release, kube: Kube, scripted: Scripted, query: Query, fake_time: FakeTime) -> Outcome:
    return attempt(config, kube, scripted.api, query, Deadline(0, fake_time.clock))


def test_log_of_the_own_engine(
    core: FakeCore, kube: Kube, key_pem: bytes, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    core.pods["engines"] = [pod("t-0"), pod(domain="bob"), pod()]
    core.logs["engines", "t-1-0", "engine", False] = "first\nzweite Zeile ü\nlast".encode()
    scripted = Scripted(key_pem, "alice", job__query=job())
    assert read(lite(), kube, scripted, Query(JOB), fake_time) == Outcome(printed=1, elsewhere=1)
    assert capsys.readouterr().out.splitlines() == [
        "KusciaJob job-1: Running (alice Running, bob Running)",
        "bob   | only bob may read its engine's log. There: kubectl kuscia logs job-1 -n <bob's namespace>",
        "alice | first",
        "alice | zweite Zeile ü",
        "alice | last",
    ]


def test_master_names_the_commands(
    kube: Kube, key_pem: bytes, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted = Scripted(key_pem, "kuscia-system", job__query=job())
    assert read(MASTER, kube, scripted, Query(JOB), fake_time) == Outcome(elsewhere=2)
    assert "kubectl kuscia logs job-1 -n lite-alice" in capsys.readouterr().out
    assert "log/task/query" not in [path for path, _ in scripted.asked]


def kept(*logs: bytes) -> list[Reply]:
    return [*logs, NO_DIRECTORY]


def test_log_that_the_lite_kept(
    kube: Kube, key_pem: bytes, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pod is gone. Objects follow each other without a separator, and zero values are left out."""
    stream = b'{"status":{"message":"success"},"log":"one\\ntwo"}{"status":{"message":"success"},"log":"three"}'
    scripted = Scripted(key_pem, "alice", job__query=job("Succeeded"), log__task__query=kept(stream))
    outcome = read(lite(keepsLogs=True), kube, scripted, Query(JOB), fake_time)
    assert outcome == Outcome(printed=1, elsewhere=1)
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("alice")] == [
        "alice | one",
        "alice | two",
        "alice | three",
    ]
    assert [body["replica_idx"] for path, body in scripted.asked if path == "log/task/query"] == [0, 1]


@pytest.mark.parametrize(
    ("keeps", "words"), [(False, "lite.runk.enableLogging=true"), (True, "the lite's pod was replaced since")]
)
def test_log_that_is_lost(
    kube: Kube, key_pem: bytes, fake_time: FakeTime, capsys: pytest.CaptureFixture[str], keeps: bool, words: str
) -> None:
    scripted = Scripted(key_pem, "alice", job__query=job("Succeeded"), log__task__query=NO_DIRECTORY)
    assert read(lite(keepsLogs=keeps), kube, scripted, Query(JOB), fake_time).lost == 1
    assert words in capsys.readouterr().out


def test_engines_that_are_no_pods_here(kube: Kube, core: FakeCore, key_pem: bytes, fake_time: FakeTime) -> None:
    stream = b'{"status":{"message":"success"},"log":"one"}'
    scripted = Scripted(key_pem, "alice", job__query=job(), log__task__query=kept(stream))
    assert read(lite(namespace=None, keepsLogs=True), kube, scripted, Query(JOB), fake_time).printed == 1
    assert core.calls == []


def test_several_containers(
    kube: Kube, key_pem: bytes, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    text = b'{"status":{"code":11100,"message":"deploy container larger than 1, please specify the container name"}}'
    scripted = Scripted(key_pem, "alice", job__query=job(), log__task__query=text)
    read(lite(namespace=None), kube, scripted, Query(JOB), fake_time)
    assert "add --container NAME" in capsys.readouterr().out


def test_follow_waits_for_the_pod_and_its_start(
    core: FakeCore, kube: Kube, key_pem: bytes, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[int] = []

    def query(_: Any) -> Reply:
        asked.append(1)
        if len(asked) == 3:
            core.pods["engines"] = [pod()]
        if len(asked) == 5:
            core.logs["engines", "t-1-0", "engine", False] = b"at last\n"
        return job("Pending" if len(asked) < 4 else "Running")

    scripted = Scripted(key_pem, "alice", job__query=query)
    assert read(lite(), kube, scripted, Query(JOB, follow=True), fake_time).printed == 1
    said = capsys.readouterr().out
    assert "alice | waiting: no pod yet; job Pending" in said
    assert "ContainerCreating" in said
    assert said.splitlines()[-1] == "alice | at last"


def test_follow_ends_with_a_job_that_never_made_a_pod(
    kube: Kube, key_pem: bytes, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted = Scripted(
        key_pem, "alice", job__query=[job("Pending"), job("Pending"), job("Failed")], log__task__query=NO_DIRECTORY
    )
    assert read(lite(), kube, scripted, Query(JOB, follow=True), fake_time).lost == 1
    assert "no log" in capsys.readouterr().out


def test_follow_of_kept_logs_waits_while_the_task_is_pending(kube: Kube, key_pem: bytes, fake_time: FakeTime) -> None:
    later = b'{"status":{"code":13200,"message":"task t-1 status pending, please try later"}}'
    stream = b'{"status":{"message":"success"},"log":"one"}'
    states = [job("Pending")] * 5 + [job("Succeeded")]
    scripted = Scripted(key_pem, "alice", job__query=states, log__task__query=[later, later, stream, NO_DIRECTORY])
    assert read(lite(namespace=None), kube, scripted, Query(JOB, follow=True), fake_time).printed == 1


def test_follow_of_kept_logs_ends_with_the_task(
    kube: Kube, key_pem: bytes, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kuscia's own `follow` never would. A line that is being written is printed once, when it is whole; a shorter log
    is that of another container.
    """

    def log(text: str) -> bytes:
        return json.dumps({"status": {"message": "success"}, "log": text}).encode()

    texts = ["one\ntw", "one\ntwo\nthree", "new", "new\nlast"]
    states = [job(), job(), job(), job(), job("Succeeded")]
    scripted = Scripted(key_pem, "alice", job__query=states, log__task__query=[*map(log, texts), NO_DIRECTORY])
    assert read(lite(namespace=None), kube, scripted, Query(JOB, follow=True), fake_time).printed == 1
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("alice")]
    assert said == ["alice | one", "alice | two", "alice | three", "alice | new", "alice | last"]
    bodies = [body for path, body in scripted.asked if path == "log/task/query"]
    assert not any(body.get("follow") for body in bodies)
    assert len(bodies) == 5


def test_a_deadline_ends_the_wait(kube: Kube, key_pem: bytes, fake_time: FakeTime) -> None:
    scripted = Scripted(key_pem, "alice", job__query=job("Pending"))
    deadline = Deadline(30, fake_time.clock)
    assert attempt(lite(), kube, scripted.api, Query(JOB, follow=True), deadline).lost == 1
    assert deadline.elapsed() >= 30


def test_latest_job(kube: Kube, key_pem: bytes, fake_time: FakeTime) -> None:
    """A watch begins with every job; the recorded one lists several."""
    watch = next(line for line in recordings("api-transcript") if line["note"] == "job watch 2s")
    scripted = Scripted(
        key_pem,
        "alice",
        job__watch=watch["response"]["body"].encode(),
        job__query=job("Failed"),
        log__task__query=NO_DIRECTORY,
    )
    read(lite(), kube, scripted, Query(), fake_time)
    (wanted,) = [body["job_id"] for path, body in scripted.asked if path == "job/query"]
    assert wanted.startswith("j")


@pytest.mark.parametrize("query", [Query("nosuch"), Query()])
def test_no_such_job(kube: Kube, key_pem: bytes, fake_time: FakeTime, query: Query) -> None:
    scripted = Scripted(
        key_pem,
        "alice",
        job__query=(11202, 'kusciajobs.kuscia.secretflow "nosuch" not found'),
        job__watch=b'{"type":4}',
    )
    with pytest.raises(PermanentError, match="there is no job"):
        read(lite(), kube, scripted, query, fake_time)
