"""Placement of tables: store each where its data source expects it, and find the columns to declare."""

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config.data import Data, Oss, Table
from kuscia_hooks.core.errors import PermanentError, StepError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.plan import Action, Summary
from kuscia_hooks.tables import columns, csv_file
from kuscia_hooks.tables.download import Login, login
from kuscia_hooks.tables.s3 import Location, Store
from kuscia_hooks.tables.source import Content, content_of

# Survives a restart of the container, but not of the pod.
DOWNLOADS = Path(tempfile.gettempdir()) / "kuscia-hooks-downloads"
# Requests for objects that are in the bucket already. Transfers are made one at a time: each may fill the pod's disk.
_LOOKS = 8


@dataclass
class Placed:
    """The result of a placement.

    Args:
        tables: the tables whose content is in place, with the columns to declare, in the order of the values.
        errors: of the other tables.
        uploads: objects that were created or changed, or would be in a dry run.
    """

    tables: list[Table] = field(default_factory=list)
    errors: list[StepError] = field(default_factory=list)
    uploads: list[Action] = field(default_factory=list)


class _Placement:
    """Stores tables in the data source and finds their columns.

    Args:
        store: the bucket; None for a local data source.
        exists: whether the bucket exists; it does not in a dry run that would create it.
        is_foreign: returns whether a table of this name exists that the release must not change.
        dry_run: transfer nothing to the bucket.
    """

    def __init__(
        self,
        config: Data,
        kube: Kube,
        store: Store | None,
        exists: bool,
        is_foreign: Callable[[Table], bool],
        dry_run: bool,
    ) -> None:
        self._config, self._kube, self._store = config, kube, store
        self._exists, self._is_foreign, self._dry_run = exists, is_foreign, dry_run
        self.uploads: list[Action] = []
        self.unchanged: list[str] = []

    def _login(self, secret: str) -> Login:
        return login(self._kube, self._config.namespace, secret)

    def without_transfer(self, table: Table) -> Table | None:
        """Return a table whose content is known to be in place; None if its source has to be read."""
        store = self._store
        if store is None:
            # The lite has the files of a local data source.
            return None if table.column_types else table
        if not self._exists:
            return None
        has_source = table.example or table.file or table.url
        if has_source and not (table.sha256 and store.holds(table.relative_uri, table.sha256)):
            return None
        return self._existing(table, store)

    def place(self, table: Table) -> Table:
        """Store the content of a table. Return the table with the columns to declare."""
        store = self._store
        found = content_of(table, DOWNLOADS, self._login)
        if found is None:
            raise self._local(table) if store is None else self._not_found(table, store)
        try:
            resolved = self._resolve(table, found)
            if store is not None and not self._is_foreign(resolved):
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
            names = csv_file.header(csv_file.blocks(stream), f"the file of table {table.id}")
        return _with_columns(table, names)

    def _upload(self, table: Table, store: Store, found: Content) -> None:
        name = _shown(table, store)
        verb = store.change(table.relative_uri, found) if self._exists else "create"
        if verb is None:
            logger.info("%s exists with the same content", name)
            self.unchanged.append(name)
            return
        if verb == "update" and not self._config.adopt and not store.uploaded(table.relative_uri):
            raise PermanentError(
                "object-not-uploaded",
                f"table {table.id}: {name} exists with different content, and was not uploaded by this chart",
                fix="remove the source of the table from the values to use the object as it is, or replace it: helm "
                "upgrade … --set lite.data.adopt=true",
            )
        if not self._dry_run:
            store.upload(table.relative_uri, found)
            logger.info("uploaded %s (%d bytes)", name, found.size)
        self.uploads.append(Action(verb, "object", name, f"{found.size} bytes"))

    def _existing(self, table: Table, store: Store) -> Table:
        found = store.begin(table.relative_uri)
        if found is None:
            raise self._not_found(table, store)
        size, begin = found
        name = _shown(table, store)
        names = csv_file.header([begin], name) if columns.has_header(table) else []
        logger.info("%s exists (%d bytes)", name, size)
        self.unchanged.append(name)
        return _with_columns(table, names)

    def _not_found(self, table: Table, store: Store) -> StepError:
        name = store.location.object_name(table.relative_uri)
        return PermanentError(
            "table-object-not-found",
            f"table {table.id}: object {name} not found in bucket {store.location.bucket}",
            fix="upload the object, or set the source of the table, for example url: https://example.com/alice.csv",
        )

    def _local(self, table: Table) -> StepError:
        return PermanentError(
            "table-column-types-unsupported",
            f"table {table.id}: columnTypes requires the header, but this step cannot read files inside the lite",
            fix="list the columns instead, for example columns: [{name: id1, type: str}]",
        )


def _shown(table: Table, store: Store) -> str:
    return f"{store.location.bucket}/{store.location.object_name(table.relative_uri)}"


def _with_columns(table: Table, names: list[str]) -> Table:
    if not names:
        return table
    return table.model_copy(update={"columns": columns.resolved(table, names), "column_types": {}})


def _store(config: Data, keys: tuple[str, str]) -> Store | None:
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
    return Store(location)


def place_tables(
    config: Data,
    kube: Kube,
    keys: tuple[str, str],
    summary: Summary,
    *,
    is_foreign: Callable[[Table], bool],
    dry_run: bool = False,
) -> Placed:
    """Store all tables.

    Args:
        keys: access key ID and secret of the bucket.
        is_foreign: returns whether a table exists that the release must not change. Its content is not stored.
        dry_run: find out what to do and change nothing; content is read, from URLs too.

    Raises:
        RetryableError, PermanentError: the bucket cannot be used.
    """
    result, store, exists = Placed(), _store(config, keys), True
    if store is not None and isinstance(config.source, Oss):
        create = config.source.create_bucket
        if dry_run and create:
            exists = store.bucket_exists()
        if not exists or store.ensure_bucket(create):
            result.uploads.append(Action("create", "bucket", config.source.bucket))
        if not dry_run:
            for action in result.uploads:
                logger.info("%s", action)
            store.abort_uploads([table.relative_uri for table in config.tables])
    placement = _Placement(config, kube, store, exists, is_foreign, dry_run)
    ready: dict[str, Table] = {}
    failed: dict[str, StepError] = {}

    def look(table: Table) -> None:
        try:
            if (found := placement.without_transfer(table)) is not None:
                ready[table.id] = found
        except StepError as error:
            failed[table.id] = error

    with ThreadPoolExecutor(_LOOKS) as pool:
        for future in [pool.submit(copy_context().run, look, table) for table in config.tables]:
            future.result()
    for table in config.tables:
        if table.id in ready or table.id in failed:
            continue
        try:
            ready[table.id] = placement.place(table)
        except StepError as error:
            failed[table.id] = error
    result.uploads += placement.uploads
    result.tables = [ready[table.id] for table in config.tables if table.id in ready]
    result.errors = [failed[table.id] for table in config.tables if table.id in failed]
    summary.unchanged += len(placement.unchanged)
    if not dry_run:
        summary.count([action for action in placement.uploads if action.kind == "object"])
    return result
