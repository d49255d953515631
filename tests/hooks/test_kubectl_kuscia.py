"""bin/kubectl-kuscia with several releases, and a fake kubectl that knows them."""

import base64
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

SCRIPT = Path(__file__).parents[2] / "bin/kubectl-kuscia"
# In namespace b the command exits with 1. The file `calls` records what is created and deleted.
KUBECTL = """#!/bin/sh
case "$*" in
"get cronjobs -A -l "*) printf 'a kuscia-a-doctor kuscia\\nb kuscia-b-doctor kuscia\\n' ;;
"get cronjobs -n many "*) for i in 1 2 3 4 5 6; do echo "many kuscia-$i-doctor r$i"; done ;;
"get cronjobs -n a "*) echo 'a kuscia-a-doctor kuscia' ;;
"get cronjobs -n hub "*) echo 'hub kuscia-master-doctor kuscia' ;;
"get cronjobs -n shared "*) echo 'shared prod-kuscia-master-doctor prod' ;;
"get cronjobs "*) ;;
"-n hub get secret kuscia-deploy-token-bob "*) printf 'dG9rZW4=' ;;
"-n shared get secret prod-kuscia-master-deploy-token-bob "*) printf 'dG9rZW4=' ;;
"-n hub get secret "*) echo 'not found' >&2; exit 1 ;;
"get jobs -n half "*) printf 'half kuscia \\nhalf done 1\\n' ;;
"get jobs "*) ;;
"get secrets -n nowhere "*) echo ' nowhere/other (deployed)' ;;
"get secrets "*) echo 'secrets is forbidden' >&2; exit 1 ;;
*" create job "*) echo '{}' ;;
"patch --local "*) cat >/dev/null; echo "patch $*" >> calls; echo '{}' ;;
*" create -f - "*) cat >/dev/null; echo "create $2" >> calls ;;
"-n many logs -f "*)
    echo >> begun
    for i in $(seq 200); do [ "$(wc -l < begun)" -lt 6 ] || { echo "engine of $2"; exit 0; }; sleep 0.1; done
    exit 1 ;;
"-n "*" logs -f "*" job/kuscia-"*) echo "engine of $2" ;;
"-n b get pods "*) echo 1 ;;
"-n "*" get pods "*) echo 0 ;;
"-n half get jobs,pods,replicasets "*) echo 'Job/kuscia-master-keys:' ;;
"-n half get jobs,pods "*) echo 'job.batch/kuscia-master-keys 0/1' ;;
"-n half get events "*)
    printf 'Job/kuscia-master-keys: FailedCreate: exceeded quota: \\033[31msmall\\n'
    printf 'Pod/kuscia-master-keys-of-another: Failed: Failed to pull image "nginx:1"\\n' ;;
"-n "*" delete job kuscia-"*) echo "delete $2" >> calls ;;
*) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""
# A Job whose pod does not start: the texts of events and of the state of its container.
STUCK = """#!/bin/sh
case "$*" in
"get cronjobs "*) echo 'a kuscia-a-doctor kuscia' ;;
"get jobs "*) ;;
*" create job "*|"patch --local "*) echo '{}' ;;
*" create -f - "*) cat >/dev/null ;;
*" logs -f "*) echo 'container is waiting to start' >&2; exit 1 ;;
*" get events --field-selector involvedObject"*) printf '%s' "$EVENT" ;;
*" get pods "*) printf '%s' "$WAITING" ;;
*" get jobs,pods,replicasets "*) echo 'Pod/x:' ;;
*" get jobs,pods "*) echo 'job.batch/kuscia-a-doctor-x 0/1' ;;
*" get events "*) echo "Pod/x: Failed: $WAITING$EVENT" ;;
*" delete job "*) echo deleted >> calls ;;
*) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""
BUNDLE = """#!/bin/sh
case "$*" in
"get cronjobs "*) printf 'a kuscia-a-doctor kuscia\\n' ;;
"get jobs "*) ;;
*" create job "*|"patch --local "*) cat >/dev/null 2>&1; echo '{}' ;;
*" create -f - "*) cat >/dev/null ;;
*" logs -f "*) cat log ;;
*" get pods "*) echo 0 ;;
*" delete job "*) ;;
*) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""
# A connection that breaks once, after two lines.
BROKEN = """#!/bin/sh
case "$*" in
"get cronjobs "*) echo 'a kuscia-a-doctor kuscia' ;;
"get jobs "*) ;;
*" create job "*|"patch --local "*) cat >/dev/null 2>&1; echo '{}' ;;
*" create -f - "*) cat >/dev/null ;;
*" logs -f "*)
    printf 'one\\ntwo\\n'
    [ -e broken ] || { touch broken; echo 'unexpected EOF' >&2; exit 1; }
    printf 'three\\nfour\\n' ;;
