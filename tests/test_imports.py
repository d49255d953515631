"""Test modules do not import each other: what they share is in separate modules."""

import re

from tests.chart.render import ROOT
from tests.docs.pages import tracked

IMPORT = re.compile(r"^ *(?:from|import) (?:tests|testbed|bench)\b.*\btest_\w+", re.MULTILINE)


def test_no_module_imports_a_test_module() -> None:
    found = {path: IMPORT.findall((ROOT / path).read_text()) for path in tracked("*.py")}
    assert len(found) > 500
    assert {path: lines for path, lines in found.items() if lines} == {}
