"""Groups of parallel runs, and reports."""

import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import SCENARIOS

pytest_plugins = "pytester"

CONFTEST = Path(__file__).parents[1] / "conftest.py"


FILES = (
    "e2e/test_demo",
    "e2e/test_heal",
    "e2e/test_variant_database",
    "e2e/test_plugin",
    "chart/test_objects",
    "chart/test_images",
    "hooks/test_keys",
)


def test_group_of_the_scenarios_has_every_file_that_renders_them() -> None:
    files = Path(__file__).parent.glob("chart/test_*.py")
    assert {path.stem for path in files if "scenario: Scenario" in path.read_text()} == SCENARIOS


def test_runs_tests_of_a_group_on_one_worker(pytester: pytest.Pytester) -> None:
    """Those of the demo share its releases, some of the chart its rendered scenarios."""
    tests = pytester.mkdir("tests")
    shutil.copy(CONFTEST, pytester.path)
    for name in FILES:
        path = tests / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text("def test_one(): ...\n\ndef test_two(): ...\n")
    result = pytester.runpytest_subprocess("-v", "--numprocesses", "2", "tests")
    result.assert_outcomes(passed=14)
    passed = [line.split() for line in result.outlines if "PASSED" in line]
    for group in (("test_demo", "test_heal"), ("test_objects", "test_images")):
        assert len({words[0] for words in passed if any(name in words[-1] for name in group)}) == 1
    assert len({words[0] for words in passed}) == 2


def test_report_lists_outcomes_and_failures(pytester: pytest.Pytester) -> None:
    """Already during the run, so that an interrupted run has a report too."""
    tests = pytester.mkdir("tests")
    shutil.copy(CONFTEST, pytester.path)
    pytester.makeini("[pytest]\nmarkers = long: takes minutes\n")
    report = pytester.path / "unit.md"
    (tests / "test_two.py").write_text(
        "from pathlib import Path\n"
        "import pytest\n\n"
        "def test_first(): assert 1 + 1 == 3\n\n"
        f"def test_second(): assert 'assert (1 + 1) == 3' in Path({str(report)!r}).read_text()\n\n"
        "@pytest.mark.long\n"
        "def test_third(record_property, monkeypatch, tmp_path):\n"
        "    monkeypatch.chdir(tmp_path)\n"
        "    record_property('Endpoints', 'all 3')\n"
    )
    subprocess.run(["git", "init", "--quiet", pytester.path], check=True)
    commit = ["commit", "--quiet", "--allow-empty", "--message", "nothing"]
    who = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", "-C", pytester.path, *who, *commit], check=True)
    pytester.runpytest_subprocess("--report", report.name, "tests").assert_outcomes(passed=2, failed=1)
    lines = report.read_text().splitlines()
    assert lines[0] == "# unit: last run of `make test-all`"
    assert lines[2].endswith(": 2 passed, 1 failed, 0 skipped")
    assert "| `tests/test_two.py` | 1 passed, 1 failed |" in report.read_text()
    assert "| `tests/test_two.py::test_third` | passed |" in report.read_text()
    assert "## tests/test_two.py::test_first, call" in lines
    assert lines[lines.index("## Endpoints") + 2] == "    all 3"
