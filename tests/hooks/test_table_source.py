import hashlib
from pathlib import Path
from typing import Any

import pytest

from kuscia_hooks.tables import examples
from kuscia_hooks.tables.source import content_of
from tests.hooks.builders import table
from tests.hooks.failing import fails

BYTES = b"id1,age\n1,2\n"


def test_returns_example(tmp_path: Path) -> None:
    found = content_of(table(example="alice"), tmp_path)
    assert found is not None
    assert found.open().read() == examples.table("alice")


def test_returns_none_without_a_source(tmp_path: Path) -> None:
    assert content_of(table(), tmp_path) is None


def test_reads_file_and_does_not_delete_it(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(BYTES)
    found = content_of(table(file=str(path), sha256=hashlib.sha256(BYTES).hexdigest(), size=len(BYTES)), tmp_path)
    assert found is not None
    assert found.open().read() == BYTES
    found.discard()
    assert path.read_bytes() == BYTES


@pytest.mark.parametrize(
    ("fields", "error_id", "values"),
    [
        ({"size": 7}, "table-size-mismatch", ["7", str(len(BYTES))]),
        ({"sha256": "0" * 64}, "table-checksum-mismatch", ["0" * 64, hashlib.sha256(BYTES).hexdigest()]),
    ],
)
def test_rejects_content_that_differs(tmp_path: Path, fields: dict[str, Any], error_id: str, values: list[str]) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(BYTES)
    with fails(error_id) as caught:
        content_of(table(file=str(path), **fields), tmp_path)
    assert all(value in caught.value.message for value in [str(path), *values])


def test_missing_file_lists_existing_files(tmp_path: Path) -> None:
    (tmp_path / "other.csv").touch()
    with fails("table-file-not-found") as caught:
        content_of(table(file=str(tmp_path / "in/own.csv")), tmp_path)
    assert f"{tmp_path}/in/own.csv" in caught.value.message
    assert "other.csv" in caught.value.message


@pytest.mark.parametrize(
    ("content", "fields", "error_id"),
    [
        (b"<!doctype html><title>Log in</title>", {}, "not-a-table"),
        (b"<!doctype html><title>Log in</title>", {"relativeUri": "t.orc"}, "not-a-table"),
        (b"", {"relativeUri": "t.orc"}, "not-a-table"),
        (b"id1,id1\n", {}, "table-header-invalid"),
        (b"id1\n" + b"1\n" * 100_000 + b"\xff\n", {}, "table-row-invalid"),
    ],
)
def test_rejects_content_that_is_not_a_table(
    tmp_path: Path, content: bytes, fields: dict[str, Any], error_id: str
) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(content)
    with fails(error_id) as caught:
        content_of(table(file=str(path), **fields), tmp_path)
    assert str(path) in caught.value.message


@pytest.mark.parametrize("fields", [{"relativeUri": "m.bin", "type": "model"}, {"relativeUri": "t.orc"}])
def test_accepts_other_formats_under_other_names(tmp_path: Path, fields: dict[str, str]) -> None:
    path = tmp_path / "own"
    path.write_bytes(b"ORC\x00")
    assert content_of(table(file=str(path), **fields), tmp_path) is not None
