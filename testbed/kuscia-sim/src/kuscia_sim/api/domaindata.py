"""Tables and other data: /api/v1/domaindata/... (Kuscia facts 7.4)."""

from kuscia_sim.api import messages as m
from kuscia_sim.api.selector import select
from kuscia_sim.api.validation import check_id, check_namespace, check_path, domaindata_errors, require
from kuscia_sim.state import domaindata
from kuscia_sim.state.object_names import refuse_invalid
from kuscia_sim.state.store import NotFound, Object, StoreError
from kuscia_sim.transport.endpoints import (
    ERR_AUTH,
    NIL_POINTER,
    ApiError,
    Context,
    Endpoints,
    InvalidRequest,
    store_error,
)
from kuscia_sim.transport.protojson import Dict, NilPointer

endpoints = Endpoints("/api/v1/domaindata/")

ERR_CREATE, ERR_DELETE, ERR_GET, ERR_LIST, ERR_PATCH = 11500, 11501, 11502, 11503, 11505
CODES = {"NotFound": 11506, "AlreadyExists": 11507}
ERR_NO_SOURCE, ERR_QUERY_SOURCE = 11806, 11802
NO_IDS = "domain id and domaindata id can not be empty"


def _check_own(ctx: Context, domain_id: str) -> None:
    own = ctx.node.domain_id
    require(
        ctx.node.is_master or domain_id == own,
        "kuscia lite api could only operate it's own domaindata, "
        f"the domainid of request must be {own}, not {domain_id}",
    )


def _check_caller(ctx: Context, domain_id: str) -> None:
    if ctx.role == "domain" and domain_id != ctx.source:
        raise ApiError(
            ERR_AUTH,
            "domain's kusciaAPI could only operate its own DomainData, "
            f"request.DomainID must be {ctx.source} not {domain_id}",
        )


def _check_ids(ctx: Context, key: Dict | None) -> Dict:
    if not key or not key["domain_id"] or not key["domaindata_id"]:
        require(False, NO_IDS)
        raise AssertionError
    _check_own(ctx, key["domain_id"])
    _check_caller(ctx, key["domain_id"])
    return key


async def _check_source(ctx: Context, domain_id: str, source_id: str) -> None:
    check_path(domain_id, source_id, ERR_QUERY_SOURCE)
    try:
        await ctx.store.get("domaindatasources", domain_id, source_id)
    except NotFound as err:
        text = f"domain data source `{source_id}` is not exists in domain `{domain_id}`"
        raise ApiError(ERR_NO_SOURCE, text) from err
    except StoreError as err:
        raise ApiError(ERR_QUERY_SOURCE, err.message) from err


@endpoints.add("create", m.CreateDomainDataRequest, m.CreateDomainDataResponse)
async def create(ctx: Context, request: Dict) -> Dict:
    domain_id, data_id = request["domain_id"], request["domaindata_id"]
    require(domain_id, "request domain id can not be empty")
    check_id(domain_id, "domain_id")
    require(request["type"], "request type can not be empty")
    require(request["relative_uri"], "request relative_uri can not be empty")
    _check_own(ctx, domain_id)
    if data_id:
        check_id(data_id, "domaindata_id")
        if await _exists(ctx, domain_id, data_id):
            data = {"domaindata_id": data_id}
            try:
                await update(ctx, {**request, "vendor": ""})
            except ApiError as err:
                raise ApiError(err.code, err.text, data=data) from err
            return {"data": data}
    _check_caller(ctx, domain_id)
    request = domaindata.complete(request)
    request["relative_uri"] = request["relative_uri"].removeprefix("/")
    data_id = request["domaindata_id"]
    await _check_source(ctx, domain_id, request["datasource_id"])
    new = domaindata.new_object(request, author=domain_id, initiator=domain_id)
    try:
        refuse_invalid("DomainData", data_id, domaindata_errors(new, data_id))
        await ctx.store.create("domaindatas", domain_id, data_id, new)
    except StoreError as err:
        raise store_error(err, ERR_CREATE, NotFound=11305, AlreadyExists=CODES["AlreadyExists"]) from err
    return {"data": {"domaindata_id": data_id}}


