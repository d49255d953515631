"""The commands of the pages: Helm renders them, and `kubectl kuscia` has them and their options."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.chart.render import CHART, KUBE_VERSION, PRESETS, ROOT, edited, tool
from tests.docs.error_pages import rows
from tests.e2e import guide

PAGES = sorted((ROOT / "docs").glob("*.md"))
# Files of the reader, which these pages describe but do not show.
READERS_OWN = {"<values of the master>", "$NAME.values.yaml", "$DOMAIN.yaml", "values.yaml"}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"


def lines(page: Path) -> list[str]:
    """Return the lines of all code blocks, with continued lines joined."""
    text = page.read_text()
    fenced = re.findall(r"^ *```(?:sh)?\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"(?<=\n) {4,}[^ \n].*", re.sub(r" \\\n\s+", " ", text))
    return [line.strip() for line in [*re.sub(r" \\\n\s+", " ", "".join(fenced)).splitlines(), *indented]]


def installs(page: Path) -> list[list[str]]:
    """Return the words of each command that installs a release from its values files."""
    found = [
        shlex.split(re.sub(r"[|>] .*", "", line), comments=True)
        for line in lines(page)
        if line.startswith(("helm upgrade --install ", "helm template "))
    ]
    return [words for words in found if not READERS_OWN & {*words}]


# The Chinese pages have the same commands (test_translations.py).
CASES = [(page, words) for page in PAGES if ".zh-CN" not in page.name for words in installs(page)]


def invitation(domain: str) -> str:
    """Return the values of an invitation, which `kubectl kuscia invite` prints (tests/hooks/test_invite.py)."""
    master = {"endpoint": "https://kuscia.example.com/master", "namespace": "", "tokenSecret": ""}
    return yaml.safe_dump(
        {"master": {"enabled": False}, "lite": {"enabled": True, "domainId": domain, "master": master}}
    )


@pytest.mark.parametrize(("page", "words"), CASES, ids=lambda value: getattr(value, "name", None))
def test_helm_renders_the_command(page: Path, words: list[str], tmp_path: Path) -> None:
    """With the presets as their user edits them, and the files that the page shows."""
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts/kuscia").symlink_to(CHART)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "values").mkdir()
    for preset in PRESETS.glob("*.yaml"):
        (tmp_path / "values" / preset.name).write_text(edited(preset.stem))
    for name, text in guide.files(page.name).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    namespace = words[words.index("-n") + 1]
    (tmp_path / "invited.yaml").write_text(invitation(namespace.removeprefix("lite-")))
    arguments = [word for word in words[1:] if word not in ("upgrade", "--install", "template", "--create-namespace")]
    for option in ("--wait", "--wait-for-jobs", "--timeout"):
        if option in arguments:
            at = arguments.index(option)
            del arguments[at : at + (2 if option == "--timeout" else 1)]
    for name in re.findall(r"=(\S+\.crt)\b", " ".join(arguments)):
        (tmp_path / name).write_text(CERTIFICATE)
    command = [tool("helm"), "template", *arguments, "--kube-version", KUBE_VERSION]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ("kind: Pod\n" if "--show-only" in words else "kind: Deployment") in done.stdout


def test_finds_commands() -> None:
    assert len(CASES) > 6


def kuscia_commands() -> list[tuple[Path, list[str]]]:
    found = []
    for page in PAGES:
        spans = re.findall(r"`(kubectl kuscia [^`]*)`", page.read_text())
        for line in [*lines(page), *spans]:
            for command in re.findall(r"kubectl kuscia ([a-z].*)", line):
                found.append((page, re.sub(r" [|>#] ?.*|[\[\]]|\.$", "", command).split()))
    return found


@pytest.fixture(scope="module")
def usage() -> str:
    done = subprocess.run([ROOT / "bin/kubectl-kuscia", "--help"], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(("page", "words"), kuscia_commands(), ids=lambda value: getattr(value, "name", None))
def test_plugin_has_the_command_and_its_options(page: Path, words: list[str], usage: str) -> None:
    options = {"-n", "-A", *re.findall(r"--[\w-]+", usage)}
    assert re.search(rf"^  {words[0]}\b", usage, re.MULTILINE), words
    assert {word.partition("=")[0] for word in words if word.startswith("-")} <= options, words


def test_named_errors_exist() -> None:
    """The tables of the journeys name errors by ID in a column `message`, in Chinese `信息`."""
    known = {row.id for row in rows("errors.md")}
    found = set()
    for page in PAGES:
        for table in re.split(r"\n\n", page.read_text()):
            if table.startswith(("| message | side ", "| 信息 | 所在方 ")):
                found |= {
                    name for line in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", line.split("|")[1])
                }
    assert found
    assert found <= known
