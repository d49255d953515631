"""The announcement of `make demo`."""

from pathlib import Path

from testbed.cluster.toolchain import TOOLS
from testbed.demo import plan


def tasks(venv: Path, cluster: str = "kuscia", **fields: list[str]) -> list[plan.Task]:
    tools = [TOOLS[name] for name in fields.pop("tools", [])]
    empty: dict[str, list[str]] = {"packages": [], "images": []}
    return plan.tasks(cluster, venv=venv, tools=tools, **(empty | fields))


def prepared(tmp_path: Path) -> Path:
    (tmp_path / ".done").touch()
    return tmp_path


def test_lists_everything_that_is_missing(tmp_path: Path) -> None:
    found = tasks(tmp_path, packages=["skopeo"], tools=["kubernetes", "helm"], images=["kuscia-sim"])
    text = plan.text(found, free=100)
    for name in ("skopeo", str(tmp_path), "kubernetes", "helm", "kuscia-sim", "100 GB"):
        assert name in text


def test_omits_what_is_done(tmp_path: Path) -> None:
    words = plan.text(tasks(prepared(tmp_path)), free=1)
    assert "packages:" not in words
    assert str(tmp_path) not in words
    assert "build" not in words


def test_time_and_disk_grow_with_the_work(tmp_path: Path) -> None:
    few = tasks(prepared(tmp_path))
    many = tasks(tmp_path, tools=["kubernetes"], images=["kuscia-sim"])
    assert sum(task.minutes for task in many) > sum(task.minutes for task in few) + TOOLS["kubernetes"].minutes
    assert sum(task.gigabytes for task in many) > sum(task.gigabytes for task in few)


def test_own_cluster_runs_no_kubernetes(tmp_path: Path) -> None:
    assert "kubernetes" not in plan.OWN_CLUSTER_TOOLS
    assert "/var/lib" not in plan.text(tasks(prepared(tmp_path), cluster="current"), free=1)
