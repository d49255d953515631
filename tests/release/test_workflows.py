"""The workflows of .github: valid, pinned, with minimal permissions, and with commands that exist."""

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from release.__main__ import main
from tests.chart.render import ROOT, tool

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
MAKEFILE = (ROOT / "Makefile").read_text()
PINNED = re.compile(r"uses: ([\w./-]+)@([0-9a-f]{40}) # v(\d+\.\d+\.\d+)$")
CONTINUED = "\\\n"


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def workflow(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def content(path: Path) -> dict[str, Any]:
    # BaseLoader: `on` is not a boolean.
    found: dict[str, Any] = yaml.load(path.read_text(), Loader=yaml.BaseLoader)
    return found


def scripts(path: Path) -> Iterator[str]:
    for job in content(path)["jobs"].values():
        for step in job["steps"]:
            if "run" in step:
                yield step["run"].replace(CONTINUED, " ")


def test_there_are_workflows_for_checks_clusters_pages_releases_and_scans() -> None:
    assert [path.stem for path in WORKFLOWS] == ["ci", "e2e", "pages", "release", "scan"]


def test_is_valid(workflow: Path) -> None:
    done = subprocess.run([tool("actionlint"), str(workflow)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actions_are_pinned_by_commit_and_version(workflow: Path) -> None:
    used = [line.strip().removeprefix("- ") for line in workflow.read_text().splitlines() if "uses:" in line]
    assert used
    assert [line for line in used if not PINNED.match(line)] == []


def test_an_action_has_one_version_everywhere() -> None:
    versions = defaultdict(set)
    for path in WORKFLOWS:
        for line in path.read_text().splitlines():
            if found := PINNED.search(line.strip()):
                versions[found[1]].add((found[2], found[3]))
    assert {action: pins for action, pins in versions.items() if len(pins) > 1} == {}


def test_permissions_are_given_to_jobs_and_none_to_the_workflow(workflow: Path) -> None:
    found = content(workflow)
    assert found["permissions"] == {}
    for name, job in found["jobs"].items():
        assert job["permissions"], name
        assert isinstance(job["permissions"], dict), name


def test_only_what_publishes_may_write(workflow: Path) -> None:
    writes = {
        permission
        for job in content(workflow)["jobs"].values()
        for permission, access in job["permissions"].items()
        if access == "write"
    }
    assert bool(writes) == (workflow.stem in ("pages", "release", "scan"))


def test_jobs_have_a_time_limit_and_a_failing_pipe_fails(workflow: Path) -> None:
    found = content(workflow)
    assert found["defaults"]["run"]["shell"] == "bash"
    for name, job in found["jobs"].items():
        assert int(job["timeout-minutes"]) <= 60, name


def test_scripts_take_expressions_from_the_environment(workflow: Path) -> None:
    """An expression in a script would run what a branch or a title contains."""
    assert [script for script in scripts(workflow) if "${{" in script] == []


def test_checkouts_keep_no_credentials(workflow: Path) -> None:
    for job in content(workflow)["jobs"].values():
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] == "false"


def test_only_the_token_of_the_run_is_used(workflow: Path) -> None:
    assert set(re.findall(r"secrets\.(\w+)", workflow.read_text())) <= {"GITHUB_TOKEN"}


def test_make_targets_and_variables_exist(workflow: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.MULTILINE))
    variables = set(re.findall(r"^([A-Z_]+) \?=", MAKEFILE, re.MULTILINE))
    for job in content(workflow)["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {}).get("target", [])
        assert set(matrix) <= targets
        for step in job["steps"]:
            for call in re.findall(r"(?:^|\s)make ([^|&\n]*)", step.get("run", "")):
                words = call.split()
                assert {word for word in words if re.fullmatch(r"[a-z0-9-]+", word)} <= targets, call
                assert {word.partition("=")[0] for word in words if "=" in word} <= variables, call


def test_commands_of_the_release_exist(workflow: Path) -> None:
    for script in scripts(workflow):
        for name, arguments in re.findall(r"python -m release (\w+)([^\n]*)", script):
            command = main.commands[name]
            options = {option for parameter in command.params for option in parameter.opts}
            assert set(re.findall(r"--[a-z]+", arguments)) <= options, script


def test_files_in_scripts_exist(workflow: Path) -> None:
    folders = r"(?:^|[\s'\"])((?:release|testbed|bin|hooks|tests)/[\w./-]+)"
    found = re.findall(folders, workflow.read_text(), re.MULTILINE)
    assert [path for path in found if not (ROOT / path).exists()] == []


def test_clusters_are_three_minor_versions_by_digest() -> None:
    matrix = content(ROOT / ".github/workflows/e2e.yaml")["jobs"]["kind"]["strategy"]["matrix"]["include"]
    found = [re.fullmatch(r"kindest/node:v(1\.\d+)\.\d+@sha256:[0-9a-f]{64}", item["node"]) for item in matrix]
    versions = [match[1] for match in found if match]
    assert versions == [item["kubernetes"] for item in matrix]
    assert len(set(versions)) == 3


def test_release_publishes_under_the_names_of_the_chart() -> None:
    text = (ROOT / ".github/workflows/release.yaml").read_text()
    assert "${{ needs.check.outputs.registry }}/kuscia-hooks" in text
    assert '"oci://$REGISTRY/charts"' in text
    assert "linux/amd64,linux/arm64" in text


def test_base_image_of_the_release_is_that_of_the_dockerfile() -> None:
    """The release resolves it to a digest: there must be one line to resolve, with a tag and without a digest."""
    (base,) = re.findall(r"^ARG PYTHON_IMAGE=(.*)$", (ROOT / "hooks/Dockerfile").read_text(), re.MULTILINE)
    assert re.fullmatch(r"docker\.io/library/python:[\w.-]+", base)


def test_updates_are_proposed_for_existing_directories() -> None:
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    assert {item["package-ecosystem"] for item in updates} == {"github-actions", "pip", "docker", "gomod"}
    for item in updates:
        for directory in item.get("directories", [item.get("directory")]):
            assert directory == "/" or list(ROOT.glob(directory.strip("/"))), directory


def test_issue_forms_are_valid() -> None:
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text())
        if path.stem != "config":
            assert form["name"]
            assert form["description"]
            assert all(item["type"] in ("textarea", "input") for item in form["body"])
            assert all(item["attributes"]["label"] for item in form["body"])
