"""Placement of tables: store each where its data source expects it, and find the columns to declare."""

import tempfile
from pathlib import Path

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Data, Oss, Table
from kuscia_hooks.core.errors import PermanentError, StepError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.plan import Summary
from kuscia_hooks.tables import columns
from kuscia_hooks.tables.download import Login, login
from kuscia_hooks.tables.s3 import Location, Store
from kuscia_hooks.tables.source import Content, content_of

# Survives a restart of the container, but not of the pod.
DOWNLOADS = Path(tempfile.gettempdir()) / "kuscia-hooks-downloads"


class _Placement:
    """Stores tables in the data source and finds their columns."""

    def __init__(self, config: Data, kube: Kube, store: Store | None, summary: Summary) -> None:
        self._config, self._kube, self._store, self._summary = config, kube, store, summary

    def _login(self, secret: str) -> Login:
        return login(self._kube, self._config.namespace, secret)

    def place(self, table: Table) -> Table:
        """Store the content of a table. Return the table with the columns to declare."""
        store = self._store
        if store is not None and table.sha256 and store.holds(table.relative_uri, table.sha256):
            # The checksum is known without a download.
            return self._existing(table, store)
        if store is None and not table.column_types:
            # The lite has the files of a local data source.
            return table
        found = content_of(table, DOWNLOADS, self._login)
        if found is None:
            return self._existing(table, store) if store is not None else self._local(table)
        try:
            resolved = self._resolve(table, found)
            if store is not None:
                self._upload(table, store, found)
        except PermanentError:
            # After a RetryableError the download is kept for the next attempt.
            found.discard()
            raise
        found.discard()
        return resolved

    def _resolve(self, table: Table, found: Content) -> Table:
        if not columns.has_header(table):
            return table
        with found.open() as stream:
            names = columns.header(stream, f"the file of table {table.id}")
        return _with_columns(table, names)

    def _upload(self, table: Table, store: Store, found: Content) -> None:
        name = f"{store.location.bucket}/{store.location.object_name(table.relative_uri)}"
        if store.upload(table.relative_uri, found):
            logger.info("uploaded %s (%d bytes)", name, found.size)
            self._summary.created += 1
        else:
            logger.info("%s exists with the same content", name)
            self._summary.unchanged += 1

    def _existing(self, table: Table, store: Store) -> Table:
        name = store.location.object_name(table.relative_uri)
        size = store.size(table.relative_uri)
        if size is None:
            raise PermanentError(
                "table-object-not-found",
                f"table {table.id}: object {name} not found in bucket {store.location.bucket}",
                fix="upload the object, or set the source of the table, for example url: https://example.com/alice.csv",
            )
        names = store.header(table.relative_uri) if columns.has_header(table) else []
        logger.info("%s/%s exists (%d bytes)", store.location.bucket, name, size)
        self._summary.unchanged += 1
        return _with_columns(table, names)

    def _local(self, table: Table) -> Table:
        raise PermanentError(
            "table-column-types-unsupported",
            f"table {table.id}: columnTypes requires the header, but this step cannot read files inside the lite",
            fix="list the columns instead, for example columns: [{name: id1, type: str}]",
        )


def _with_columns(table: Table, names: list[str]) -> Table:
    if not names:
        return table
    return table.model_copy(update={"columns": columns.resolved(table, names), "column_types": {}})


def _store(config: Data, keys: tuple[str, str]) -> Store | None:
    """Return the bucket, which exists then; None for a local data source."""
    source = config.source
    if not isinstance(source, Oss):
        return None
    location = Location(
        source.endpoint,
        source.bucket,
        source.prefix,
        *keys,
        virtualhost=source.virtualhost,
        version=source.version,
        credentials=f"Secret {config.namespace}/{source.credentials_secret.name}",
    )
    store = Store(location)
    if store.ensure_bucket(source.create_bucket):
        logger.info("created bucket %s", source.bucket)
    store.abort_uploads([table.relative_uri for table in config.tables])
    return store


def place_tables(
    config: Data, kube: Kube, keys: tuple[str, str], summary: Summary
) -> tuple[list[Table], list[StepError]]:
    """Store all tables. Return the stored tables, and the errors of the others."""
    placement = _Placement(config, kube, _store(config, keys), summary)
    ready: list[Table] = []
    errors: list[StepError] = []
    for table in config.tables:
        try:
            ready.append(placement.place(table))
        except StepError as error:
            errors.append(error)
    return ready, errors
