"""Data source, tables and grants: request bodies, and the difference to those in Kuscia."""

from collections.abc import Collection, Mapping
from typing import Any

from kuscia_hooks.cluster.ledger import digest
from kuscia_hooks.core.config import Data, Oss, Table
from kuscia_hooks.core.plan import Action, Plan

VENDOR = "manual"
_ID_LENGTH = 63


def grant_id(table: str, domain: str) -> str:
    """Return the ID of a grant. It is deterministic, so that a repeated request creates no second grant."""
    name = f"{table}-{domain}"
    if len(name) <= _ID_LENGTH:
        return name
    suffix = digest(name)
    return f"{name[: _ID_LENGTH - len(suffix) - 1].rstrip('-.')}-{suffix}"


def wanted_source(config: Data, keys: tuple[str, str]) -> dict[str, Any]:
    """Return the body of `domaindatasource/create`.

    Args:
        keys: access key ID and secret of an OSS source.
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
    """Return the content of a data source in a canonical form, from a request or an answer."""
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
    """Return the body of `domaindata/create`."""
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
    """Return whether a table equals the request body.

    Empty fields of `wanted` are not compared, because Kuscia keeps the previous value.
    """
    for key in ("name", "type", "relative_uri", "datasource_id", "attributes"):
        if wanted[key] and wanted[key] != present.get(key):
            return False
    columns = [(c["name"], c["type"], c.get("comment") or "") for c in present.get("columns") or []]
    return not wanted["columns"] or columns == [(c["name"], c["type"], c["comment"]) for c in wanted["columns"]]


def wanted_grant(config: Data, table: str, domain: str) -> dict[str, Any]:
    """Return the body of `domaindatagrant/create`."""
    return {
        "domain_id": config.domain_id,
        "domaindata_id": table,
        "grant_domain": domain,
        "domaindatagrant_id": grant_id(table, domain),
    }


def same_grant(wanted: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    """Return whether a grant has the table and the partner of the request body."""
    data = present.get("data") or {}
    return all(data.get(key) == wanted[key] for key in ("domaindata_id", "grant_domain"))


def plan_data(
    wanted: Mapping[str, list[dict[str, Any]]],
    present: Mapping[str, Mapping[str, Mapping[str, Any] | None]],
    revoked: Collection[str] = (),
    undeclared: Collection[str] = (),
) -> Plan:
    """Return the plan for data source, tables and grants.

    Args:
        wanted: request bodies under `source`, `tables` and `grants`.
        present: objects read from Kuscia, by kind and ID; None if an object does not exist.
        revoked: IDs of grants that this release created and that are no longer in the values.
        undeclared: likewise, IDs of tables to delete.
    """
    kinds = (
        ("source", "DomainDataSource", "datasource_id", lambda w, p: normal_source(w) == normal_source(p)),
        ("tables", "DomainData", "domaindata_id", same_table),
        ("grants", "DomainDataGrant", "domaindatagrant_id", same_grant),
    )
    actions = [Action("delete", "DomainDataGrant", grant, "no longer in the values") for grant in revoked]
    actions += [Action("delete", "DomainData", table, "no longer in the values") for table in undeclared]
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
