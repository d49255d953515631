"""charts/kuscia/README.md says which of the files that it names are in the packaged chart."""

import re
import tarfile
from pathlib import Path

import pytest

from release import chart
from release.chart import Home
from tests.chart.render import CHART, ROOT

README = CHART / "README.md"


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of the chart as a release packages it."""
    home = Home("example", "https://github.com/example/kuscia-chart")
    with tarfile.open(chart.package(tmp_path_factory.mktemp("package"), home, epoch=0)) as files:
        return {name.removeprefix("kuscia/") for name in files.getnames()}


def rows(header: str) -> list[str]:
    """Return the paths in the table below a header."""
    table = README.read_text().split(f"| {header} |")[1].split("\n\n")[0]
    return [path for line in table.splitlines()[2:] for path in re.findall(r"`([^`]+)`", line.split(" | ")[0])]


def test_files_of_the_chart_are_packaged(packaged: set[str]) -> None:
    paths = rows("path in the chart")
    assert len(paths) >= 5
    assert [path for path in paths if not any(f"{name}/".startswith(f"{path}/") for name in packaged)] == []


def test_files_of_the_repository_are_not_packaged(packaged: set[str]) -> None:
    for path in rows("path in the repository"):
        assert (ROOT / path).exists(), path
        inside = path.removeprefix("charts/kuscia/")
        assert not any(f"{name}/".startswith(f"{inside}/") for name in packaged - {"README.md"}), path


def test_package_has_nothing_else(packaged: set[str]) -> None:
    known = {"Chart.yaml", "README.md", ".helmignore", *(path.split("/")[0] for path in rows("path in the chart"))}
    assert {name.split("/")[0] for name in packaged} == known


def test_notes_name_files_of_the_repository() -> None:
    """Each file that a user of the packaged chart is referred to is in one of the two tables."""
    tables = rows("path in the chart") + rows("path in the repository")
    for path in [CHART / "values.yaml", *CHART.glob("charts/common/templates/_notes.tpl")]:
        for named in re.findall(r"\b((?:docs|values|bin|hooks)/[\w./-]*\w)", Path(path).read_text()):
            assert any(f"{named}/".startswith(f"{known}/") for known in tables), f"{path.name}: {named}"
