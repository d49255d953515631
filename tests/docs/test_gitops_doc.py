"""docs/gitops.md: its settings are those of the examples, its Secrets those of the values."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.render import CHART, ROOT, Scenario
from tests.gitops.examples import ARGOCD, FLUX

SECRETS = {"gitops.md": "Secrets that arrive later", "gitops.zh-CN.md": "后到的 Secret"}


def section(page: str, title: str) -> str:
    text = (ROOT / "docs" / page).read_text()
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return str(found)


def settings(text: str) -> list[str]:
    """Return the settings with a value in the first column of the tables: `key: value` or `key=value`."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    return [span for cell in cells for span in re.findall(r"`([^`]+)`", cell) if re.search(r"[:=]", span)]


def last_line(setting: str) -> str:
    """Return how YAML has a setting: `a.b: c` is written in two lines."""
    key, sign, value = setting.partition(": ")
    return key.rpartition(".")[2] + sign + value


@pytest.mark.parametrize("page", SECRETS)
@pytest.mark.parametrize(("title", "directory"), [("Flux", FLUX), ("Argo CD", ARGOCD)])
def test_settings_are_those_of_the_examples(page: str, title: str, directory: Path) -> None:
    manifests = "\n".join(path.read_text() for path in directory.rglob("*.yaml"))
    found = settings(section(page, title))
    assert len(found) >= 5
    assert [setting for setting in found if last_line(setting) not in manifests] == []


def defaults(values: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield the path of each default value."""
    for key, value in values.items():
        where = f"{path}.{key}" if path else key
        yield where
        if isinstance(value, dict):
            yield from defaults(value, where)


@pytest.mark.parametrize("page", SECRETS)
def test_every_secret_that_can_arrive_later_has_a_row(page: str) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    found = {path for path in defaults(values) if re.search(r"[sS]ecrets?$", path)}
    # Engine pods get their pull secrets from their namespace.
    found.remove("lite.runk.imagePullSecrets")
    # The defaults have neither a data source nor tables.
    found |= {"lite.data.source.credentialsSecret", "lite.data.tables[].urlSecret"}
    assert {"master.key.existingSecret", "lite.master.caBundle.secret", "global.kuscia.imagePullSecrets"} <= found
    text = section(page, SECRETS[page])
    assert sorted(path for path in found if f"`{path}`" not in text) == []


@pytest.mark.parametrize("page", SECRETS)
def test_jobs_of_the_lite_have_the_labels_of_the_purge(page: str) -> None:
    (selector,) = re.findall(r"delete jobs,pods -l (\S+)", (ROOT / "docs" / page).read_text())
    wanted = dict(pair.split("=") for pair in selector.split(","))
    jobs = [item for item in Scenario("", ("alice",)).objects if item["kind"] == "Job"]
    assert jobs
    for job in jobs:
        assert wanted.items() <= job["metadata"]["labels"].items()


@pytest.mark.parametrize(("page", "title"), [("gitops.md", "Delete"), ("gitops.zh-CN.md", "删除")])
def test_keys_are_deleted_after_the_controller_has_removed_the_release(page: str, title: str) -> None:
    """Otherwise it installs the party again, with a key that the partners do not know."""
    commands = re.findall(r"^ {4,}(kubectl .+)$", section(page, title), re.MULTILINE)
    waits = [number for number, command in enumerate(commands) if " wait --for=delete " in command]
    keys = [number for number, command in enumerate(commands) if "-domain-key" in command]
    assert len(waits) == 2
    assert keys
    assert max(waits) < min(keys)


@pytest.mark.parametrize("page", [*ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/*.md")], ids=lambda page: page.name)
def test_no_command_deletes_the_namespaces_of_the_examples(page: Path) -> None:
    assert not re.search(r"^ {4,}kubectl .*delete .*-k\b", page.read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", SECRETS)
def test_values_of_the_page_exist(page: str) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    text = (ROOT / "docs" / page).read_text()
    paths = set(re.findall(r"`((?:master|lite|global)\.[\w.]+)`", text))
    assert "master.prune.routes" in paths
    for path in paths:
        found = values
        for key in path.split("."):
            if found == {}:
                # A map of the user, such as podAnnotations.
                break
            assert key in found, path
            found = found[key]


@pytest.mark.parametrize("page", SECRETS)
def test_each_switch_of_prune_is_named(page: str) -> None:
    """`master.prune` is a map: `true` is not a valid value of it."""
    text = (ROOT / "docs" / page).read_text()
    assert "`master.prune`" not in text
    switches = yaml.safe_load((CHART / "values.yaml").read_text())["master"]["prune"]
    assert [key for key in switches if f"`master.prune.{key}`" not in text] == []
