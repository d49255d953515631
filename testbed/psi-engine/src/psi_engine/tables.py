"""Compare headers of CSV files with the columns of registered tables."""

import csv
from pathlib import Path

from psi_engine import EngineError
from psi_engine.datamesh import Table
from psi_engine.task import Input

DEFAULT_TYPE = "str"


def header(path: Path) -> list[str]:
    """Return the column names in the first line of a CSV file.

    Raises:
        EngineError: the file is empty.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        names = next(csv.reader(file), [])
    if not names:
        raise EngineError(f"{path.name} is empty: a CSV file with a header is needed")
    return names


def check(table: Table, wanted: Input, names: list[str]) -> None:
    """Check that a file contains all registered columns and keys.

    Raises:
        EngineError: lists all that is missing.
    """
    registered = [name for name, _ in table.columns]
    absent = [name for name in registered if name not in names]
    keys = [name for name in wanted.keys if name not in names]
    problems = []
    if absent:
        problems.append(f"columns that {table.id} is registered with: {', '.join(absent)}")
    if keys:
        problems.append(f"key columns of the task: {', '.join(keys)}")
    if problems:
        raise EngineError(f"{table.uri} has the columns {', '.join(names)}; missing: " + "; ".join(problems))


def result_columns(table: Table, names: list[str]) -> tuple[tuple[str, str], ...]:
    """Return (name, type) of the columns of the result, in the order of its header."""
    types = dict(table.columns)
    return tuple((name, types.get(name, DEFAULT_TYPE)) for name in names)
