"""The commands of the last screen, without a cluster. tests/e2e/test_demo_command.py runs them."""

import os
import shlex
from pathlib import Path

import pytest

from testbed.cluster import toolchain
from testbed.demo.commands import Screen
from testbed.demo.releases import ROOT

LOCAL = Screen("kuscia", "", Path("/var/lib/some where/kubeconfig"))


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache's bin directory with kubectl and helm, first on the PATH as in the Makefile."""
    directory = tmp_path / "cache"
    add_programs(directory)
    monkeypatch.setattr(toolchain, "bin_dir", lambda: directory)
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}/usr/bin")
    return directory


def add_programs(directory: Path) -> None:
    directory.mkdir()
    for name in ("kubectl", "helm"):
        (directory / name).write_text("#!/bin/sh\n")
        (directory / name).chmod(0o755)


def test_setup_adds_the_built_tools_to_the_path(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}/nowhere")
    assert LOCAL.setup()[0] == f"export PATH={tools}:$PATH"


def test_setup_leaves_the_path_when_it_has_the_tools(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_programs(tmp_path / "own")
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{tmp_path / 'own'}")
    assert [line for line in LOCAL.setup() if "PATH=" in line] == []


def test_setup_quotes_the_kubeconfig(tools: Path) -> None:
    (line,) = [line for line in LOCAL.setup() if "KUBECONFIG" in line]
    assert shlex.split(line) == ["export", f"KUBECONFIG={LOCAL.kubeconfig}"]


def test_setup_leaves_the_kubeconfig_of_the_users_own_cluster(tools: Path) -> None:
    assert not [line for line in Screen("current", "registry.example/me", None).setup() if "KUBECONFIG" in line]


def test_stop_names_the_cluster_and_the_prefix() -> None:
    assert shlex.split(LOCAL.stop()) == ["make", "-C", str(ROOT), "demo-down"]
    words = shlex.split(Screen("current", "registry.example/me", None).stop())
    assert words[-2:] == ["CLUSTER=current", "IMAGE_PREFIX=registry.example/me"]
    assert shlex.split(Screen("second", "", Path("/x")).stop())[-1] == "CLUSTER=second"


def test_plugin_is_an_executable_file() -> None:
    paths = [shlex.split(line)[0] for line in LOCAL.look() if "kubectl-kuscia" in line]
    assert paths
    assert all(os.access(path, os.X_OK) for path in paths)


def test_text_contains_each_command_as_a_line(tools: Path) -> None:
    lines = [line.strip() for line in LOCAL.text().splitlines()]
    for command in (*LOCAL.setup(), *LOCAL.look(), LOCAL.stop()):
        assert command in lines
