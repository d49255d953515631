"""DomainData objects as KusciaAPI and DataMesh create them (Kuscia facts 7.4, 8)."""

import re

from kuscia_sim import credentials
from kuscia_sim.state.store import Object
from kuscia_sim.transport.protojson import Dict

LABEL_TYPE = "kuscia.secretflow/domaindata-type"
LABEL_VENDOR = "kuscia.secretflow/domaindata-vendor"
LABEL_PROTOCOL = "kuscia.secretflow/interconn-protocol-type"
LABEL_OWNER = "kuscia.secretflow/owner-references"
LABEL_DATA_ID = "kuscia.secretflow/domaindataid"
LABEL_GRANT_DOMAIN = "kuscia.secretflow/domaindatagrant-domain"
LABEL_GRANT_VENDOR = "kuscia.secretflow/domaindatagrant-vendor"
ANNOTATION_INITIATOR = "kuscia.secretflow/initiator"
VENDOR_MANUAL = "manual"
VENDOR_GRANT = "grant"
FILE_FORMATS = {"UNKNOWN": "unknown", "CSV": "csv", "BINARY": "binary"}


def generated_data_id(name: str) -> str:
    """Return up to 16 usable characters of the name and 32 hex digits ("alice.csv" -> "alicecsv-69ea...")."""
    prefix = re.sub(r"[^a-z0-9/-]+", "", name.lower())
    prefix = re.sub(r"^[0-9/-]+", "", prefix)[:16]
    return credentials.generated_id(prefix.removesuffix("-")).removeprefix("-")


def complete(request: Dict) -> Dict:
    """Return a create request with name, ID, data source and vendor filled in."""
    name = request["name"] or request["relative_uri"].split("/")[-1]
    return {
        **request,
        "name": name,
        "domaindata_id": request["domaindata_id"] or generated_data_id(name),
        "datasource_id": request["datasource_id"] or "default-data-source",
        "vendor": request["vendor"] or VENDOR_MANUAL,
    }


def new_object(request: Dict, author: str, initiator: str) -> Object:
    """Return the object of a completed create request."""
    labels = {LABEL_TYPE: request["type"], LABEL_VENDOR: request["vendor"], LABEL_PROTOCOL: "kuscia"}
    annotations = {ANNOTATION_INITIATOR: initiator}
    return {"metadata": {"labels": labels, "annotations": annotations}, "spec": _spec(request, author)}


def merged(old: Object, request: Dict) -> Dict:
    """Return the fields of an update: empty ones keep the old value."""
    was = describe(old)
    fields = {field: request[field] or was[field] for field in _FIELDS}
    if request["file_format"] == "UNKNOWN":
        fields["file_format"] = was["file_format"]
    return fields


def updated_object(old: Object, fields: Dict, author: str) -> Object:
    """Return the object after an update with the merged fields."""
    metadata = dict(old["metadata"])
    labels = dict(metadata.get("labels") or {})
    metadata["labels"] = labels | {LABEL_TYPE: fields["type"], LABEL_VENDOR: fields["vendor"]}
    return {**old, "metadata": metadata, "spec": _spec(fields, author)}


_FIELDS = (
    "name",
    "type",
    "relative_uri",
    "datasource_id",
    "attributes",
    "partition",
    "columns",
    "vendor",
    "file_format",
)


def _columns(columns: list[Dict]) -> list[Dict]:
    return [
        {"name": c["name"], "type": c["type"], "comment": c["comment"], "notNullable": c["not_nullable"]}
        for c in columns
    ]


def _spec(request: Dict, author: str) -> Dict:
    spec = {
        "relativeURI": request["relative_uri"],
        "author": author,
        "name": request["name"],
        "type": request["type"],
        "dataSource": request["datasource_id"],
        "attributes": request["attributes"],
        "columns": _columns(request["columns"]),
        "vendor": request["vendor"],
        "fileFormat": FILE_FORMATS.get(request["file_format"], "unknown"),
    }
    if request["partition"]:
        partition = request["partition"]
        # Kuscia drops what may be null here (pkg/common/convert.go).
        fields = [{**column, "notNullable": False} for column in _columns(partition["fields"])]
        spec["partitions"] = {"type": partition["type"], "fields": fields}
    return spec


def describe(data: Object) -> Dict:
    """Return the fields that both APIs answer with."""
    spec = data["spec"]
    formats = {stored: name for name, stored in FILE_FORMATS.items()}
    partition = spec.get("partitions")
    return {
        "domaindata_id": data["metadata"]["name"],
        "name": spec["name"],
        "type": spec["type"],
        "relative_uri": spec["relativeURI"],
        "datasource_id": spec["dataSource"],
        "attributes": spec.get("attributes") or {},
        "partition": partition and {"type": partition["type"], "fields": _described_columns(partition.get("fields"))},
        "columns": _described_columns(spec.get("columns")),
        "vendor": spec.get("vendor", ""),
        "file_format": formats.get(spec.get("fileFormat", ""), "UNKNOWN"),
        "author": spec["author"],
    }


def _described_columns(columns: list[Dict] | None) -> list[Dict]:
    return [
        {
            "name": c["name"],
            "type": c["type"],
            "comment": c.get("comment", ""),
            "not_nullable": c.get("notNullable", False),
        }
        for c in columns or []
    ]
