"""chart-testing installs the chart with each of its values files, and upgrades it from an earlier commit."""

import shutil
import subprocess
from pathlib import Path

import pytest

from testbed.cluster.kubectl import Kubectl
from testbed.demo.releases import ROOT
from tests.chart.render import tool
from tests.e2e.earlier import EARLIER

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(1800)]

VALUES = sorted((ROOT / "charts/kuscia/ci").iterdir())


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A clone with the charts of this tree, whose branch `base` is an earlier commit."""
    for command in (
        ["clone", "--quiet", "--no-checkout", str(ROOT), str(tmp_path)],
        ["-C", str(tmp_path), "update-ref", "refs/remotes/origin/base", EARLIER],
    ):
        subprocess.run(["git", *command], check=True)
    shutil.copytree(ROOT / "charts", tmp_path / "charts")
    shutil.copy(ROOT / "ct.yaml", tmp_path)
    return tmp_path


@pytest.mark.parametrize("mode", [(), ("--upgrade", "--target-branch", "base")], ids=["install", "upgrade"])
def test_ct_installs_and_upgrades(kubectl: Kubectl, images: Path, repository: Path, mode: tuple[str, ...]) -> None:
    done = subprocess.run(
        [tool("ct"), "install", "--config", "ct.yaml", "--all", *mode, "--helm-extra-set-args", f"--values={images}"],
        cwd=repository, env=kubectl.env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    for path in VALUES:
        assert path.name in output