@endpoints.add("update", m.UpdateDomainDataRequest, m.UpdateDomainDataResponse)
async def update(ctx: Context, request: Dict) -> Dict:
    _check_ids(ctx, request)
    domain_id, data_id = request["domain_id"], request["domaindata_id"]
    old = await _get(ctx, domain_id, data_id)
    fields = domaindata.merged(old, request)
    await _check_source(ctx, domain_id, fields["datasource_id"])
    new = domaindata.updated_object(old, fields, author=domain_id)
    try:
        refuse_invalid("DomainData", data_id, domaindata_errors(new, data_id))
        await ctx.store.update("domaindatas", domain_id, data_id, new)
    except StoreError as err:
        raise store_error(err, ERR_PATCH, **CODES) from err
    return {}


@endpoints.add("delete", m.DeleteDomainDataRequest, m.DeleteDomainDataResponse)
async def delete(ctx: Context, request: Dict) -> Dict:
    _check_ids(ctx, request)
    await _delete(ctx, request["domain_id"], request["domaindata_id"])
    return {}


@endpoints.add("query", m.QueryDomainDataRequest, m.QueryDomainDataResponse)
async def query(ctx: Context, request: Dict) -> Dict:
    key = _check_ids(ctx, request["data"])
    return {"data": _describe(await _get(ctx, key["domain_id"], key["domaindata_id"]))}


def _check_batch(_ctx: Context, request: Dict) -> None:
    if not request["data"]:
        raise InvalidRequest("request data should not be nil")
    try:
        for key in request["data"]:
            if not key["domain_id"]:
                raise InvalidRequest("request domainID should not be empty")
            if not key["domaindata_id"]:
                raise InvalidRequest("request domainDataID should not be empty")
    except NilPointer as err:
        # The framework reports a panic of its own checks as an error (Kuscia's pkg/web/decorator, doValidate).
        raise InvalidRequest(NIL_POINTER) from err


@endpoints.add("batchQuery", m.BatchQueryDomainDataRequest, m.BatchQueryDomainDataResponse, check=_check_batch)
async def batch_query(ctx: Context, request: Dict) -> Dict:
    for key in request["data"]:
        _check_own(ctx, key["domain_id"])
        _check_caller(ctx, key["domain_id"])
    found = []
    for key in request["data"]:
        check_path(key["domain_id"], key["domaindata_id"], ERR_GET)
        try:
            found.append(await ctx.store.get("domaindatas", key["domain_id"], key["domaindata_id"]))
        except NotFound:
            continue
        except StoreError as err:
            raise ApiError(ERR_GET, err.message) from err
    return {"data": {"domaindata_list": [_describe(data) for data in found]}}


def _check_list(_ctx: Context, request: Dict) -> None:
    if request["data"] is None:
        raise InvalidRequest("request data should not be nil")
    if not request["data"]["domain_id"]:
        raise InvalidRequest("request domainID should not be empty")


@endpoints.add("list", m.ListDomainDataRequest, m.ListDomainDataResponse, check=_check_list)
async def list_data(ctx: Context, request: Dict) -> Dict:
    wanted = request["data"]
    _check_own(ctx, wanted["domain_id"])
    _check_caller(ctx, wanted["domain_id"])
    check_namespace(wanted["domain_id"], ERR_LIST)
    try:
        items = await ctx.store.list("domaindatas", wanted["domain_id"])
    except StoreError as err:
        raise ApiError(ERR_LIST, err.message) from err
    labels = {domaindata.LABEL_TYPE: wanted["domaindata_type"], domaindata.LABEL_VENDOR: wanted["domaindata_vendor"]}
    items = select(items, labels, ERR_LIST)
    return {"data": {"domaindata_list": [_describe(item) for item in items]}}


async def _get(ctx: Context, domain_id: str, data_id: str) -> Object:
    check_path(domain_id, data_id, ERR_GET)
    try:
        return await ctx.store.get("domaindatas", domain_id, data_id)
    except StoreError as err:
        raise store_error(err, ERR_GET, **CODES) from err


async def _exists(ctx: Context, domain_id: str, data_id: str) -> bool:
    try:
        await ctx.store.get("domaindatas", domain_id, data_id)
    except StoreError:
        return False
    return True


async def _delete(ctx: Context, domain_id: str, data_id: str) -> None:
    check_path(domain_id, data_id, ERR_DELETE)
    try:
        await ctx.store.delete("domaindatas", domain_id, data_id)
    except StoreError as err:
        raise store_error(err, ERR_DELETE, **CODES) from err


def _describe(data: Object) -> Dict:
    return {
        **domaindata.describe(data),
        "domain_id": data["metadata"]["namespace"],
        "status": "Available",
    }
