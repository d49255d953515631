"""The files of values/: parties render as they are, placeholders are refused by name, site.yaml is neutral."""

import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from yamllint import linter
from yamllint.config import YamlLintConfig

from tests.chart.error_ids import parse_errors
from tests.chart.render import CHART, PLACEHOLDER, PRESETS, Scenario, edited, template_once, tool

PARTIES = ("master", "alice", "bob", "master-and-alice")
FILES = sorted(path.stem for path in PRESETS.glob("*.yaml"))
OVERLAYS = [name for name in FILES if PLACEHOLDER in (PRESETS / f"{name}.yaml").read_text()]


def shipped(preset: str) -> Any:
    return yaml.safe_load((PRESETS / f"{preset}.yaml").read_text())


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and the value of each text."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path, value


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_map_has_a_row_for_each_file(page: str) -> None:
    """And names existing files only."""
    rows = re.findall(r"^\| `([\w.-]+)` \|(.*)\|$", (PRESETS / page).read_text(), re.MULTILINE)
    assert sorted(name.removesuffix(".yaml") for name, _ in rows) == FILES
    named = {name for _, cells in rows for name in re.findall(r"`([\w-]+\.yaml)`", cells)}
    assert named - {f"{name}.yaml" for name in FILES} <= {"kuscia.yaml"}


@pytest.mark.parametrize("preset", PARTIES)
def test_parties_have_no_placeholder(preset: str) -> None:
    assert PLACEHOLDER not in (PRESETS / f"{preset}.yaml").read_text()


@pytest.mark.parametrize("base", ["master", "bob"])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_refuses_each_placeholder_by_name(overlay: str, base: str) -> None:
    component = "master" if base == "master" else "lite"
    expected = {
        path for path, text in texts(shipped(overlay)) if PLACEHOLDER in text and path.startswith(f"{component}.")
    }
    files = [f"--values={PRESETS / name}.yaml" for name in (base, overlay)]
    done = subprocess.run(
        [tool("helm"), "template", "kuscia", str(CHART), *files], text=True, capture_output=True, check=False
    )
    found = {error.path for error in parse_errors(done.stderr) if error.id == "placeholder-left"}
    assert found == expected
    assert bool(done.returncode) == bool(expected)


def test_some_overlays_have_placeholders() -> None:
    assert {"object-store", "partner", "ingress-nginx", "master-mysql"} <= set(OVERLAYS)


@pytest.mark.parametrize("preset", FILES)
def test_public_hosts_are_placeholders(preset: str) -> None:
    """No preset has a host that its user must replace, but that the chart accepts."""
    hosts = [text for _, text in texts(shipped(preset)) if re.search(r"[\w-]\.(com|org|net|cn|example)\b", text)]
    # The prefix of a label key.
    hosts = [host for host in hosts if not host.startswith("example.com/")]
    assert [host for host in hosts if PLACEHOLDER not in host] == []


def test_site_changes_nothing_as_shipped() -> None:
    assert shipped("site") is None
    with_site = template_once(Scenario("", ("site", "master-and-alice")))
    assert with_site == template_once(Scenario("", ("master-and-alice",)))


def test_site_shows_the_defaults() -> None:
    """Without the comment signs, it has values of the chart with their defaults."""
    settings = re.sub(r"^# ?", "", edited("site").split("\n\n", 1)[1], flags=re.MULTILINE)
    rules = YamlLintConfig("rules: {key-duplicates: enable}")
    assert [problem.line for problem in linter.run(settings, rules)] == []
    shown = list(_leaves(yaml.safe_load(settings)))
    defaults = dict(_leaves(yaml.safe_load((CHART / "values.yaml").read_text())))
    assert len(shown) >= 7
    assert [path for path, value in shown if value != defaults.get(path, "absent")] == []


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else key)
    else:
        yield path, value
