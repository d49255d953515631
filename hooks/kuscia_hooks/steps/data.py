"""`data`: uploads a lite's tables, and declares data source, tables and grants through that lite's own
KusciaAPI.
"""

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.cluster.ledger import Ledger, digest
from kuscia_hooks.core.config import Data, Oss, Table
from kuscia_hooks.core.errors import HookError, NeedsHuman, merged
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.plan import Action, Plan, Summary
from kuscia_hooks.core.waiting import Deadline
from kuscia_hooks.kuscia.api import Exists, KusciaAPI, Missing, Refused
from kuscia_hooks.kuscia.session import open_api
from kuscia_hooks.tables import columns
from kuscia_hooks.tables.download import Login, login
from kuscia_hooks.tables.s3 import Location, Store
from kuscia_hooks.tables.source import Content, content_of

VENDOR = "manual"
# What a node says of a data source that was encrypted for a key that it no longer has (Kuscia facts 12.3).
UNREADABLE = "decrypt data source info failed"
_ID_LENGTH = 63
# Survives a restart of the container, not of the pod.
DOWNLOADS = Path(tempfile.gettempdir()) / "kuscia-hooks-downloads"


def grant_id(table: str, domain: str) -> str:
    """The same id for the same grant, so that granting twice is granting once (Kuscia facts 0.15)."""
    name = f"{table}-{domain}"
    if len(name) <= _ID_LENGTH:
        return name
    suffix = digest(name)
    return f"{name[: _ID_LENGTH - len(suffix) - 1].rstrip('-.')}-{suffix}"


def wanted_source(config: Data, keys: tuple[str, str]) -> dict[str, Any]:
    """The body of `domaindatasource/create`.

    Args:
        keys: access key id and secret of an OSS source.
    """
    source = config.source
    info: dict[str, Any]
    if isinstance(source, Oss):
        info = {
            "oss": {
                "endpoint": source.endpoint,
                "bucket": source.bucket,
                "prefix": source.prefix.strip("/"),
                "access_key_id": keys[0],
                "access_key_secret": keys[1],
                "virtualhost": source.virtualhost,
                "version": source.version,
                "storage_type": source.storage_type,
            }
        }
    else:
        info = {"localfs": {"path": source.path}}
    return {
        "domain_id": config.domain_id,
        "datasource_id": source.id,
        "type": source.type,
        "name": source.id,
        "info": info,
        "access_directly": source.access_directly,
    }


def normal_source(data: Mapping[str, Any]) -> dict[str, Any]:
    """A data source's content in one form, from a request or from an answer."""
    info = data.get("info") or {}
    oss = dict(info.get("oss") or {})
    if oss:
        oss["prefix"] = str(oss.get("prefix") or "").strip("/")
        oss = {key: value for key, value in oss.items() if value not in (None, "", False)}
    path = str((info.get("localfs") or {}).get("path") or "").rstrip("/")
    return {
        "type": data.get("type"),
        "oss": oss,
        "path": path,
        "access_directly": bool(data.get("access_directly")),
    }


def wanted_table(config: Data, table: Table) -> dict[str, Any]:
    """The body of `domaindata/create`."""
    return {
        "domain_id": config.domain_id,
        "domaindata_id": table.id,
        "name": table.name,
        "type": table.type,
        "relative_uri": table.relative_uri.lstrip("/"),
        "datasource_id": config.source.id,
        "attributes": table.attributes,
        "columns": [{"name": c.name, "type": c.type, "comment": c.comment} for c in table.columns],
        "vendor": VENDOR,
    }


