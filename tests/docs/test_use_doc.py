"""The commands and the script of docs/use.md, run on a node of the stand-in."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kuscia_sim_testing.nodes import MASTER_ID, Node, free_offset
from tests.chart.render import ROOT, find, render

PAGE = (ROOT / "docs/use.md").read_text()
# Answers what the page asks for: the certificate and the token of the node. A port-forward has nothing to do.
KUBECTL = """#!/bin/sh
case "$*" in
*"get configmap kuscia-master-domain-cert "*) cat {certs}/domain.crt ;;
*"exec deployment/kuscia-master -c master -- cat /home/kuscia/var/certs/token") cat {certs}/token ;;
*"port-forward service/kuscia-master 8082") ;;
*) echo "unexpected: $*" >&2; exit 1 ;;
esac
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A master with the domains of the page's job."""
    config = {"mode": "master", "domainID": MASTER_ID, "protocol": "TLS"}
    node = Node(tmp_path_factory.mktemp("master"), config, free_offset()).start()
    try:
        node.wait_started()
        for domain in ("alice", "bob"):
            node.api("domain/create", {"domain_id": domain})
        yield node
    finally:
        node.stop()


@pytest.fixture
def reader(master: Node, tmp_path: Path) -> Path:
    """The directory of the reader, with the page's files and a kubectl."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(KUBECTL.format(certs=shlex.quote(str(master.home / "var/certs"))))
    kubectl.chmod(0o755)
    (job,) = blocks("json")
    (tmp_path / "job.json").write_text(job)
    return tmp_path


def run(master: Node, reader: Path, script: str) -> str:
    """Run a script with the port of the node in place of 8082; return its output."""
    script = script.replace("localhost:8082", f"localhost:{master.port(8082)}")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=reader, env={**os.environ, "PATH": f"{reader}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def python(master: Node, reader: Path) -> subprocess.CompletedProcess[str]:
    (script,) = blocks("python")
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=reader, env={"KUSCIA_API": f"https://localhost:{master.port(8082)}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_curl_submits_queries_and_deletes_a_job(master: Node, reader: Path) -> None:
    output = run(master, reader, "\n".join(blocks("sh")))
    answers = [json.loads(answer) for answer in re.split(r"(?<=})(?={\"status\")", output)]
    created, queried, stopped, deleted = answers
    assert [answer["status"]["code"] for answer in answers] == [0, 0, 0, 0]
    assert {answer["data"]["job_id"] for answer in (created, queried, stopped, deleted)} == {"job-1"}
    assert queried["data"]["initiator"] == "alice"
    assert (reader / "token").stat().st_mode & 0o077 == 0


def test_python_submits_a_job_and_waits_for_its_end(master: Node, reader: Path) -> None:
    """The master has no AppImage: the job fails."""
    run(master, reader, blocks("sh")[0])
    done = python(master, reader)
    assert (done.returncode, done.stdout.split()[:2]) == (1, ["job-1", "Failed"]), done.stderr


def test_python_reports_an_error_of_kusciaapi(master: Node, reader: Path) -> None:
    run(master, reader, blocks("sh")[0])
    (reader / "job.json").write_text("{}")
    done = python(master, reader)
    assert done.returncode == 1
    assert "11100" in done.stderr


def test_portal_reaches_kusciaapi() -> None:
    """The only source of KusciaAPI in addition to the steps."""
    (values,) = [yaml.safe_load(block) for block in blocks("yaml")]
    (peer,) = values["master"]["networkPolicy"]["apiFrom"]

    def sources(given: dict[str, object]) -> list[object]:
        rules = find(render(given, "master"), "NetworkPolicy", "kuscia-master")["spec"]["ingress"]
        return [source for rule in rules for source in rule.get("from", []) if rule["ports"][0]["port"] == 8082]

    assert [source for source in sources(values) if source not in sources({})] == [peer]
