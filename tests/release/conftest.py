import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from release import chart
from release.chart import Home
from tests.chart.render import ROOT

HOME = Home("Example", "https://github.com/Example/kuscia-chart")
EPOCH = 1_700_000_000


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged chart of a release."""
    return chart.package(tmp_path_factory.mktemp("release"), HOME, EPOCH)


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """A copy of the files that a release checks, in which a test replaces text: `tree(path, old, new)`."""
    copy = tmp_path / "tree"
    names = ("CHANGELOG.md", "UPGRADING.md", "UPGRADING.zh-CN.md", "pyproject.toml", "hooks/pyproject.toml")
    for name in names:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    shutil.copytree(ROOT / "changes", copy / "changes")
    for path in [*(ROOT / "charts").rglob("Chart.yaml"), *(ROOT / "charts").rglob("_images.tpl")]:
        target = copy / path.relative_to(ROOT)
        os.makedirs(target.parent, exist_ok=True)
        shutil.copy(path, target)

    def replace(path: str, old: str, new: str) -> Path:
        text = (copy / path).read_text()
        assert old in text, f"{path}: {old}"
        (copy / path).write_text(text.replace(old, new))
        return copy

    return replace