*" get pods "*) echo 0 ;;
*" get events "*|*" delete job "*) ;;
*) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""


def fake(tmp_path: Path, script: str, name: str = "kubectl") -> Path:
    path = tmp_path / name
    path.write_text(script)
    path.chmod(0o755)
    return path


@pytest.fixture
def kubectl(tmp_path: Path) -> Path:
    return fake(tmp_path, KUBECTL)


def kuscia(kubectl: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": f"{kubectl.parent}{os.pathsep}{os.environ['PATH']}", **env}
    return subprocess.run(
        [SCRIPT, *args],
        cwd=kubectl.parent,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("command", ["logs", "status"])
def test_runs_for_all_releases_and_exits_with_the_highest_code(kubectl: Path, command: str) -> None:
    result = kuscia(kubectl, command, "job-1", "-A")
    assert sorted(filter(None, result.stdout.splitlines())) == ["engine of a", "engine of b"], result
    assert (result.returncode, result.stderr) == (1, "")
    calls = (kubectl.parent / "calls").read_text().splitlines()
    for namespace in "ab":
        assert {f"create {namespace}", f"delete {namespace}"} <= set(calls)
    assert sum(f'"value": ["{command}", "job-1"]' in call for call in calls) == 2


def test_inspects_releases_side_by_side(kubectl: Path) -> None:
    """The log of each of the six begins only when all have begun."""
    result = kuscia(kubectl, "doctor", "-n", "many")
    assert result.stdout.split() == ["engine", "of", "many"] * 6
    assert result.returncode == 0


# 20 releases: `most` gets the number of logs that are read at the same time, at the start of each.
TWENTY = """#!/bin/sh
case "$*" in
"get cronjobs "*) for i in $(seq 20); do echo "n$i kuscia-doctor r$i"; done ;;
"get jobs "*) ;;
*" create job "*|"patch --local "*) cat >/dev/null 2>&1; echo '{}' ;;
*" create -f - "*) cat >/dev/null ;;
*" logs -f "*)
    mkdir -p reading; touch "reading/$2"; ls reading | wc -l >> most
    case $2 in n3) sleep 1.5 ;; *) sleep 0.7 ;; esac
    rm "reading/$2"; echo "engine of $2" ;;
*" get pods "*) echo 0 ;;
*" delete job "*) ;;
*) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""


@pytest.mark.parametrize("command", ["status", "doctor", "logs"])
def test_bounds_the_pods_at_the_same_time(tmp_path: Path, command: str) -> None:
    """A release that takes longer than the next ones does not change the order."""
    result = kuscia(fake(tmp_path, TWENTY), command, "-A")
    printed = [line for line in result.stdout.splitlines() if line]
    expected = [f"engine of n{number}" for number in range(1, 21)]
    assert (result.returncode, result.stderr) == (0, "")
    assert (sorted(printed) if command == "logs" else printed) == (sorted(expected) if command == "logs" else expected)
    assert 4 < max(map(int, (tmp_path / "most").read_text().split())) <= 8


def test_follows_the_logs_of_all_releases(tmp_path: Path) -> None:
    """The first engine to end may be that of the last release."""
    script = TWENTY.replace("sleep 0.7", 'while [ "$(wc -l < most)" -lt 20 ]; do sleep 0.2; done')
    result = kuscia(fake(tmp_path, script), "logs", "-A", "--follow")
    assert (result.returncode, len(result.stdout.split("\n"))) == (0, 21)


def test_prints_one_json_object_per_line(kubectl: Path) -> None:
    result = kuscia(kubectl, "status", "-A", "--output", "json")
    assert result.stdout.splitlines() == ["engine of a", "engine of b"]


@pytest.mark.parametrize(
    ("args", "error_id", "fact"),
    [
        (["doctor"], "release-not-found", "kubectl get cronjobs"),
        (["doctor", "-n"], "missing-argument", "-n"),
        (["doctor", "--bundle"], "missing-argument", "--bundle"),
        (["status", "--bundle", "x.tar.gz"], "unsupported-argument", "--bundle"),
        (["doctor", "-n", "a *"], "unsupported-argument", "-n"),
        (["doctor", "--namespace=a;b"], "unsupported-argument", "--namespace"),
    ],
)
def test_reports_errors(kubectl: Path, args: list[str], error_id: str, fact: str) -> None:
    result = kuscia(kubectl, *args)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"ERROR [{error_id}] ")
    assert fact in result.stderr
    assert not (kubectl.parent / "calls").exists()


def test_prints_usage_for_an_unknown_command(kubectl: Path) -> None:
    result = kuscia(kubectl, "verify")
    assert (result.returncode, result.stdout) == (2, "")
    usage = kuscia(kubectl, "--help")
    assert (usage.returncode, usage.stderr) == (0, "")
    assert usage.stdout == result.stderr
    assert [word for word in ("status", "doctor", "logs", "invite") if f"\n  {word} " not in usage.stdout] == []


def test_reports_when_no_release_found_in_a_namespace(kubectl: Path) -> None:
    result = kuscia(kubectl, "invite", "bob", "-n", "nowhere")
    assert result.stderr.startswith("ERROR [release-not-found] ")
    assert "nowhere/other (deployed)" in result.stderr
    assert "kuscia-chart/node=master" in result.stderr


def test_shows_jobs_and_events_of_a_release_without_cronjob(kubectl: Path) -> None:
    """Its hook `keys` was rejected by a quota, so helm created nothing else."""
    result = kuscia(kubectl, "doctor", "-n", "half")
    assert result.returncode == 2
    assert result.stderr.startswith("ERROR [release-incomplete] release kuscia in namespace half ")
    assert "job.batch/kuscia-master-keys" in result.stdout
    assert "exceeded quota: [31msmall" in result.stdout
    assert "kubectl describe resourcequota -n half" in result.stdout
    assert "done" not in result.stderr
    assert "nginx" not in result.stdout


@pytest.mark.parametrize("output", [["--output", "json"], ["--output=json"]])
def test_json_output_has_nothing_for_persons(kubectl: Path, tmp_path: Path, output: list[str]) -> None:
    """The Jobs and events of a release without CronJob are on standard error."""
    result = kuscia(kubectl, "doctor", "-n", "half", *output)
    assert (result.returncode, result.stdout) == (2, "")
    assert "job.batch/kuscia-master-keys" in result.stderr
    (tmp_path / "log").write_text("{}\n-----BEGIN KUSCIA BUNDLE-----\nAAAA\n-----END KUSCIA BUNDLE-----\n")
    saved = kuscia(fake(tmp_path, BUNDLE), "doctor", "--bundle=b", *output)
    assert (saved.returncode, saved.stdout.strip()) == (0, "{}")


@pytest.mark.parametrize("namespace", ["hub", "shared"])
def test_prints_the_deploy_token_as_a_secret_without_any_job(kubectl: Path, namespace: str) -> None:
    """The name of the Secret follows the name of the master."""
    result = kuscia(kubectl, "invite", "bob", "--token", "-n", namespace)
    assert (result.returncode, result.stderr) == (0, "")
    assert yaml.safe_load(result.stdout) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "kuscia-deploy-token-bob", "namespace": "lite-bob"},
        "type": "Opaque",
        "data": {"token": "dG9rZW4="},
    }
    assert not (kubectl.parent / "calls").exists()


@pytest.mark.parametrize(
    ("args", "error_id"),
    [
        (["invite", "carol", "--token", "-n", "hub"], "deploy-token-not-found"),
        (["invite", "x; y", "--token", "-n", "hub"], "invalid-domain"),
        (["invite", "--token", "-n", "hub"], "invalid-domain"),
        (["invite", "bob", "--token", "-A"], "several-masters"),
        (["status", "--token"], "unsupported-argument"),
    ],
)
def test_prints_no_secret_without_a_token(kubectl: Path, args: list[str], error_id: str) -> None:
    result = kuscia(kubectl, *args)
    assert (result.returncode, result.stdout) == (2, "")
    assert f"ERROR [{error_id}] " in result.stderr


EVENT = 'pods "x" is forbidden: exceeded quota: compute, requested: limits.cpu=1'
PULL = 'ImagePullBackOff: Back-off pulling image "docker.io/secretflow/kuscia-hooks:0.1.0"'


@pytest.mark.parametrize(
    ("event", "waiting", "error_id", "advice"),
    [
        (EVENT, "", "job-rejected", "kubectl describe resourcequota"),
        ("", PULL, "steps-image-pull", "docker build -t docker.io/secretflow/kuscia-hooks:0.1.0 hooks"),
        ("", PULL.replace(":0.1.0", ":$(id)"), "steps-image-pull", "docker build -t IMAGE hooks"),
        ("", 'CreateContainerConfigError: secret "x" not found', "job-rejected", "helm upgrade --install kuscia"),
    ],
)
def test_fails_within_seconds_if_its_job_cannot_run(
    tmp_path: Path, event: str, waiting: str, error_id: str, advice: str
) -> None:
    begin = time.monotonic()
    result = kuscia(fake(tmp_path, STUCK), "doctor", "-n", "a", EVENT=event, WAITING=waiting)
    assert time.monotonic() - begin < 50
    assert result.returncode == 2
    assert f"ERROR [{error_id}] " in result.stderr
    assert (event or waiting) in result.stderr
    assert advice in result.stdout
    assert (tmp_path / "calls").read_text() == "deleted\n"


def test_saves_the_bundle_apart_from_the_output(tmp_path: Path) -> None:
    content = bytes(range(256)) * 40
    text = base64.encodebytes(content).decode()
    (tmp_path / "log").write_text(
        f"alice: nothing found\n-----BEGIN KUSCIA BUNDLE-----\n{text}-----END KUSCIA BUNDLE-----\nend\n"
    )
    result = kuscia(fake(tmp_path, BUNDLE), "doctor", "--bundle", "my bundle.tar.gz")
    assert result.returncode == 0, result
    assert result.stdout.split("\n")[:3] == ["alice: nothing found", "end", "saved my bundle.tar.gz"]
    assert (tmp_path / "my bundle.tar.gz").read_bytes() == content
    assert (tmp_path / "my bundle.tar.gz").stat().st_mode & 0o077 == 0


def test_writes_no_file_for_a_bundle_that_was_cut(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("alice: nothing found\n-----BEGIN KUSCIA BUNDLE-----\nAAAA\n")
    result = kuscia(fake(tmp_path, BUNDLE), "doctor", "--bundle=b.tar.gz")
    assert result.returncode == 2
    assert result.stderr.startswith("ERROR [bundle-incomplete] ")
    assert not (tmp_path / "b.tar.gz").exists()


def test_says_every_ten_seconds_what_a_pod_waits_for(tmp_path: Path) -> None:
    script = STUCK.replace(
        '*" logs -f "*) echo',
        '*" logs -f "*) n=$(cat n 2>/dev/null || echo 0); echo $((n + 1)) > n; '
        '[ "$n" -lt 10 ] || { echo done; exit 0; }; echo',
    )
    script = script.replace(
        '*" get events --field-selector involvedObject"*)',
        '*" get events --field-selector involvedObject.kind=Pod"*) '
        'for pod in other $(cat job); do echo "$pod-x: FailedScheduling: Insufficient cpu of $pod"; done ;;\n'
        '*" create job "*) echo "$5" > job; echo \'{}\' ;;\n'
        '*" get events --field-selector involvedObject"*)',
    )
    # The first matching branch decides.
    script = script.replace('*" create job "*|"patch --local "*)', '"patch --local "*)')
    fake(tmp_path, '#!/bin/sh\necho "$1" >> slept\n', "sleep")
    result = kuscia(fake(tmp_path, script), "doctor", "-n", "a", EVENT="", WAITING="")
    assert (tmp_path / "slept").read_text().split().count("1") >= 10
    job = (tmp_path / "job").read_text().strip()
    assert f"waiting for job a/{job}: {job}-x: FailedScheduling: Insufficient cpu of {job}\n" in result.stderr


HANGING = """#!/bin/sh
case "$*" in
"get cronjobs "*) printf 'a kuscia-a-doctor kuscia\\nb kuscia-b-doctor kuscia\\n' ;;
"get jobs "*) ;;
*" create job "*|"patch --local "*) cat >/dev/null 2>&1; echo '{}' ;;
*" create -f - "*) cat >/dev/null; echo "create $2" >> calls ;;
*" logs -f "*) exec sleep 30 ;;
*" delete job "*) echo "delete $2" >> calls ;;
*) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_deletes_its_jobs_when_interrupted(tmp_path: Path, sent: signal.Signals) -> None:
    path = fake(tmp_path, HANGING)
    env = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    # A test run in the background of a script ignores SIGINT, and so would its children.
    process = subprocess.Popen(
        [SCRIPT, "doctor", "-A"],
        cwd=path.parent,
        env=env,
        stdin=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    calls = tmp_path / "calls"

    def called(verb: str) -> set[str]:
        lines = calls.read_text().splitlines() if calls.exists() else []
        return {line.partition(" ")[2] for line in lines if line.startswith(verb)}

    def wait_for(verb: str) -> None:
        end = time.monotonic() + 20
        while called(verb) != {"a", "b"}:
            assert time.monotonic() < end, calls.read_text()
            time.sleep(0.05)

    wait_for("create")
    process.send_signal(sent)
    assert process.wait(20) == 130
    wait_for("delete")


def test_continues_the_log_after_a_broken_connection(tmp_path: Path) -> None:
    result = kuscia(fake(tmp_path, BROKEN), "logs", "-n", "a", TMPDIR=str(tmp_path))
    assert result.stdout.split() == ["one", "two", "three", "four"], result
    assert (result.returncode, result.stderr) == (0, "")
    assert not list(tmp_path.glob("tmp.*"))


def test_request_that_gets_no_answer_has_a_limit(kubectl: Path) -> None:
    """Only the log of a Job may take longer."""
    kubectl.write_text(KUBECTL.replace("\n", "\nprintf '%s\\n' \"$*\" >> requests\n", 1))
    assert kuscia(kubectl, "doctor", "-n", "a").returncode == 0
    requests = (kubectl.parent / "requests").read_text().splitlines()
    unlimited = [request for request in requests if not request.endswith(" --request-timeout=30s")]
    assert len(requests) > 5
    assert [request for request in unlimited if " logs -f " not in request] == []


@pytest.mark.parametrize("shell", ["sh", "bash", "bash --posix -u"])
@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["-na"], []),
        (["-n=a"], []),
        (["--namespace=a", "--context", "my *"], ["--context=my *"]),
        (["-n", "a", "--kubeconfig=/my files/$HOME", "--context=x"], ["--context=x", "--kubeconfig=/my files/$HOME"]),
    ],
)
def test_passes_the_cluster_of_the_user_to_every_kubectl(
    kubectl: Path, shell: str, args: list[str], expected: list[str]
) -> None:
    """Names of contexts and files may have spaces, and characters that a shell expands."""
    (kubectl.parent / "a b").touch()
    record = """line=$(printf '%s|' "$@"); printf '%s\\n' "$line" >> requests
case $1 in --context=*) shift ;; esac
case $1 in --kubeconfig=*) shift ;; esac
"""
    kubectl.write_text(KUBECTL.replace("\n", f"\n{record}", 1))
    env = {"PATH": f"{kubectl.parent}{os.pathsep}{os.environ['PATH']}"}
    command = [*shell.split(), str(SCRIPT), "doctor", *args]
    result = subprocess.run(
        command, cwd=kubectl.parent, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "engine of a\n", "")
    requests = [line.split("|") for line in (kubectl.parent / "requests").read_text().splitlines()]
    assert len(requests) > 5
    assert {tuple(request[: len(expected)]) for request in requests} == {tuple(expected)}
    assert requests[0][len(expected) :][:4] == ["get", "cronjobs", "-n", "a"]


