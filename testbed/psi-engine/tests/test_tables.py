"""Columns of files and of registered tables; which input is the own one."""

from pathlib import Path

import pytest

from psi_engine import EngineError, tables
from psi_engine.datamesh import Source, Table, own_input
from psi_engine.task import Input

TABLE = Table("alice-table", "alice", "alice.csv", "default-data-source", (("id1", "str"), ("age", "float")))


def test_result_columns_keep_their_types_in_the_order_of_the_file() -> None:
    assert tables.result_columns(TABLE, ["age", "id1", "new"]) == (
        ("age", "float"), ("id1", "str"), ("new", "str"))  # fmt: skip


def test_reports_all_missing_columns_and_keys() -> None:
    with pytest.raises(EngineError) as raised:
        tables.check(TABLE, Input("alice-table", ("uid",), False), ["id1", "x"])
    assert "alice.csv has the columns id1, x" in str(raised.value)
    assert "age" in str(raised.value)
    assert "uid" in str(raised.value)


def test_byte_order_mark_is_not_part_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfid1,age\r\n1,2\r\n")
    assert tables.header(path) == ["id1", "age"]


def test_rejects_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.touch()
    with pytest.raises(EngineError, match=r"a\.csv is empty"):
        tables.header(path)


def test_finds_own_input_by_its_author() -> None:
    granted = Table("bob-table", "bob", "bob.csv", "x", ())
    assert own_input("alice", [granted, TABLE], ["bob-table", "alice-table"]) == (1, TABLE)
    assert own_input("alice", [TABLE, None], ["alice-table", "bob-table"]) == (0, TABLE)


def test_fails_without_own_input() -> None:
    with pytest.raises(EngineError, match="alice-table: of alice, bob-table: not known here"):
        own_input("carl", [TABLE, None], ["alice-table", "bob-table"])


def test_a_source_does_not_show_its_credentials() -> None:
    source = Source("s", "oss", {"access_key_secret": "hidden"})
    assert "hidden" not in repr(source)
