"""The grant controller of a master (Kuscia facts 7.4).

It copies a granted DomainData (vendor `grant`) and the grant itself into the grantee's namespace, keeps the copies
equal, and removes them with their originals.
"""

import datetime
import logging

from kuscia_sim.node.node import Node
from kuscia_sim.state import domaindata, domaindata_grant
from kuscia_sim.state.objects import changes
from kuscia_sim.state.store import AlreadyExists, Conflict, NotFound, Object, Store

log = logging.getLogger(__name__)

RESYNC = 5.0
REACTION = 0.06
"""Seconds from a change to its effect; the recording shows 32 to 90 ms."""


def phase_of(grant: Object, author_cert: str, now: datetime.datetime) -> tuple[str, str]:
    """Return the phase and message of a grant in its domain."""
    grant_spec = grant["spec"]
    if grant_spec.get("signature"):
        error = domaindata_grant.signature_error(grant_spec, author_cert)
        if error:
            return "Unavailable", error
    limit = grant_spec.get("limit") or {}
    phase = ("Ready", "")
    if limit.get("expirationTime") and now > datetime.datetime.fromisoformat(limit["expirationTime"]):
        phase = ("Unavailable", "Expirated")
    used = len((grant.get("status") or {}).get("use_records") or [])
    if limit.get("useCount") and used >= limit["useCount"]:
        phase = ("Unavailable", "UseCount is exhausted")
    return phase


async def run_grant_controller(node: Node) -> None:
    """Run on a master until cancelled. Errors are logged and retried."""
    async for _ in changes(node.store, RESYNC, REACTION):
        try:
            await reconcile(node.store)
        except Exception as err:
            log.warning("grants: %s", err)


async def reconcile(store: Store) -> None:
    """Reconcile all grants and their copies once."""
    domains = {domain["metadata"]["name"]: domain for domain in await store.list("domains")}
    grants = await store.list("domaindatagrants")
    for grant in grants:
        try:
            await _reconcile_grant(store, grant, domains)
        except (AlreadyExists, Conflict, NotFound) as err:
            log.info("grant %s: %s", grant["metadata"]["name"], err)
    await _remove_orphans(store)
    await _refresh_copies(store)


def _destination(grant: Object, domain: Object) -> str:
    spec = domain["spec"]
    destination: str = grant["spec"]["grantDomain"]
    if spec.get("role") == "partner" and spec.get("master"):
        destination = spec["master"]
    return destination


async def _reconcile_grant(store: Store, grant: Object, domains: dict[str, Object]) -> None:
    metadata, grant_spec = grant["metadata"], grant["spec"]
    author = grant_spec["author"]
    if grant_spec["grantDomain"] == author:
        return
    labels = metadata.setdefault("labels", {})
    if labels.get(domaindata.LABEL_DATA_ID) != grant_spec["domainDataID"]:
        labels |= {domaindata.LABEL_PROTOCOL: "kuscia", domaindata.LABEL_DATA_ID: grant_spec["domainDataID"]}
        grant = await store.update("domaindatagrants", metadata["namespace"], metadata["name"], grant)
    if author == metadata["namespace"]:
        domain = domains.get(grant_spec["grantDomain"])
        if domain is None:
            return
        await _carry(store, grant, _destination(grant, domain))
    cert = (domains.get(author) or {"spec": {}})["spec"].get("cert", "")
    phase, text = phase_of(grant, cert, datetime.datetime.now(datetime.UTC))
    status = {**(grant.get("status") or {}), "phase": phase, "message": text}
    if status != grant.get("status"):
        grant["status"] = status
        await store.update("domaindatagrants", grant["metadata"]["namespace"], grant["metadata"]["name"], grant)


async def _carry(store: Store, grant: Object, destination: str) -> None:
    name, author = grant["metadata"]["name"], grant["spec"]["author"]
    data_id = grant["spec"]["domainDataID"]
    labels = {
        **grant["metadata"]["labels"],
        domaindata.LABEL_OWNER: name,
        domaindata.LABEL_DATA_ID: data_id,
    }
    annotations = {domaindata.ANNOTATION_INITIATOR: author}
    try:
        copy = await store.get("domaindatagrants", destination, name)
    except NotFound:
        await _carry_data(store, author, data_id, destination)
        copy = {"metadata": {"labels": labels, "annotations": annotations}, "spec": grant["spec"]}
        await store.create("domaindatagrants", destination, name, copy)
        return
    if copy["spec"] != grant["spec"] and copy["spec"]["author"] == author:
        await store.update("domaindatagrants", destination, name, {**copy, "spec": grant["spec"]})


async def _carry_data(store: Store, author: str, data_id: str, destination: str) -> None:
    try:
        await store.get("domaindatas", destination, data_id)
        return
    except NotFound:
        data = await store.get("domaindatas", author, data_id)
    labels = {
        **data["metadata"]["labels"],
        domaindata.LABEL_OWNER: data_id,
        domaindata.LABEL_VENDOR: domaindata.VENDOR_GRANT,
    }
    annotations = {domaindata.ANNOTATION_INITIATOR: author}
    spec = {**data["spec"], "vendor": domaindata.VENDOR_GRANT}
    copy = {"metadata": {"labels": labels, "annotations": annotations}, "spec": spec}
    await store.create("domaindatas", destination, data_id, copy)


def _is_copy(item: Object) -> bool:
    return bool(item["spec"]["author"] != item["metadata"]["namespace"])


async def _remove_orphans(store: Store) -> None:
    """Remove copies whose original is gone, and data copies whose last grant is gone."""
    grants = await store.list("domaindatagrants")
    there = {(g["metadata"]["namespace"], g["metadata"]["name"]) for g in grants}
    alive = []
    for grant in grants:
        key = (grant["metadata"]["namespace"], grant["metadata"]["name"])
        if _is_copy(grant) and (grant["spec"]["author"], key[1]) not in there:
            await store.delete("domaindatagrants", *key)
        else:
            alive.append(grant)
    brought = {(g["metadata"]["namespace"], g["spec"]["domainDataID"]) for g in alive}
    for data in await store.list("domaindatas"):
        key = (data["metadata"]["namespace"], data["metadata"]["name"])
        owner = (data["metadata"].get("labels") or {}).get(domaindata.LABEL_OWNER)
        if _is_copy(data) and owner and key not in brought:
            await store.delete("domaindatas", *key)


async def _refresh_copies(store: Store) -> None:
    datas = await store.list("domaindatas")
    originals = {(d["metadata"]["namespace"], d["metadata"]["name"]): d for d in datas}
    for copy in datas:
        name = copy["metadata"]["name"]
        original = originals.get((copy["spec"]["author"], name))
        owner = (copy["metadata"].get("labels") or {}).get(domaindata.LABEL_OWNER)
        if not original or not _is_copy(copy) or not owner:
            continue
        wanted = {**original["spec"], "vendor": domaindata.VENDOR_GRANT}
        if copy["spec"] != wanted:
            await store.update("domaindatas", copy["metadata"]["namespace"], name, {**copy, "spec": wanted})
