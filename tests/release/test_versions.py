"""All files of a release have one version."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from release import versions
from release.versions import version


def test_this_tree_has_one_version() -> None:
    assert versions.mismatches() == []


LITE = "charts/kuscia/charts/lite/Chart.yaml"
IMAGES = "charts/kuscia/charts/common/templates/_images.tpl"


@pytest.mark.parametrize(
    ("path", "old", "new", "named"),
    [
        ("hooks/pyproject.toml", 'version = "{}"', 'version = "0.0.1"', "hooks/pyproject.toml"),
        ("pyproject.toml", 'version = "{}"', 'version = "0.0.1"', "pyproject.toml"),
        (LITE, "version: {}", "version: 0.0.1", LITE),
        ("charts/kuscia/Chart.yaml", "    version: {}", "    version: 0.0.1", "charts/kuscia/Chart.yaml, lite"),
        ("UPGRADING.md", "## {}", "## 0.0.1", "UPGRADING.md"),
        ("UPGRADING.zh-CN.md", "## {}", "## 0.0.1", "UPGRADING.zh-CN.md"),
        (IMAGES, 'ternary "{}"', 'ternary "99.0.0"', IMAGES),
    ],
)
def test_reports_a_file_with_another_version(
    tree: Callable[..., Path], path: str, old: str, new: str, named: str
) -> None:
    root = tree(path, old.format(version()), new)
    assert named in [mismatch.path for mismatch in versions.mismatches(root)]


def test_init_containers_may_keep_an_earlier_version(tree: Callable[..., Path]) -> None:
    assert versions.mismatches(tree(IMAGES, f'ternary "{version()}"', 'ternary "0.0.1"')) == []


def test_versions_sort_by_number_and_prereleases_first() -> None:
    order = ["0.9.0", "0.10.0-rc.1", "0.10.0", "1.0.0"]
    assert all(versions.parsed(older) < versions.parsed(newer) for older, newer in pairwise(order))
