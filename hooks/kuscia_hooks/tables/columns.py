"""Columns of a table, as declared and in the header of its CSV file."""

from kuscia_hooks.core.config.data import Column, Table
from kuscia_hooks.core.errors import PermanentError
from kuscia_hooks.core.text import printable
from kuscia_hooks.tables.csv_file import is_csv

OTHERS = "*"


def has_header(table: Table) -> bool:
    """Return whether the file of the table is a CSV file, which begins with the names of its columns."""
    return table.type == "table" and is_csv(table.relative_uri)


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
