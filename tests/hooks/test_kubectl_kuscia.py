"""bin/kubectl-kuscia over several releases, with a kubectl that answers for two of them."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bin/kubectl-kuscia"
# In namespace b the step ends with 1. What is created and deleted is noted.
KUBECTL = """#!/bin/sh
case "$*" in
"get cronjobs -A -l "*) printf 'a kuscia-a-doctor\\nb kuscia-b-doctor\\n' ;;
"get cronjobs -l "*) ;;
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


@pytest.mark.parametrize("verb", ["logs", "status"])
def test_every_release_is_asked_and_the_worst_code_counts(kubectl: Path, verb: str) -> None:
    said = kuscia(kubectl, verb, "job-1", "-A")
    assert sorted(filter(None, said.stdout.splitlines())) == ["engine of a", "engine of b"], said
    assert (said.returncode, said.stderr) == (1, "")
    calls = (kubectl.parent / "calls").read_text().splitlines()
    for namespace in "ab":
        assert {f"create {namespace}", f"delete {namespace}"} <= set(calls)
    assert sum(f'"value": ["{verb}", "job-1"]' in call for call in calls) == 2


def test_no_release_is_said_so(kubectl: Path) -> None:
    said = kuscia(kubectl, "doctor")
    assert said.returncode == 2
    assert "no release of Kuscia" in said.stderr
