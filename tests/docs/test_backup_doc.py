"""docs/backup.md's commands for a master's state on sqlite, with a kubectl that answers from a rendered release."""

import re
import shlex
import sqlite3
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.chart.render import ROOT, Object, find, render, tool

PAGES = ["backup.md", "backup.zh-CN.md"]
# Prints what the query picks from the object of that kind, keeps what is applied, and does nothing else.
KUBECTL = """#!/bin/sh
for query; do :; done
case "$*" in
*" apply "*) exec cat > applied.yaml ;;
*" get pods "*) echo node-1 ;;
*" get pvc/"*) exec {kubectl} label --local -f pvc.yaml a=b -o "$query" ;;
*" get deployment/"*) exec {kubectl} label --local -f deployment.yaml a=b -o "$query" ;;
esac
"""


def blocks(page: str) -> list[str]:
    """state_pod, and the commands that save the state."""
    section = (ROOT / "docs" / page).read_text().split("state_pod() {")[1].split("\n## ")[0]
    rest, save = re.fullmatch(r"(.*?)```\n\n```sh\n(.*?)```\n\s*", section, re.DOTALL).groups()  # type: ignore[union-attr]
    return ["state_pod() {" + rest, save]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    ("values", "secrets"),
    [({}, None), ({"global": {"kuscia": {"imagePullSecrets": ["registry"]}}}, [{"name": "registry"}])],
)
def test_the_pod_beside_the_state_can_pull_its_image(
    page: str, values: Object, secrets: object, tmp_path: Path
) -> None:
    objects = render(values, "master")
    (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(find(objects, "Deployment", "kuscia-master")))
    (tmp_path / "pvc.yaml").write_text(yaml.safe_dump(find(objects, "PersistentVolumeClaim", "kuscia-master-data")))
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(KUBECTL.format(kubectl=shlex.quote(tool("kubectl"))))
    kubectl.chmod(0o755)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks(page))],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "NS": "kuscia-master", "NAME": "kuscia-master"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    pod = yaml.safe_load((tmp_path / "applied.yaml").read_text())
    deployment = find(objects, "Deployment", "kuscia-master")["spec"]["template"]["spec"]
    assert pod["spec"]["imagePullSecrets"] == secrets == deployment.get("imagePullSecrets")
    assert pod["spec"]["containers"][0]["image"] == deployment["initContainers"][0]["image"]


@pytest.mark.parametrize("page", PAGES)
def test_the_copy_is_whole_and_has_the_owner_and_the_mode_of_the_database(page: str, tmp_path: Path) -> None:
    database = tmp_path / "state/server/db/state.db"
    database.parent.mkdir(parents=True)
    with sqlite3.connect(database) as state:
        state.execute("CREATE TABLE kine (id)")
    database.chmod(0o660)
    script = re.search(r"sh -ec '(.*?)'", blocks(page)[1], re.DOTALL)
    assert script
    there = script[1].replace("/state/", f"{tmp_path}/state/").replace("/tmp/server", f"{tmp_path}/copy/server")
    there = there.replace("-C /tmp", f"-C {tmp_path}/copy")
    (tmp_path / "copy").mkdir()
    with (tmp_path / "state.tar.gz").open("wb") as archive:
        subprocess.run(["sh", "-ec", f"umask 022\n{there}"], stdout=archive, check=True)
    copy = tmp_path / "copy/server/db/state.db"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o660
    assert (copy.stat().st_uid, copy.stat().st_gid) == (database.stat().st_uid, database.stat().st_gid)
    assert sqlite3.connect(copy).execute("SELECT name FROM sqlite_master").fetchall() == [("kine",)]
    assert (tmp_path / "state.tar.gz").stat().st_size
