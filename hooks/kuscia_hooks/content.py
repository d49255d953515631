"""Where the bytes of a table come from."""

from pathlib import Path

from kuscia_hooks import examples
from kuscia_hooks.config import Table
from kuscia_hooks.errors import ConfigError
from kuscia_hooks.s3 import Content


def content_of(table: Table) -> Content | None:
    """A table's bytes; None when they are in the data source already, or come there by hand.

    Raises:
        ConfigError: the file is not there.
    """
    if table.example:
        return Content(examples.table(table.example))
    if table.file:
        path = Path(table.file)
        if not path.is_file():
            raise ConfigError(f"tables[id={table.id}].file: {path} is not there")
        return Content(path)
    return None
