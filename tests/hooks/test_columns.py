from io import BytesIO
from typing import Any

import pytest

from kuscia_hooks.core.config import Table
from kuscia_hooks.core.errors import PermanentError
from kuscia_hooks.tables import columns


def table(**fields: Any) -> Table:
    return Table.model_validate({"id": "t", "name": "t", "relativeUri": "t.csv", **fields})


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"id1,age\n1,2\n", ["id1", "age"]),
        (b"id1, age\r\n", ["id1", "age"]),
        (b'"id,1","a ""b"""\n', ["id,1", 'a "b"']),
        ("姓名,age".encode(), ["姓名", "age"]),
    ],
)
def test_a_header(content: bytes, names: list[str]) -> None:
    assert columns.header(BytesIO(content), "f") == names


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "f is empty"),
        (b"\nid1\n", "f is empty"),
        (b"\xef\xbb\xbfid1\n", "byte order mark"),
        (b"id1,\xff\n", "no header in UTF-8"),
        (b"id1,age,id1\n", "columns of the same name in its header: 'id1'"),
        (b"x" * columns.HEADER_BYTES, "no line break within its first"),
    ],
)
def test_no_header(content: bytes, says: str) -> None:
    with pytest.raises(PermanentError, match=says):
        columns.header(BytesIO(content), "f")


@pytest.mark.parametrize(
    ("name", "kind", "there"), [("T.CSV", "table", True), ("t.orc", "table", False), ("t.csv", "model", False)]
)
def test_which_files_have_one(name: str, kind: str, there: bool) -> None:
    assert columns.has_header(table(relativeUri=name, type=kind)) is there


def test_types_for_the_header() -> None:
    found = columns.resolved(table(columnTypes={"id1": "str", "*": "float"}), ["id1", "age", "y"])
    assert [(column.name, column.type) for column in found] == [("id1", "str"), ("age", "float"), ("y", "float")]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"columns": [{"name": "pay", "type": "int"}]}, "columns that the file has not: pay; its header is id1, age"),
        ({"columnTypes": {"pay": "int", "*": "str"}}, "columnTypes that the file has no column for: pay"),
        ({"columnTypes": {"id1": "str"}}, "says no type for age"),
    ],
)
def test_table_and_header_disagree(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(PermanentError, match=says):
        columns.resolved(table(**fields), ["id1", "age"])