def test_prints_no_escape_sequence_of_an_event(tmp_path: Path) -> None:
    """The event has the characters of an escape, which echo of some shells turns into one."""
    event = EVENT + r" \033[31m \c"
    result = kuscia(fake(tmp_path, STUCK), "doctor", "-n", "a", EVENT=event, WAITING="")
    assert "\x1b" not in result.stderr + result.stdout
    assert event in result.stderr


def test_stops_kubectl_when_interrupted(tmp_path: Path) -> None:
    """Its process does not outlive the command."""
    path = fake(tmp_path, HANGING.replace("exec sleep 30", "echo $$ > reader; exec sleep 30"))
    env = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([SCRIPT, "logs", "-n", "a"], cwd=path.parent, env=env, stdin=subprocess.DEVNULL)
    reader, end = tmp_path / "reader", time.monotonic() + 20
    while not (reader.exists() and reader.read_text().strip()):
        assert time.monotonic() < end
        time.sleep(0.05)
    pid = int(reader.read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 130
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end
        time.sleep(0.05)


# A Job that was deleted: before its container started, or after its log was read.
GONE = """#!/bin/sh
case "$*" in
"get cronjobs "*) echo 'a kuscia-a-doctor kuscia' ;;
"get jobs "*) ;;
*" create job "*|"patch --local "*) cat >/dev/null 2>&1; echo '{}' ;;
*" create -f - "*) cat >/dev/null ;;
*" logs -f "*) [ "$READ" ] || { echo 'jobs.batch not found' >&2; exit 1; }; echo one ;;
*" get job kuscia-a-doctor-"*) printf '%s' "$LEFT" ;;
*" get pods "*) echo 'error: array index out of bounds: index 0, length 0' >&2; exit 1 ;;
*" get events "*|*" delete job "*) ;;
*) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""


@pytest.mark.parametrize(("read", "left"), [("", ""), ("yes", ""), ("yes", "job.batch/kuscia-a-doctor-x")])
def test_reports_a_job_or_pod_that_is_gone(tmp_path: Path, read: str, left: str) -> None:
    if left:
        fake(tmp_path, "#!/bin/sh\n", "sleep")
    begin = time.monotonic()
    result = kuscia(fake(tmp_path, GONE), "doctor", "-n", "a", READ=read, LEFT=left)
    assert time.monotonic() - begin < 30
    assert (result.returncode, result.stdout.strip()) == (2, "one" if read else "")
    assert "ERROR [job-gone] " in result.stderr
    assert result.stderr.count("array index out of bounds") <= 1