def same_table(wanted: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    """Whether a table is declared as wanted.

    What is empty in `wanted` is not compared: Kuscia keeps the old value.
    """
    for key in ("name", "type", "relative_uri", "datasource_id", "attributes"):
        if wanted[key] and wanted[key] != present.get(key):
            return False
    columns = [(c["name"], c["type"], c.get("comment") or "") for c in present.get("columns") or []]
    return not wanted["columns"] or columns == [(c["name"], c["type"], c["comment"]) for c in wanted["columns"]]


def wanted_grant(config: Data, table: str, domain: str) -> dict[str, Any]:
    """The body of `domaindatagrant/create`."""
    return {
        "domain_id": config.domain_id,
        "domaindata_id": table,
        "grant_domain": domain,
        "domaindatagrant_id": grant_id(table, domain),
    }


def same_grant(wanted: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    """Whether a grant gives what is wanted."""
    data = present.get("data") or {}
    return all(data.get(key) == wanted[key] for key in ("domaindata_id", "grant_domain"))


def plan(
    wanted: Mapping[str, list[dict[str, Any]]],
    present: Mapping[str, Mapping[str, Mapping[str, Any] | None]],
    revoked: Collection[str] = (),
    undeclared: Collection[str] = (),
) -> Plan:
    """What data source, tables and grants need.

    Args:
        wanted: request bodies under `source`, `tables` and `grants`.
        present: what was read, by the same kinds and by id; None where it does not exist.
        revoked: grants that this release made earlier and that left the values.
        undeclared: tables, likewise, that shall be taken away.
    """
    kinds = (
        ("source", "DomainDataSource", "datasource_id", lambda w, p: normal_source(w) == normal_source(p)),
        ("tables", "DomainData", "domaindata_id", same_table),
        ("grants", "DomainDataGrant", "domaindatagrant_id", same_grant),
    )
    actions = [Action("delete", "DomainDataGrant", grant, "left the values") for grant in revoked]
    actions += [Action("delete", "DomainData", table, "left the values") for table in undeclared]
    changes, total = 0, 0
    for kind, title, id_key, same in kinds:
        for body in wanted[kind]:
            total += 1
            name = str(body[id_key])
            found = present[kind][name]
            if found is None or not same(body, found):
                changes += 1
                verb = "create" if found is None else "update"
                actions.append(Action(verb, title, name, payload=body))  # type: ignore[arg-type]
    return Plan(tuple(actions), unchanged=total - changes)


_DELETE = {
    "DomainDataGrant": ("domaindatagrant/delete", "domaindatagrant_id"),
    "DomainData": ("domaindata/delete", "domaindata_id"),
}


class _Declarer:
    def __init__(self, config: Data, api: KusciaAPI, ledgers: Mapping[str, Ledger]) -> None:
        self._config, self._api, self._ledgers = config, api, ledgers

    def present(self, wanted: Mapping[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
        domain = self._config.domain_id
        return {
            "source": {
                body["datasource_id"]: self._source({"domain_id": domain, "datasource_id": body["datasource_id"]})
                for body in wanted["source"]
            },
            "tables": {
                body["domaindata_id"]: self._api.find(
                    "domaindata/query",
                    {"data": {"domain_id": domain, "domaindata_id": body["domaindata_id"]}},
                )
                for body in wanted["tables"]
            },
            "grants": {
                body["domaindatagrant_id"]: self._api.find(
                    "domaindatagrant/query",
                    {"domain_id": domain, "domaindatagrant_id": body["domaindatagrant_id"]},
                )
                for body in wanted["grants"]
            },
        }

    def _source(self, body: dict[str, str]) -> Any | None:
        try:
            return self._api.find("domaindatasource/query", body)
        except Refused as error:
            if UNREADABLE not in error.text:
                raise
            logger.info("data source %s is encrypted for another key of the domain", body["datasource_id"])
            return {}

    def apply(self, action: Action) -> None:
        if action.verb == "delete":
            path, id_key = _DELETE[action.kind]
            try:
                self._api.call(path, {"domain_id": self._config.domain_id, id_key: action.name})
            except Missing:
                logger.info("%s is gone already", action.name)
            self._ledgers[action.kind].entries.pop(action.name, None)
        elif action.kind == "DomainData":
            # Creating what exists updates it (Kuscia facts 0.15).
            self._api.call("domaindata/create", action.payload)
        else:
            path = "domaindatasource" if action.kind == "DomainDataSource" else "domaindatagrant"
            try:
                self._api.call(f"{path}/{action.verb}", action.payload)
            except Exists:
                self._api.call(f"{path}/update", action.payload)


def _keys(config: Data, kube: Kube) -> tuple[str, str]:
    if not isinstance(config.source, Oss):
        return "", ""
    secret = config.source.credentials_secret
    names = secret.access_key_id_key, secret.access_key_secret_key
    # An access key's id is no secret, and is often a word that the log needs.
    identity, key = (kube.secret_text(config.namespace, secret.name, name, public=names[:1]).strip() for name in names)
    return identity, key


class _Bringer:
    """Puts the tables where the data source says, and finds out their columns."""

    def __init__(self, config: Data, kube: Kube, store: Store | None, summary: Summary) -> None:
        self._config, self._kube, self._store, self._summary = config, kube, store, summary

    def _login(self, secret: str) -> Login:
        return login(self._kube, self._config.namespace, secret)

    def bring(self, table: Table) -> Table:
        """The table with the columns to declare, once its content is in place."""
        store = self._store
        if store is not None and table.sha256 and store.holds(table.relative_uri, table.sha256):
            # Nothing has to be fetched to know that.
            return self._there(table, store)
        if store is None and not table.column_types:
            # Files of a local data source are the lite's business.
            return table
        found = content_of(table, DOWNLOADS, self._login)
        if found is None:
            return self._there(table, store) if store is not None else self._local(table)
        try:
            resolved = self._resolve(table, found)
            if store is not None:
                self._upload(table, store, found)
        except NeedsHuman:
            # Not after NotYet: what was fetched is still good when the store comes back.
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
            logger.info("%s is there with the same content", name)
            self._summary.unchanged += 1

    def _there(self, table: Table, store: Store) -> Table:
        name = store.location.object_name(table.relative_uri)
        size = store.size(table.relative_uri)
        if size is None:
            raise NeedsHuman(
                f"table {table.id}: bucket {store.location.bucket} has no object {name}. Upload it, or say where it "
                "comes from, for example url: https://example.com/alice.csv"
            )
        names = store.header(table.relative_uri) if columns.has_header(table) else []
        logger.info("%s/%s is there (%d bytes)", store.location.bucket, name, size)
        self._summary.unchanged += 1
        return _with_columns(table, names)

    def _local(self, table: Table) -> Table:
        raise NeedsHuman(
            f"table {table.id}: columnTypes needs the header, and a file that lies in the lite already cannot be read "
            "from here; list its columns, for example columns: [{name: id1, type: str}]"
        )


def _with_columns(table: Table, names: list[str]) -> Table:
    if not names:
        return table
    return table.model_copy(update={"columns": columns.resolved(table, names), "column_types": {}})


def _store(config: Data, keys: tuple[str, str]) -> Store | None:
    """The bucket, once it is there; None for a local data source."""
    source = config.source
    if not isinstance(source, Oss):
        return None
    location = Location(
        source.endpoint,
        source.bucket,
        source.prefix,
        *keys,
        virtualhost=source.virtualhost,
        credentials=f"Secret {config.namespace}/{source.credentials_secret.name}",
    )
    store = Store(location)
    if store.ensure_bucket(source.create_bucket):
        logger.info("made bucket %s", source.bucket)
    store.abort_uploads([table.relative_uri for table in config.tables])
    return store


def _bring(config: Data, kube: Kube, keys: tuple[str, str], summary: Summary) -> tuple[list[Table], list[HookError]]:
    """The tables whose content is in place, and what was wrong with the others."""
    bringer = _Bringer(config, kube, _store(config, keys), summary)
    ready: list[Table] = []
    errors: list[HookError] = []
    for table in config.tables:
        try:
            ready.append(bringer.bring(table))
        except HookError as error:
            errors.append(error)
    return ready, errors


def attempt(config: Data, kube: Kube, deadline: Deadline, summary: Summary, dry_run: bool = False) -> Summary:
    """Bring the lite's data to what the values say.

    Args:
        summary: counts of earlier attempts; it is added to.

    Raises:
        NotYet, NeedsHuman: for all that failed, after the rest is done.
    """
    summary.unchanged = summary.failed = 0
    ledgers = {
        kind: Ledger(kube, config.namespace, config.ledger, config.labels, key)
        for kind, key in (("DomainData", "tables"), ("DomainDataGrant", "grants"))
    }
    for ledger in ledgers.values():
        ledger.load()
    with open_api(kube, config.namespace, config.key_secret, config.api, config.domain_id, deadline) as api:
        keys = _keys(config, kube)
        tables, errors = (list(config.tables), []) if dry_run else _bring(config, kube, keys, summary)
        wanted = _wanted(config, keys, tables)
        declarer = _Declarer(config, api, ledgers)
        left = _left(config, ledgers)
        todo = plan(
            wanted,
            declarer.present(wanted),
            left["DomainDataGrant"],
            left["DomainData"] if config.prune else (),
        )
        if dry_run:
            logger.info("%s", todo)
            return summary
        # Noted before it is made: what is not in the ledger could never be taken back.
        for kind, bodies, id_key in (
            ("DomainData", wanted["tables"], "domaindata_id"),
            ("DomainDataGrant", wanted["grants"], "domaindatagrant_id"),
        ):
            ledgers[kind].entries.update({body[id_key]: digest(body) for body in bodies})
            ledgers[kind].save()
        errors += _apply(declarer, todo, summary)
    for ledger in ledgers.values():
        ledger.save()
    if left["DomainData"] and not config.prune:
        logger.warning(
            "declared earlier, and no longer in the values: %s. They stay as they are; lite.data.prune: true takes "
            "them away (their objects stay)",
            ", ".join(left["DomainData"]),
        )
    summary.unchanged += todo.unchanged
    summary.failed = len(errors)
    if errors:
        raise merged(errors)
    return summary


def _wanted(config: Data, keys: tuple[str, str], tables: list[Table]) -> dict[str, list[dict[str, Any]]]:
    """Request bodies; a table that is not in place is not declared nor granted."""
    ids = {table.id for table in tables}
    return {
        "source": [wanted_source(config, keys)],
        "tables": [wanted_table(config, table) for table in tables],
        "grants": [wanted_grant(config, grant.table, grant.domain) for grant in config.grants if grant.table in ids],
    }


def _left(config: Data, ledgers: Mapping[str, Ledger]) -> dict[str, list[str]]:
    """What this release made and its values no longer have, by kind."""
    stays = {
        "DomainData": {table.id for table in config.tables},
        "DomainDataGrant": {grant_id(grant.table, grant.domain) for grant in config.grants},
    }
    return {kind: sorted(set(ledger.entries) - stays[kind]) for kind, ledger in ledgers.items()}


def _apply(declarer: _Declarer, todo: Plan, summary: Summary) -> list[HookError]:
    errors: list[HookError] = []
    for action in todo.actions:
        try:
            declarer.apply(action)
        except HookError as error:
            errors.append(error)
        else:
            logger.info("%s", action)
            summary.count([action])
    return errors
