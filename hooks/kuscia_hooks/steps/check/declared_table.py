"""Check of a declared table: whether its file exists and has the declared columns."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kuscia_hooks.core.config.check import Check
from kuscia_hooks.core.errors import PermanentError, RetryableError
from kuscia_hooks.core.progress import megabytes
from kuscia_hooks.core.redaction import hide
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.tables import csv_file
from kuscia_hooks.tables.s3 import Location, Store

# Counting rows reads the whole object; for larger objects only the header is read.
COUNTED_BYTES = 16_000_000


def data_source(api: KusciaAPI, domain: str, source_id: str) -> dict[str, Any]:
    """Return a data source with an `info`; its secret is masked in the log."""
    source = api.call("domaindatasource/query", {"domain_id": domain, "datasource_id": source_id})
    info = source.get("info") or {}
    if info.get("oss"):
        hide(info["oss"]["access_key_secret"])
    return {**source, "info": info}


class Stores:
    """The object stores of data sources, opened once each. Several threads may use it."""

    def __init__(self) -> None:
        self._opened: dict[Location, Store] = {}
        self._lock = threading.Lock()

    def open(self, oss: Mapping[str, Any], source_id: str) -> Store:
        """Return the store of a data source.

        Args:
            oss: the `info` of the data source.
        """
        location = Location.of_info(oss, f"data source {source_id}")
        with self._lock:
            if location not in self._opened:
                self._opened[location] = Store(location)
            return self._opened[location]


def readable(api: KusciaAPI, config: Check, stores: Stores, table: str) -> str:
    """Read a declared table, and return its length and number of columns, or where it is if it cannot be read here."""
    data = api.call("domaindata/query", {"data": {"domain_id": config.domain_id, "domaindata_id": table}})
    source = data_source(api, config.domain_id, data["datasource_id"])
    info = source["info"]
    if info.get("oss"):
        length, columns = _in_bucket(table, data, stores.open(info["oss"], data["datasource_id"]))
    elif _is_on(config.volume, info.get("localfs")):
        length, columns = _in_volume(table, Path(info["localfs"]["path"], data["relative_uri"]))
    else:
        kind = f"{data['datasource_id']} ({source['type']}, inside the lite)"
        return f"declared as {data['relative_uri']} of {kind}"
    if columns is None:
        return f"{length} at {data['relative_uri']}"
    declared = [column["name"] for column in data.get("columns") or []]
    missing = [name for name in declared if name not in columns]
    if missing:
        raise PermanentError(
            "table-columns-mismatch", f"{table} declares columns that are missing from its file: {', '.join(missing)}"
        )
    return f"{length}, {len(columns)} columns"


def _in_bucket(table: str, data: dict[str, Any], store: Store) -> tuple[str, list[str] | None]:
    """Return the length of a table, and its columns if it is a CSV file."""
    bucket, name = store.location.bucket, store.location.object_name(data["relative_uri"])
    found = store.begin(data["relative_uri"])
    if found is None:
        raise RetryableError(
            "table-content-missing", f"{table} is declared, but object {name} does not exist in bucket {bucket}"
        )
    size, begin = found
    if not csv_file.is_csv(name):
        return megabytes(size), None
    if csv_file.is_orc(begin):
        return f"{megabytes(size)} of ORC", None
    if size > COUNTED_BYTES:
        return megabytes(size), csv_file.header([begin], f"{bucket}/{name}")
    rows, columns = store.rows(data["relative_uri"])
    return f"{rows} rows", columns


def _is_on(volume: str | None, localfs: dict[str, Any] | None) -> bool:
    return volume is not None and localfs is not None and Path(localfs["path"]).is_relative_to(volume)


def _in_volume(table: str, path: Path) -> tuple[str, list[str] | None]:
    """Return the length of a table, and its columns if it is a CSV file."""
    try:
        size = path.stat().st_size
        if not csv_file.is_csv(path.name):
            return megabytes(size), None
        with path.open("rb") as file:
            if csv_file.is_orc(file.read(csv_file.HEADER_BYTES)):
                return f"{megabytes(size)} of ORC", None
            file.seek(0)
            if size > COUNTED_BYTES:
                return megabytes(size), csv_file.header(csv_file.blocks(file), str(path))
            rows, columns = csv_file.shape(csv_file.blocks(file), str(path))
    except FileNotFoundError as error:
        raise RetryableError(
            "table-content-missing", f"{table} is declared, but {path} does not exist on the volume of the lite"
        ) from error
    except OSError as error:
        raise PermanentError("table-unreadable", f"cannot read {path} of table {table}: {error.strerror}") from error
    return f"{rows} rows", columns
