from io import BytesIO
from typing import Any

import pytest

from kuscia_hooks.core.errors import PermanentError
from kuscia_hooks.tables import columns
from tests.hooks.builders import table


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"id1,age\n1,2\n", ["id1", "age"]),
        (b"id1, age\r\n", ["id1", "age"]),
        (b'"id,1","a ""b"""\n', ["id,1", 'a "b"']),
        ("姓名,age".encode(), ["姓名", "age"]),
    ],
)
def test_reads_column_names(content: bytes, names: list[str]) -> None:
    assert columns.header(BytesIO(content), "f") == names


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty file"),
        pytest.param(b"\nid1\n", id="empty line"),
        pytest.param(b"\xef\xbb\xbfid1\n", id="byte order mark"),
        pytest.param(b"id1,\xff\n", id="not UTF-8"),
        pytest.param(b"x" * columns.HEADER_BYTES, id="no line break"),
    ],
)
def test_rejects_invalid_header(content: bytes) -> None:
    with pytest.raises(PermanentError) as caught:
        columns.header(BytesIO(content), "bucket/f.csv")
    assert caught.value.id == "table-header-invalid"
    assert "bucket/f.csv" in caught.value.message


def test_names_duplicate_columns() -> None:
    with pytest.raises(PermanentError) as caught:
        columns.header(BytesIO(b"id1,age,id1\n"), "f")
    assert caught.value.id == "table-header-invalid"
    assert "'id1'" in caught.value.message
    assert "age" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "kind", "there"), [("T.CSV", "table", True), ("t.orc", "table", False), ("t.csv", "model", False)]
)
def test_only_csv_tables_have_a_header(name: str, kind: str, there: bool) -> None:
    assert columns.has_header(table(relativeUri=name, type=kind)) is there


def test_column_types_apply_to_the_header() -> None:
    found = columns.resolved(table(columnTypes={"id1": "str", "*": "float"}), ["id1", "age", "y"])
    assert [(column.name, column.type) for column in found] == [("id1", "str"), ("age", "float"), ("y", "float")]


@pytest.mark.parametrize(
    ("fields", "error_id", "named"),
    [
        ({"columns": [{"name": "pay", "type": "int"}]}, "table-columns-mismatch", ["pay", "id1, age"]),
        ({"columnTypes": {"pay": "int", "*": "str"}}, "table-columns-mismatch", ["pay", "id1, age"]),
        ({"columnTypes": {"id1": "str"}}, "table-column-types-incomplete", ["age"]),
    ],
)
def test_reports_columns_that_differ_from_the_header(fields: dict[str, Any], error_id: str, named: list[str]) -> None:
    with pytest.raises(PermanentError) as caught:
        columns.resolved(table(**fields), ["id1", "age"])
    assert caught.value.id == error_id
    assert all(name in caught.value.message for name in ["table t", *named])


def test_control_characters_of_a_header_are_not_printed() -> None:
    with pytest.raises(PermanentError) as caught:
        columns.resolved(table(columns=[{"name": "pay", "type": "int"}]), ["id1\x1b[31m"])
    assert "\x1b" not in str(caught.value)
