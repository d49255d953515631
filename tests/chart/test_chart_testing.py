"""chart-testing accepts the chart, and the commands of Helm that it uses leave the subcharts as they are."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.chart.render import ROOT, tool


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a copy of what chart-testing reads."""
    shutil.copytree(ROOT / "charts", tmp_path / "charts")
    for name in ("ct.yaml", ".yamllint"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def _run(directory: Path, *command: str, **variables: str) -> str:
    done = subprocess.run(
        command, cwd=directory, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _files(directory: Path) -> set[Path]:
    return {path.relative_to(directory) for path in directory.rglob("*") if path.is_file()}


def test_ct_lints_the_chart_with_every_values_file(repository: Path) -> None:
    # The schema of Chart.yaml is a file of chart-testing that its Go module does not install.
    output = _run(repository, tool("ct"), "lint", "--all", "--validate-chart-schema=false")
    for path in (repository / "charts/kuscia/ci").iterdir():
        assert path.name in output


@pytest.mark.parametrize("helm", ["helm", "helm3"])
def test_dependency_build_adds_no_second_copy_of_a_subchart(repository: Path, helm: str) -> None:
    chart = repository / "charts/kuscia"
    before = _files(chart)
    _run(chart, tool(helm), "dependency", "build")
    assert _files(chart) - before <= {Path("Chart.lock")}


@pytest.mark.parametrize("helm", ["helm", "helm3"])
def test_package_has_the_same_files_after_dependency_build(repository: Path, helm: str) -> None:
    contents = []
    for prepare in (["version"], ["dependency", "build", "charts/kuscia"]):
        _run(repository, tool(helm), *prepare)
        archive = _run(repository, tool(helm), "package", "charts/kuscia").split(": ")[1].strip()
        contents.append(sorted(_run(repository, "tar", "--list", "--gzip", "--file", archive).splitlines()))
    assert contents[0] == contents[1]
    assert "kuscia/charts/lite/Chart.yaml" in contents[0]
