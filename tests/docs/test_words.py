"""style/check_words.py finds the listed words where users read them, and nowhere else."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.chart.render import ROOT

SCRIPT = ROOT / "style/check_words.py"


@pytest.fixture(scope="module")
def words() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_words", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_words"] = module
    spec.loader.exec_module(module)
    return module


Run = Callable[[Path], tuple[int, str]]


@pytest.fixture
def run(words: ModuleType, capsys: pytest.CaptureFixture[str]) -> Run:
    """Check a file; return the exit code and the output."""
    return lambda path: (words.main([str(path)]), capsys.readouterr().out)


@pytest.mark.parametrize(
    "text",
    [
        "the token that lacks",
        "the command that mends it",
        "The file has not a header.",
        "this is no host name",
        "made anew",
        "Whoever reaches the port",
        "take it away, and they are taken away",
        "it goes on",
        "it needs a human",
        "in the midst of a job",
        "one of the verbs",
    ],
)
def test_reports_listed_words(run: Run, text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"first line\n{text}\n")
    code, output = run(page)
    assert code == 1
    assert f"{page}:2: " in output


@pytest.mark.parametrize(
    "text",
    [
        "black, slack",
        "it is no longer used",
        "this has not been tested",
        'verbs: ["get"]',
        "recommended",
        "if it is None",
    ],
)
def test_accepts_other_words(run: Run, text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{text}\n")
    assert run(page) == (0, "")


def test_reads_only_strings_of_python_files(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text('"""It goes on."""\nanew = 1\nprint(f"{anew} is mended")\n')
    done = subprocess.run([sys.executable, SCRIPT, module], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert [line.split(":")[1] for line in done.stdout.splitlines()] == ["1", "3"]


def test_finds_phrases_across_lines(words: ModuleType) -> None:
    hits = list(words.find_hits([(1, "# the job goes"), (2, "# on")], "file", words.load_rules()))
    assert [hit.line for hit in hits] == [1]


def test_exempts_a_line_of_one_file(words: ModuleType) -> None:
    page = ROOT / "docs/README.md"
    exempt = words.Exempt(file="docs/README.md", text="Documentation", reason="test")
    rule = words.Rule(words.re.compile("Documentation"), "nothing")
    hits, used = words.check([page], [rule], [exempt])
    assert not [hit for hit in hits if "Documentation" in hit.text]
    assert exempt in used


def test_rejects_a_long_list_of_exceptions(words: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "exceptions.yaml"
    path.write_text("- {file: a, text: b, reason: c}\n" * (words.MAX_EXCEPTIONS + 1))
    with pytest.raises(ValueError, match=str(words.MAX_EXCEPTIONS)):
        words.load_exceptions(path)
