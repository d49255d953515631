"""bin/kubectl-kuscia with several releases, and a fake kubectl that knows two of them."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bin/kubectl-kuscia"
# In namespace b the command exits with 1. The file `calls` records what is created and deleted.
KUBECTL = """#!/bin/sh
case "$*" in
"get cronjobs -A -l "*) printf 'a kuscia-a-doctor\\nb kuscia-b-doctor\\n' ;;
"get cronjobs -l "* | "get cronjobs -n nowhere "*) ;;
*" create job "*) echo '{}' ;;
"patch --local "*) cat >/dev/null; echo "patch $*" >> calls; echo '{}' ;;
*" create -f -") cat >/dev/null; echo "create $2" >> calls ;;
"-n "*" logs -f job/kuscia-"*) echo "engine of $2" ;;
"-n a get pods "*) echo 0 ;;
"-n b get pods "*) echo 1 ;;
"-n "*" delete job kuscia-"*) echo "delete $2" >> calls ;;
*) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""


@pytest.fixture
def kubectl(tmp_path: Path) -> Path:
    path = tmp_path / "kubectl"
    path.write_text(KUBECTL)
    path.chmod(0o755)
    return path


def kuscia(kubectl: Path, *args: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": f"{kubectl.parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [SCRIPT, *args], cwd=kubectl.parent, env=env, capture_output=True, text=True, check=False, timeout=60
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


@pytest.mark.parametrize(
    ("args", "error_id", "fact"),
    [
        (["doctor"], "release-not-found", "kubectl get cronjobs"),
        (["doctor", "-n"], "missing-argument", "-n"),
        (["doctor", "--kubeconfig", "/my files/config"], "unsupported-argument", "--kubeconfig"),
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
    assert "nowhere" in result.stderr
    assert "kuscia-chart/node=master" in result.stderr
