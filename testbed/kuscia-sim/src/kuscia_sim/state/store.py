"""The state of a master: objects of Kuscia's CRDs, stored as by its embedded API server.

Objects are plain dicts: metadata{name, namespace, uid, resourceVersion, creationTimestamp, labels, annotations,
generation, ownerReferences}, spec, status. `kind` is the lower-case plural ("domains", "clusterdomainroutes", ...),
`namespace` is "" for cluster-scoped kinds.

Like the API server, a store rejects a namespaced object if its namespace (a `namespaces` object) does not exist,
increments `generation` when `spec` changes, and removes what a deleted object owned (`metadata.ownerReferences[].uid`).
"""

import asyncio
import datetime
import hashlib
import json
import re
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import sqlalchemy as sa

from kuscia_sim.state.datastore import SHARED_DATASTORE, create_engine, kine

Object = dict[str, Any]
Key = tuple[str, str, str]

CLUSTER_SCOPED = frozenset({"domains", "clusterdomainroutes", "appimages", "namespaces", "nodes"})
CORE_KINDS = frozenset({"namespaces", "nodes", "configmaps", "endpoints"})
# K3s' keys, encrypted with its token, in a row named after the token (K3s' pkg/cluster/encrypt.go).
BOOTSTRAP = re.compile(r"/bootstrap/[0-9a-f]{12}")
COMPACT_AFTER = 500
RETRY_TIMEOUT = 20.0
RETRY_PAUSE = 0.5
REGISTRY = "/registry/"


class StoreError(Exception):
    """The store rejected a call; str() is the text of the API server."""

    reason = ""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotFound(StoreError):
    """The object, or its namespace, does not exist."""

    reason = "NotFound"


class AlreadyExists(StoreError):
    """An object with that name exists."""

    reason = "AlreadyExists"


class Conflict(StoreError):
    """The object's resourceVersion is outdated."""

    reason = "Conflict"


class Forbidden(StoreError):
    """The caller (a lite) has no access."""

    reason = "Forbidden"


class Invalid(StoreError):
    """The object breaks a rule of its CRD."""

    reason = "Invalid"


class Unavailable(StoreError):
    """The datastore did not answer; whether the write took effect is unknown."""

    reason = "ServiceUnavailable"


class SharedDatastore(Exception):
    """The datastore contains the state of another domain (Kuscia facts 12.6 #10)."""


ERRORS: dict[str, type[StoreError]] = {
    cls.reason: cls for cls in (NotFound, AlreadyExists, Conflict, Forbidden, Invalid, Unavailable)
}


def resource(kind: str) -> str:
    """Return the group-qualified resource name as the API server prints it, such as `domains.kuscia.secretflow`."""
    return kind if kind in CORE_KINDS else f"{kind}.kuscia.secretflow"


def not_found(kind: str, name: str) -> NotFound:
    return NotFound(f'{resource(kind)} "{name}" not found')


