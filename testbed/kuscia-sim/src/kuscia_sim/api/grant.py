"""Grants: /api/v1/domaindatagrant/... (Kuscia facts 7.4)."""

from kuscia_sim.api import messages as m
from kuscia_sim.api.selector import select
from kuscia_sim.api.validation import check_id, check_namespace, check_path, domaingrant_errors, require
from kuscia_sim.state import domaindata, domaindata_grant
from kuscia_sim.state.object_names import refuse_invalid
from kuscia_sim.state.store import Object, StoreError
from kuscia_sim.transport.endpoints import ERR_VALIDATE, ApiError, Context, Endpoints, store_error
from kuscia_sim.transport.protojson import Dict

endpoints = Endpoints("/api/v1/domaindatagrant/")

ERR_CREATE, ERR_UPDATE, ERR_QUERY, ERR_DELETE, ERR_LIST = 11700, 11701, 11702, 11703, 11503
CODES = {"NotFound": 11705, "AlreadyExists": 11704}
STATUS_TYPE = "type.googleapis.com/kuscia.proto.api.v1alpha1.Status"


@endpoints.add("create", m.CreateDomainDataGrantRequest, m.CreateDomainDataGrantResponse)
async def create(ctx: Context, request: Dict) -> Dict:
    domain_id, data_id = request["domain_id"], request["domaindata_id"]
    grant_id = request["domaindatagrant_id"]
    require(request["grant_domain"], "grantdomain can't be null")
    require(request["grant_domain"] != domain_id, "grantdomain can't be self")
    require(data_id, "domaindata can't be null")
    check_id(domain_id, "domain_id")
    check_id(data_id, "domaindata_id")
    if grant_id:
        check_id(grant_id, "domaindatagrant_id")
    try:
        data = await ctx.store.get("domaindatas", domain_id, data_id)
    except StoreError as err:
        raise ApiError(ERR_VALIDATE, f"domaindata [{data_id}] not exists") from err
    if grant_id and await _exists(ctx, domain_id, grant_id):
        text = f"CreateDomainDataGrant failed, because domaindatagrant {grant_id} is exist"
        raise ApiError(ERR_CREATE, text)
    grant_id = grant_id or domaindata_grant.new_id()
    new = domaindata_grant.new_object(request, domain_id, data)
    try:
        refuse_invalid("DomainDataGrant", grant_id, domaingrant_errors(grant_id, request["grant_domain"]))
        await ctx.store.create("domaindatagrants", domain_id, grant_id, new)
    except StoreError as err:
        raise store_error(err, ERR_CREATE, NotFound=11305, AlreadyExists=11704) from err
    return {"data": {"domaindatagrant_id": grant_id}}


@endpoints.add("update", m.UpdateDomainDataGrantRequest, m.UpdateDomainDataGrantResponse)
async def update(ctx: Context, request: Dict) -> Dict:
    domain_id, data_id = request["domain_id"], request["domaindata_id"]
    grant_id = request["domaindatagrant_id"]
    require(data_id, "domaindataid can't be null")
    try:
        check_path(domain_id, data_id, ERR_VALIDATE)
        data = await ctx.store.get("domaindatas", domain_id, data_id)
    except (StoreError, ApiError) as err:
        raise ApiError(ERR_VALIDATE, "domaindata can't be found") from err
    require(request["grant_domain"], "grantdomain can't be null")
    require(grant_id, "grantdomainid can't be null")
    old = await _get(ctx, domain_id, grant_id, ERR_QUERY)
    require(old["spec"]["domainDataID"] == data_id, "domaindataid can't be changed.")
    new = domaindata_grant.new_object(request, domain_id, data)
    metadata = {**old["metadata"], "ownerReferences": new["metadata"]["ownerReferences"]}
    metadata["labels"] = {**(metadata.get("labels") or {}), **new["metadata"]["labels"]}
    metadata["labels"].pop(domaindata.LABEL_DATA_ID, None)
    try:
        refuse_invalid("DomainDataGrant", grant_id, domaingrant_errors(grant_id, request["grant_domain"]))
        await ctx.store.update(
            "domaindatagrants", domain_id, grant_id, {**old, "metadata": metadata, "spec": new["spec"]}
        )
    except StoreError as err:
        raise store_error(err, ERR_UPDATE, **CODES) from err
    return {}


