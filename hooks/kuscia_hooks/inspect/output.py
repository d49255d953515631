"""Prints what `status` and `doctor` found: as tables for a person, or as JSON for a program."""

import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from kuscia_hooks.core.text import printable, shortened

_WIDEST = 120
"""Characters of a cell; JSON has all of it."""
_CONTROL = re.compile(r"[\x7f-\x9f]")
_STYLES = {"Ready": "green", "Running": "green", "True": "green", "Succeeded": "green"} | dict.fromkeys(
    ("NotReady", "Failed", "False", "CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "Error"), "red"
)


def as_json(found: Mapping[str, Any]) -> str:
    """Return a result as one line of JSON; control characters that JSON permits are escaped for terminals."""
    text = json.dumps(found, ensure_ascii=False)
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def as_table(title: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], left_out: int = 0) -> str:
    """Return a table: colored on a terminal, plain lines elsewhere.

    Args:
        columns: keys of the rows, in camelCase; the heads of the table are their words.
        left_out: number of further rows, which are counted only.
    """
    title = _words(title).lower()
    if not rows:
        return f"{title}: none"
    cells = [[_cell(row[column]) for column in columns] for row in rows]
    head = [_words(column) for column in columns]
    table = (_terminal_table if sys.stdout.isatty() else _plain_table)(title, head, cells)
    return f"{table}\n  and {left_out} more: --output json" if left_out else table


def _cell(value: object) -> str:
    return shortened("-" if value is None else printable(value) or "-", _WIDEST)


def _words(column: str) -> str:
    return "".join(f" {letter}" if letter.isupper() else letter for letter in column).upper()


def _plain_table(title: str, head: list[str], rows: list[list[str]]) -> str:
    from rich.cells import cell_len

    # A Chinese character takes two columns.
    widths = [max(cell_len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        for row in [head, *rows]
    ]
    return "\n".join([title, *(f"  {line}".rstrip() for line in lines)])


def _terminal_table(title: str, head: list[str], rows: list[list[str]]) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    for name in head:
        # A name or an address that is cut cannot be used in a command.
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    # The terminal gives its width; the text itself is printed by the log, which masks secrets.
    console = Console(file=io.StringIO(), force_terminal=True, width=Console().width)
    with console.capture() as printed:
        console.print(table)
    return printed.get().rstrip()
