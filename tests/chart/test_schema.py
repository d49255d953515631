"""The files generated from values.schema.yaml are up to date."""

from pathlib import Path

import pytest

from schema.generate import generated


@pytest.mark.parametrize("path", generated(), ids=lambda path: path.name)
def test_generated_file_is_up_to_date(path: Path) -> None:
    assert path.read_text() == generated()[path], "run `make schema`"
