"""What tests/conftest.py promises about runs side by side."""

import shutil
from pathlib import Path

import pytest

pytest_plugins = "pytester"


def test_tests_that_share_the_demo_run_one_after_another(pytester: pytest.Pytester) -> None:
    tests = pytester.mkdir("tests")
    shutil.copy(Path(__file__).with_name("conftest.py"), tests)
    e2e = tests / "e2e"
    e2e.mkdir()
    for name in ("test_demo", "test_heal", "test_variant_mysql"):
        (e2e / f"{name}.py").write_text("def test_one(): ...\n\ndef test_two(): ...\n")
    result = pytester.runpytest_subprocess("-v", "--numprocesses", "2", "tests")
    result.assert_outcomes(passed=6)
    passed = [line.split() for line in result.outlines if "PASSED" in line]
    workers = {words[0] for words in passed if "variant" not in words[-1]}
    assert len(workers) == 1
    assert {words[0] for words in passed if "variant" in words[-1]}.isdisjoint(workers)
