"""Data source, tables and grants: request bodies, and the difference to those in Kuscia."""

from collections.abc import Mapping
from typing import Any

from kuscia_hooks.cluster.ledger import digest
from kuscia_hooks.core.config.data import Data, Oss, Table

VENDOR = "manual"
# The data source that every lite creates at its first start (Kuscia facts 0.14).
_BUILT_IN = ("default-data-source", "localfs", "/home/kuscia/var/storage/data")
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


def same_source(wanted: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    """Return whether a data source equals the request body."""
    return normal_source(wanted) == normal_source(present)


def is_built_in(source_id: str, present: Mapping[str, Any]) -> bool:
    """Return whether a data source is the one that the lite created, unchanged."""
    normal = normal_source(present)
    return (source_id, normal["type"], normal["path"]) == _BUILT_IN


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
