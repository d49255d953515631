"""The version of a release, and every file that must have it."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
CHART = Path("charts/kuscia")
# The version of the init containers, in the helper `kuscia.hooksImage`.
INIT_VERSION = re.compile(r'ternary "([^"]+)" \.ctx\.Chart\.Version')


@dataclass(frozen=True)
class Mismatch:
    """A file that does not have what a release requires.

    Args:
        path: the file, relative to the repository.
        found: what it has.
        required: what a release requires.
    """

    path: str
    found: str
    required: str

    def __str__(self) -> str:
        return f"{self.path}: {self.found}; required: {self.required}"


def chart(root: Path = ROOT) -> dict[str, Any]:
    """Return the content of the chart's Chart.yaml."""
    content: dict[str, Any] = yaml.safe_load((root / CHART / "Chart.yaml").read_text())
    return content


def version(root: Path = ROOT) -> str:
    """Return the version of the next release: that of the chart."""
    return str(chart(root)["version"])


def parsed(text: str) -> tuple[int, int, int, bool, str]:
    """Return a semantic version in a form that sorts as versions do."""
    number, _, pre = text.partition("-")
    major, minor, patch = (int(part) for part in number.split("."))
    return major, minor, patch, not pre, pre


def mismatches(root: Path = ROOT) -> list[Mismatch]:
    """Return the files whose version is not that of the chart."""
    wanted = version(root)
    found = {f"{CHART}/Chart.yaml, {item['name']}": str(item["version"]) for item in chart(root)["dependencies"]}
    for path in sorted((root / CHART / "charts").glob("*/Chart.yaml")):
        found[str(path.relative_to(root))] = str(yaml.safe_load(path.read_text())["version"])
    for name in ("pyproject.toml", "hooks/pyproject.toml"):
        found[name] = tomllib.loads((root / name).read_text())["project"]["version"]
    wrong = [Mismatch(path, has, wanted) for path, has in found.items() if has != wanted]
    helper = CHART / "charts/common/templates/_images.tpl"
    init = INIT_VERSION.search((root / helper).read_text())
    if init is None or parsed(init[1]) > parsed(wanted):
        wrong.append(Mismatch(str(helper), init[1] if init else "", f"{wanted} or earlier"))
    for name in ("UPGRADING.md", "UPGRADING.zh-CN.md"):
        headings = re.findall(r"^## (\S+)", (root / name).read_text(), re.MULTILINE)
        if wanted not in headings:
            wrong.append(Mismatch(name, ", ".join(headings), f"## {wanted}"))
    return wrong