def now_rfc3339() -> str:
    """Return the current UTC time in whole seconds, as Kubernetes prints times."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def owner_reference(kind_name: str, owner: Object, api_version: str = "kuscia.secretflow/v1alpha1") -> Object:
    """Return an ownerReferences entry: the object is deleted with `owner`."""
    metadata = owner["metadata"]
    return {"apiVersion": api_version, "kind": kind_name, "name": metadata["name"], "uid": metadata["uid"]}


class Store(Protocol):
    """The state as API handlers and controllers use it: LocalStore on a master, RemoteStore on a lite."""

    async def get(self, kind: str, namespace: str, name: str) -> Object:
        """Return a copy of one object.

        Raises:
            NotFound: it does not exist.
        """
        ...

    async def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        """Return copies of all objects of a kind, sorted by namespace and name; of all namespaces if None."""
        ...

    async def create(self, kind: str, namespace: str, name: str, obj: Object) -> Object:
        """Store `obj` with completed metadata and return what was stored.

        Raises:
            AlreadyExists: an object with that name exists.
            NotFound: the namespace does not exist.
        """
        ...

    async def update(self, kind: str, namespace: str, name: str, obj: Object) -> Object:
        """Replace the whole object.

        Raises:
            NotFound: it does not exist.
            Conflict: the resourceVersion of `obj` is outdated.
        """
        ...

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        """Remove the object and what it owns.

        Raises:
            NotFound: it does not exist.
        """
        ...

    async def wait_change(self, since: int, timeout: float) -> int:
        """Return the newest revision as soon as it is greater than `since`, or after `timeout` seconds."""
        ...


def _copy(value: Object) -> Object:
    """Copy JSON data deeply; much faster than copy.deepcopy."""
    return {key: _copy_item(item) for key, item in value.items()}


def _copy_item(value: Any) -> Any:
    if isinstance(value, dict):
        return _copy(value)
    if isinstance(value, list):
        return [_copy_item(item) for item in value]
    return value


def _row_name(key: Key) -> str:
    kind, namespace, name = key
    parts = [] if kind in CORE_KINDS else ["kuscia.secretflow"]
    parts += [kind, namespace, name] if namespace else [kind, name]
    return REGISTRY + "/".join(parts)


def _row_key(row_name: str) -> Key:
    parts = row_name.removeprefix(REGISTRY).removeprefix("kuscia.secretflow/").split("/")
    return (parts[0], "", parts[1]) if len(parts) == 2 else (parts[0], parts[1], parts[2])


class LocalStore:
    """A Store on a `kine` table in sqlite, MySQL or PostgreSQL.

    Every write is one row, committed before it is acknowledged; reads are served from memory. Replaced rows are removed
    from time to time, as kine compacts.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kine")
        self._write = asyncio.Lock()
        self._changed = asyncio.Condition()
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}
        self._created_at: dict[Key, int] = {}
        self._last_row: dict[Key, int] = {}
        self._superseded: list[int] = []
        self._owned: dict[str, set[Key]] = {}
        self._revision = 0

    @classmethod
    async def open(cls, url: sa.URL, token: str) -> "LocalStore":
        """Create the table if it does not exist, and load the state.

        Raises:
            SharedDatastore: it was created with another token (Config.k3s_token).
            sqlalchemy.exc.SQLAlchemyError: the datastore failed.
        """
        store = cls(create_engine(url))
        try:
            await store._in_thread(store._load, token)
        except BaseException:
            await store.close()
            raise
        return store

    async def close(self) -> None:
        self._thread.shutdown(wait=True)
        self._engine.dispose()

    async def get(self, kind: str, namespace: str, name: str) -> Object:
        try:
            return _copy(self._objects[kind][namespace, name])
        except KeyError:
            raise not_found(kind, name) from None

    async def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        items = self._objects.get(kind, {})
        return [_copy(items[key]) for key in sorted(items) if namespace is None or key[0] == namespace]

    async def create(self, kind: str, namespace: str, name: str, obj: Object) -> Object:
        async with self._write:
            if kind not in CLUSTER_SCOPED and ("", namespace) not in self._objects.get("namespaces", {}):
                raise not_found("namespaces", namespace)
            if (namespace, name) in self._objects.get(kind, {}):
                raise AlreadyExists(f'{resource(kind)} "{name}" already exists')
            stored = _copy(obj)
            metadata = {**stored.get("metadata", {}), "name": name, "namespace": namespace, "generation": 1}
            metadata["uid"] = str(uuid.uuid4())
            metadata["creationTimestamp"] = now_rfc3339()
            stored["metadata"] = metadata
            await self._put((kind, namespace, name), stored, created=True)
        await self._notify()
        return _copy(stored)

    async def update(self, kind: str, namespace: str, name: str, obj: Object) -> Object:
        async with self._write:
            old = await self.get(kind, namespace, name)
            stored = _copy(obj)
            metadata = {**old["metadata"], **stored.get("metadata", {})}
            if metadata["resourceVersion"] != old["metadata"]["resourceVersion"]:
                raise Conflict(
                    f'Operation cannot be fulfilled on {resource(kind)} "{name}": '
                    "the object has been modified; please apply your changes to the latest version "
                    "and try again"
                )
            for fixed in ("uid", "creationTimestamp", "name", "namespace", "generation"):
                metadata[fixed] = old["metadata"][fixed]
            if stored.get("spec") != old.get("spec"):
                metadata["generation"] += 1
            stored["metadata"] = metadata
            if stored == old:
                return old
            await self._put((kind, namespace, name), stored, created=False)
        await self._notify()
        return _copy(stored)

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        async with self._write:
            await self.get(kind, namespace, name)
            doomed = [(kind, namespace, name)]
            while doomed:
                key = doomed.pop()
                uid = await self._remove(key)
                doomed += [owned for owned in self._owned.pop(uid, set()) if self._exists(owned)]
        await self._notify()

    async def wait_change(self, since: int, timeout: float) -> int:
        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(lambda: self._revision > since)
        except TimeoutError:
            pass
        return self._revision

    def _exists(self, key: Key) -> bool:
        kind, namespace, name = key
        return (namespace, name) in self._objects.get(kind, {})

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _in_thread(self, function: Any, *args: Any) -> Any:
        """Run to the end even if the caller is cancelled, so that memory and table cannot differ."""
        work = asyncio.get_running_loop().run_in_executor(self._thread, function, *args)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work])
            raise

    async def _put(self, key: Key, stored: Object, created: bool) -> None:
        stored["metadata"].pop("resourceVersion", None)
        value = json.dumps(stored, separators=(",", ":"), ensure_ascii=False).encode()
        row = {
            "name": _row_name(key),
            "created": int(created),
            "deleted": 0,
            "create_revision": 0 if created else self._created_at[key],
            "prev_revision": self._last_row.get(key, 0),
            "lease": 0,
            "value": value,
        }
        await self._write_row(key, row, stored)

    async def _remove(self, key: Key) -> str:
        kind, namespace, name = key
        uid: str = self._objects[kind][namespace, name]["metadata"]["uid"]
        row = {
            "name": _row_name(key),
            "created": 0,
            "deleted": 1,
            "create_revision": self._created_at[key],
            "prev_revision": self._last_row[key],
            "lease": 0,
            "value": None,
        }
        await self._write_row(key, row, None)
        return uid

    async def _write_row(self, key: Key, row: Object, stored: Object | None) -> None:
        """Commit the row, then update memory; both or neither, also under cancellation."""

        async def commit() -> None:
            revision = await self._in_thread(self._insert, row)
            self._apply(key, revision, row["create_revision"] or revision, stored)
            if len(self._superseded) >= COMPACT_AFTER:
                doomed, self._superseded = self._superseded, []
                await self._in_thread(self._compact, doomed)

        task = asyncio.create_task(commit())
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise

    def _apply(self, key: Key, revision: int, create_revision: int, stored: Object | None) -> None:
        kind, namespace, name = key
        if key in self._last_row:
            self._superseded.append(self._last_row[key])
        self._last_row[key] = self._revision = revision
        items = self._objects.setdefault(kind, {})
        if stored is None:
            items.pop((namespace, name), None)
            self._created_at.pop(key, None)
            return
        stored["metadata"]["resourceVersion"] = str(revision)
        items[namespace, name] = _copy(stored)
        self._created_at[key] = create_revision
        for owner in stored["metadata"].get("ownerReferences", []):
            self._owned.setdefault(owner["uid"], set()).add(key)

    def _insert(self, row: Object) -> int:
        """Insert the row and return its revision. Retry while the datastore is unavailable, as the API server does."""
        deadline = time.monotonic() + RETRY_TIMEOUT
        while True:
            try:
                with self._engine.begin() as connection:
                    inserted = connection.execute(sa.insert(kine).values(row))
                    assert inserted.inserted_primary_key is not None
                    return int(inserted.inserted_primary_key[0])
            except sa.exc.IntegrityError as err:
                return self._revision_of(row, err)
            except sa.exc.OperationalError as err:
                if time.monotonic() > deadline:
                    raise Unavailable(f"etcdserver: request timed out: {err.orig}") from err
                time.sleep(RETRY_PAUSE)

    def _revision_of(self, row: Object, err: sa.exc.IntegrityError) -> int:
        """Return the revision of an existing row: ours if the answer was lost, otherwise another writer's."""
        same = (kine.c.name == row["name"]) & (kine.c.prev_revision == row["prev_revision"])
        with self._engine.begin() as connection:
            found = connection.execute(sa.select(kine.c.id, kine.c.value).where(same)).one()
        written = None if found.value is None else bytes(found.value)
        if written != row["value"]:
            raise Conflict(f"{row['name']}: another instance of this domain writes to the same datastore") from err
        return int(found.id)

    def _compact(self, ids: Sequence[int]) -> None:
        with self._engine.begin() as connection:
            connection.execute(sa.delete(kine).where(kine.c.id.in_(ids)))

    def _load(self, token: str) -> None:
        kine.metadata.create_all(self._engine)
        own = f"/bootstrap/{hashlib.sha256(token.encode()).hexdigest()[:12]}"
        with self._engine.begin() as connection:
            rows = connection.execute(sa.select(kine).order_by(kine.c.id)).mappings().all()
            bootstrap = {row["name"] for row in rows if BOOTSTRAP.fullmatch(row["name"])}
            if not bootstrap:
                connection.execute(
                    sa.insert(kine).values(
                        name=own, created=1, deleted=0, create_revision=0, prev_revision=0, lease=0,
                        value=b"encrypted",
                    )
                )  # fmt: skip
            elif own not in bootstrap:
                raise SharedDatastore(SHARED_DATASTORE)
        for row in rows:
            if not row["name"].startswith(REGISTRY):
                continue
            stored = None if row["deleted"] else json.loads(bytes(row["value"]))
            self._apply(_row_key(row["name"]), row["id"], row["create_revision"] or row["id"], stored)
