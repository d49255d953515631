from typing import Any

import pytest

from kuscia_hooks.core.errors import PermanentError
from kuscia_hooks.tables import columns
from tests.hooks.builders import table
from tests.hooks.failing import fails


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
    with fails(error_id) as caught:
        columns.resolved(table(**fields), ["id1", "age"])
    assert all(name in caught.value.message for name in ["table t", *named])


def test_control_characters_of_a_header_are_not_printed() -> None:
    with pytest.raises(PermanentError) as caught:
        columns.resolved(table(columns=[{"name": "pay", "type": "int"}]), ["id1\x1b[31m"])
    assert "\x1b" not in str(caught.value)
