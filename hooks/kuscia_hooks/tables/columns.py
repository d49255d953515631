"""A table's columns, as declared and as its CSV header has them."""

import csv
from collections.abc import Iterable
from typing import BinaryIO

from kuscia_hooks.core.config import Column, Table
from kuscia_hooks.core.errors import PermanentError
from kuscia_hooks.tables.csv_file import is_csv

# More than any header; a file without a line break within it is no table.
HEADER_BYTES = 1 << 20
OTHERS = "*"
_MARK = b"\xef\xbb\xbf"


def has_header(table: Table) -> bool:
    """Whether the table's file is known to begin with the names of its columns."""
    return table.type == "table" and is_csv(table.relative_uri)


def header(stream: BinaryIO, where: str) -> list[str]:
    """The names in the first line of a CSV file.

    Raises:
        PermanentError: it has none, or none that engines can use.
    """
    begin = stream.read(HEADER_BYTES)
    line, found, _ = begin.partition(b"\n")
    if not line.strip():
        raise PermanentError("unclassified", f"{where} is empty; a CSV file begins with the names of its columns")
    if not found and len(begin) == HEADER_BYTES:
        raise PermanentError(
            "unclassified", f"{where} has no line break within its first {HEADER_BYTES} bytes, so it is no CSV file"
        )
    if line.startswith(_MARK):
        raise PermanentError(
            "unclassified", f"{where} begins with a byte order mark, which engines take for a part of the first column"
        )
    try:
        names = [name.strip() for name in next(csv.reader([line.decode().strip("\r")]))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise PermanentError("unclassified", f"{where} has no header in UTF-8 ({error})") from error
    if repeated := _repeated(names):
        raise PermanentError(
            "unclassified", f"{where} has columns of the same name in its header: {', '.join(repeated)}"
        )
    return names


def _repeated(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return [repr(name) for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]


def resolved(table: Table, names: list[str]) -> list[Column]:
    """The columns to declare: those given, which the header must have, or the header's with the types given.

    Raises:
        PermanentError: table and header disagree; names both.
    """
    has = f"its header is {_listed(names)}"
    if lacking := [column.name for column in table.columns if column.name not in names]:
        raise PermanentError(
            "unclassified", f"table {table.id}: columns that the file has not: {', '.join(lacking)}; {has}"
        )
    if not table.column_types:
        return list(table.columns)
    types = table.column_types
    if lacking := [name for name in types if name != OTHERS and name not in names]:
        raise PermanentError(
            "unclassified",
            f"table {table.id}: columnTypes that the file has no column for: {', '.join(lacking)}; {has}",
        )
    if untyped := [name for name in names if name not in types and OTHERS not in types]:
        raise PermanentError(
            "unclassified",
            f"table {table.id}: columnTypes says no type for {', '.join(untyped)}; "
            f"add them, or one for all others, for example columnTypes: {{{untyped[0]}: str, '{OTHERS}': float}}",
        )
    return [Column(name=name, type=types.get(name) or types[OTHERS]) for name in names]


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:12]) + (f", … ({len(names)} columns)" if len(names) > 12 else "")
    return shown if len(shown) <= 400 else f"{shown[:400]}…"
