"""Columns of a table, as declared and in the header of its CSV file."""

import csv
from collections.abc import Iterable
from typing import BinaryIO

from kuscia_hooks.core.config import Column, Table
from kuscia_hooks.core.errors import PermanentError
from kuscia_hooks.core.text import printable
from kuscia_hooks.tables.csv_file import is_csv

# Longer than any header. A file without a line break in it is not a CSV file.
HEADER_BYTES = 1 << 20
OTHERS = "*"
_MARK = b"\xef\xbb\xbf"


def has_header(table: Table) -> bool:
    """Return whether the file of the table is a CSV file, which begins with the names of its columns."""
    return table.type == "table" and is_csv(table.relative_uri)


def header(stream: BinaryIO, where: str) -> list[str]:
    """Return the column names in the first line of a CSV file.

    Args:
        where: name of the file for messages.

    Raises:
        PermanentError: the line is missing or engines cannot use it.
    """
    begin = stream.read(HEADER_BYTES)
    line, found, _ = begin.partition(b"\n")
    if not line.strip():
        raise _invalid(where, "the first line is empty", "the first line must contain the column names")
    if not found and len(begin) == HEADER_BYTES:
        raise _invalid(where, f"no line break in the first {HEADER_BYTES} bytes", "provide a CSV file")
    if line.startswith(_MARK):
        # Engines read it as a part of the first column name.
        raise _invalid(where, "the file begins with a byte order mark", "save it as UTF-8 without a byte order mark")
    try:
        names = [name.strip() for name in next(csv.reader([line.decode().strip("\r")]))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise _invalid(where, f"not a CSV line in UTF-8 ({error})", "save the file as CSV in UTF-8") from error
    if repeated := _repeated(names):
        raise _invalid(where, f"duplicate columns: {', '.join(repeated)}", "rename the columns; names must be unique")
    return names


def _invalid(where: str, cause: str, fix: str) -> PermanentError:
    return PermanentError("table-header-invalid", f"invalid header of {where}: {cause}", fix=fix)


def _repeated(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return [repr(name) for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]


def resolved(table: Table, names: list[str]) -> list[Column]:
    """Return the columns to declare: `columns` of the table, or those of the header with the types in `columnTypes`.

    Raises:
        PermanentError: the table has columns that the header does not, or a column has no type.
    """
    if missing := [column.name for column in table.columns if column.name not in names]:
        raise _mismatch(table, "columns", missing, names)
    if not table.column_types:
        return list(table.columns)
    types = table.column_types
    if missing := [name for name in types if name != OTHERS and name not in names]:
        raise _mismatch(table, "columnTypes", missing, names)
    if untyped := [name for name in names if name not in types and OTHERS not in types]:
        raise PermanentError(
            "table-column-types-incomplete",
            f"table {table.id}: columnTypes has no type for {_listed(untyped)}",
            fix="add these columns, or a type for all others, for example "
            f"columnTypes: {{{printable(untyped[0])}: str, '{OTHERS}': float}}",
        )
    return [Column(name=name, type=types.get(name) or types[OTHERS]) for name in names]


def _mismatch(table: Table, key: str, missing: list[str], names: list[str]) -> PermanentError:
    return PermanentError(
        "table-columns-mismatch",
        f"table {table.id}: {key} not found in the file: {', '.join(missing)} (header: {_listed(names)})",
        fix=f"correct {key} of the table in lite.data.tables, or the header of the file",
    )


def _listed(names: list[str]) -> str:
    names = [printable(name) for name in names]
    shown = ", ".join(names[:12]) + (f", … ({len(names)} columns)" if len(names) > 12 else "")
    return shown if len(shown) <= 400 else f"{shown[:400]}…"
