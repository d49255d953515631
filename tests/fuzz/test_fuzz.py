"""Generated values render what the cluster accepts, or fail with an error that helps."""

from pathlib import Path

import pytest
import yaml

from tests.fuzz.api_server import Client
from tests.fuzz.generator import Case, Generator
from tests.fuzz.judge import FAULT, Judge

pytestmark = pytest.mark.fuzz
CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
GENERATOR = Generator()


@pytest.fixture(scope="session")
def judge(client: Client) -> Judge:
    return Judge(client)


@pytest.mark.parametrize("number", range(200))
def test_generated_values(judge: Judge, number: int) -> None:
    case = GENERATOR.case(1, number)
    verdict = judge.verdict(case)
    assert verdict.outcome != FAULT, f"{verdict.detail}\n{case.text()}"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_recorded_cases_have_the_correct_outcome(judge: Judge, path: Path) -> None:
    """Each file has the outcome that is correct, and the arguments of helm and the values that once had a fault."""
    item = yaml.safe_load(path.read_text())
    case = Case(path.stem, item["values"], tuple(item["presets"]), item["release"], item["namespace"])
    verdict = judge.verdict(case)
    assert verdict.outcome == item["outcome"], f"{verdict.detail}\n{case.text()}"
