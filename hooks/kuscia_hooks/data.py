"""`data`: uploads a lite's tables, and declares data source, tables and grants through that lite's own
KusciaAPI.
"""

from collections.abc import Mapping
from typing import Any

from kuscia_hooks.api import Exists, KusciaAPI, Missing, Refused
from kuscia_hooks.config import Data, Oss, Table
from kuscia_hooks.content import content_of
from kuscia_hooks.errors import HookError, merged
from kuscia_hooks.kube import Kube
from kuscia_hooks.ledger import Ledger, digest
from kuscia_hooks.log import logger
from kuscia_hooks.plan import Action, Plan, Summary
from kuscia_hooks.s3 import Location, Store
from kuscia_hooks.session import open_api
from kuscia_hooks.waiting import Deadline

VENDOR = "manual"
# What a node says of a data source that was encrypted for a key that it no longer has (Kuscia facts 12.3).
UNREADABLE = "decrypt data source info failed"
_ID_LENGTH = 63


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
    granted: Mapping[str, str],
) -> Plan:
    """What data source, tables and grants need.

    Args:
        wanted: request bodies under `source`, `tables` and `grants`.
        present: what was read, by the same kinds and by id; None where it does not exist.
        granted: the grants that this release made earlier; one that is no longer wanted is revoked.
    """
    kinds = (
        ("source", "DomainDataSource", "datasource_id", lambda w, p: normal_source(w) == normal_source(p)),
        ("tables", "DomainData", "domaindata_id", same_table),
        ("grants", "DomainDataGrant", "domaindatagrant_id", same_grant),
    )
    actions: list[Action] = []
    ids = {body["domaindatagrant_id"] for body in wanted["grants"]}
    for grant in granted:
        if grant not in ids:
            actions.append(Action("delete", "DomainDataGrant", grant, "no longer wanted"))
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


class _Declarer:
    def __init__(self, config: Data, api: KusciaAPI, grants: Ledger) -> None:
        self._config, self._api, self._grants = config, api, grants

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
            body = {"domain_id": self._config.domain_id, "domaindatagrant_id": action.name}
            try:
                self._api.call("domaindatagrant/delete", body)
            except Missing:
                logger.info("%s is gone already", action.name)
            self._grants.entries.pop(action.name, None)
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
    identity, key = (
        kube.secret_value(config.namespace, secret.name, name, public=names[:1]).decode().strip() for name in names
    )
    return identity, key


def _upload(config: Data, keys: tuple[str, str], summary: Summary, dry_run: bool) -> None:
    source = config.source
    if not isinstance(source, Oss):
        return
    location = Location(
        source.endpoint,
        source.bucket,
        source.prefix,
        *keys,
        virtualhost=source.virtualhost,
        credentials=f"Secret {config.namespace}/{source.credentials_secret.name}",
    )
    if dry_run:
        return
    store = Store(location)
    if store.ensure_bucket(source.create_bucket):
        logger.info("made bucket %s", source.bucket)
    for table in config.tables:
        content = content_of(table)
        name = f"{source.bucket}/{location.object_name(table.relative_uri)}"
        if content is None:
            if not store.exists(table.relative_uri):
                logger.warning("table %s: there is no object %s yet", table.id, name)
        elif store.upload(table.relative_uri, content):
            logger.info("uploaded %s (%d bytes)", name, content.size)
            summary.created += 1
        else:
            logger.info("%s is there with the same content", name)
            summary.unchanged += 1


def attempt(config: Data, kube: Kube, deadline: Deadline, summary: Summary, dry_run: bool = False) -> Summary:
    """Bring the lite's data to what the values say.

    Args:
        summary: counts of earlier attempts; it is added to.

    Raises:
        NotYet, NeedsHuman: for all that failed, after the rest is done.
    """
    summary.unchanged = summary.failed = 0
    grants = Ledger(kube, config.namespace, config.ledger, config.labels, "grants")
    grants.load()
    with open_api(kube, config.namespace, config.key_secret, config.api, config.domain_id, deadline) as api:
        keys = _keys(config, kube)
        _upload(config, keys, summary, dry_run)
        wanted = {
            "source": [wanted_source(config, keys)],
            "tables": [wanted_table(config, table) for table in config.tables],
            "grants": [wanted_grant(config, grant.table, grant.domain) for grant in config.grants],
        }
        declarer = _Declarer(config, api, grants)
        todo = plan(wanted, declarer.present(wanted), grants.entries)
        if dry_run:
            logger.info("%s", todo)
            return summary
        # Noted before it is made: one that is not in the ledger could never be revoked.
        grants.entries.update({body["domaindatagrant_id"]: digest(body) for body in wanted["grants"]})
        grants.save()
        errors = _apply(declarer, todo, summary)
    grants.save()
    summary.unchanged += todo.unchanged
    if errors:
        raise merged(errors)
    return summary


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
    summary.failed = len(errors)
    return errors
