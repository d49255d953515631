import hashlib
from pathlib import Path
from typing import Any

import pytest

from kuscia_hooks.core.config import Table
from kuscia_hooks.core.errors import PermanentError
from kuscia_hooks.tables import examples
from kuscia_hooks.tables.source import content_of

BYTES = b"id1,age\n1,2\n"


def table(**fields: Any) -> Table:
    return Table.model_validate({"id": "t", "name": "t", "relativeUri": "t.csv", **fields})


def test_an_example(tmp_path: Path) -> None:
    found = content_of(table(example="alice"), tmp_path)
    assert found is not None
    assert found.open().read() == examples.table("alice")


def test_nothing_to_bring(tmp_path: Path) -> None:
    assert content_of(table(), tmp_path) is None


def test_a_file_is_read_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(BYTES)
    found = content_of(table(file=str(path), sha256=hashlib.sha256(BYTES).hexdigest(), size=len(BYTES)), tmp_path)
    assert found is not None
    assert found.open().read() == BYTES
    found.discard()
    assert path.read_bytes() == BYTES


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"size": 7}, f"has {len(BYTES)} bytes, not the 7 of `size`"),
        ({"sha256": "0" * 64}, f"has the SHA-256 {hashlib.sha256(BYTES).hexdigest()}, not the 0000"),
    ],
)
def test_another_content_than_said(tmp_path: Path, fields: dict[str, Any], says: str) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(BYTES)
    with pytest.raises(PermanentError, match=says):
        content_of(table(file=str(path), **fields), tmp_path)


def test_a_missing_file_says_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "other.csv").touch()
    with pytest.raises(PermanentError, match=f"there is no file {tmp_path}/in/own.csv; {tmp_path} holds other.csv"):
        content_of(table(file=str(tmp_path / "in/own.csv")), tmp_path)