@endpoints.add("delete", m.DeleteDomainDataGrantRequest, m.DeleteDomainDataGrantResponse)
async def delete(ctx: Context, request: Dict) -> Dict:
    check_path(request["domain_id"], request["domaindatagrant_id"], ERR_DELETE)
    try:
        await ctx.store.delete("domaindatagrants", request["domain_id"], request["domaindatagrant_id"])
    except StoreError as err:
        raise store_error(err, ERR_DELETE, **CODES) from err
    return {}


@endpoints.add("query", m.QueryDomainDataGrantRequest, m.QueryDomainDataGrantResponse)
async def query(ctx: Context, request: Dict) -> Dict:
    grant = await _get(ctx, request["domain_id"], request["domaindatagrant_id"], ERR_QUERY)
    return {"data": _describe(grant)}


@endpoints.add("batchQuery", m.BatchQueryDomainDataGrantRequest, m.BatchQueryDomainDataGrantResponse)
async def batch_query(ctx: Context, request: Dict) -> Dict:
    """Query several grants. If one fails, `details` contains the status of each, and the message counts empty, failed
    and all (Kuscia's pkg/kusciaapi/service/domaindata_grant.go).
    """
    require(request["data"], "BatchQueryDomainDataGrant.data can't be null")
    found: list[Dict] = []
    details: list[Dict] = []
    empty = failed = 0
    for key in request["data"]:
        code, text = 0, "success"
        if not key["domain_id"] or not key["domaindatagrant_id"]:
            empty += 1
            code, text = ERR_VALIDATE, "QueryDomainDataGrantRequestData can't be null"
            found.append({})
        else:
            try:
                grant = await _get(ctx, key["domain_id"], key["domaindatagrant_id"], ERR_QUERY)
                found.append(_describe(grant))
            except ApiError as err:
                failed += 1
                code, text = err.code, err.text
                found.append({})
        details.append({"@type": STATUS_TYPE, "code": code, "message": text, "details": []})
    if empty or failed:
        text = f"BatchQuery has error. Empty/Error/Total({empty}/{failed}/{len(found)})"
        raise ApiError(ERR_QUERY, text, details, data=found)
    return {"data": found}


@endpoints.add("list", m.ListDomainDataGrantRequest, m.ListDomainDataGrantResponse)
async def list_grants(ctx: Context, request: Dict) -> Dict:
    wanted = request["data"]
    require(wanted and wanted["domain_id"], "domain id can not be empty")
    check_namespace(wanted["domain_id"], ERR_LIST)
    try:
        items = await ctx.store.list("domaindatagrants", wanted["domain_id"])
    except StoreError as err:
        raise store_error(err, ERR_LIST, **CODES) from err
    labels = {
        domaindata.LABEL_GRANT_VENDOR: wanted["domaindata_vendor"],
        domaindata.LABEL_GRANT_DOMAIN: wanted["grant_domain"],
    }
    items = select(items, labels, ERR_LIST)
    return {"data": {"domaindatagrant_list": [_describe(item) for item in items]}}


async def _get(ctx: Context, domain_id: str, grant_id: str, code: int) -> Object:
    check_path(domain_id, grant_id, code)
    try:
        return await ctx.store.get("domaindatagrants", domain_id, grant_id)
    except StoreError as err:
        raise store_error(err, code, **CODES) from err


async def _exists(ctx: Context, domain_id: str, grant_id: str) -> bool:
    try:
        await ctx.store.get("domaindatagrants", domain_id, grant_id)
    except StoreError:
        return False
    return True


def _describe(grant: Object) -> Dict:
    """Describe a grant without description, signature, domain_id and the limit's initiator, as recorded."""
    spec, status = grant["spec"], grant.get("status") or {}
    return {
        "data": {
            "domaindatagrant_id": grant["metadata"]["name"],
            "author": spec["author"],
            "domaindata_id": spec["domainDataID"],
            "grant_domain": spec["grantDomain"],
            "limit": domaindata_grant.describe_limit(spec.get("limit")),
        },
        "status": {"phase": status.get("phase", ""), "message": status.get("message", "")},
    }
