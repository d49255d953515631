"""DataMesh, which serves tables and data sources to engines: /api/v1/datamesh/... (Kuscia facts 16.4).

All requests concern the node's own domain. Errors of the framework are not wrapped in `status`.
"""

from kuscia_sim.api import data_source
from kuscia_sim.api import messages as m
from kuscia_sim.api.validation import (
    check_id,
    check_path,
    domaindata_errors,
    require,
)
from kuscia_sim.state import domaindata, domaindata_grant
from kuscia_sim.state.object_names import object_name, refuse_invalid
from kuscia_sim.state.store import NotFound, Object, StoreError
from kuscia_sim.transport.endpoints import (
    ApiError,
    Check,
    Context,
    Endpoints,
    InvalidRequest,
    RequestHeader,
    Status,
    store_error,
)
from kuscia_sim.transport.protojson import STR, Dict, Message, message

endpoints = Endpoints("/api/v1/datamesh/")

PACKAGE = "datamesh"
ERR_INVALID = 12100
ERR_CREATE_DATA, ERR_QUERY_DATA, ERR_GET_DATA, ERR_PATCH_DATA, ERR_DELETE_DATA = (
    12200,
    12201,
    12202,
    12204,
    12205,
)
ERR_QUERY_SOURCE, ERR_GET_SOURCE = 12302, 12306
ERR_CREATE_GRANT, ERR_UPDATE_GRANT, ERR_QUERY_GRANT, ERR_DELETE_GRANT = 12400, 12401, 12402, 12403
GRANT_CODES = {"NotFound": 12405, "AlreadyExists": 12404}
FILE_TYPES = ("localfs", "oss")
UNREAD_TYPES = ("mysql", "postgresql", "hive")
"""Types whose info behind a key Kuscia omits (pkg/datamesh/metaserver/service/domaindatasource.go)."""
MYSQL_COLUMNS = {f"{sign}int{bits}" for sign in ("", "u") for bits in ("", "8", "16", "32", "64")} | {
    "float",
    "float32",
    "float64",
    "bool",
    "string",
    "str",
}
ARROW_COLUMNS = MYSQL_COLUMNS | {
    *("date32", "date64", "date", "datetime", "time32", "time64", "timestamp", "duration"),
    *("large_string", "large_str", "large_utf8", "binary"),
}


def _data_request(name: str) -> Message:
    return message(name, PACKAGE, header=RequestHeader, **m.table_fields(), file_format=m.FileFormat)


def _data_key(name: str) -> Message:
    return message(name, PACKAGE, header=RequestHeader, domaindata_id=STR)


def _grant_key(name: str) -> Message:
    return message(name, PACKAGE, header=RequestHeader, domaindatagrant_id=STR)


_DataID = message("CreateDomainDataResponseData", PACKAGE, domaindata_id=STR)
_CreateDataResponse = message("CreateDomainDataResponse", PACKAGE, status=Status, data=_DataID)
_QueryDataResponse = message(
    "QueryDomainDataResponse",
    PACKAGE,
    status=Status,
    data=message("DomainData", PACKAGE, **m.table_fields(), file_format=m.FileFormat, author=STR),
)
_QuerySourceRequest = message("QueryDomainDataSourceRequest", PACKAGE, header=RequestHeader, datasource_id=STR)
_QuerySourceResponse = message(
    "QueryDomainDataSourceResponse",
    PACKAGE,
    status=Status,
    data=m.data_source(m.data_source_info(PACKAGE)),
)
_GrantLimit = m.grant_limit(PACKAGE)


def _grant_request(name: str) -> Message:
    return message(name, PACKAGE, header=RequestHeader, **m.grant_fields(_GrantLimit))


_CreateGrantResponse = message(
    "CreateDomainDataGrantResponse",
    PACKAGE,
    status=Status,
    data=message("CreateDomainDataGrantResponseData", PACKAGE, domaindatagrant_id=STR),
)
_QueryGrantResponse = message(
    "QueryDomainDataGrantResponse",
    PACKAGE,
    status=Status,
    data=message("DomainDataGrantData", PACKAGE, **m.grant_fields(_GrantLimit, author=STR), signature=STR),
)


def _needs(field: str, text: str) -> Check:
    def check(_ctx: Context, request: Dict) -> None:
        if not request[field]:
            raise InvalidRequest(text)

    return check


def _all_of(problems: dict[str, bool]) -> None:
    """Join all problems, as the framework does.

    Raises:
        InvalidRequest: there are problems.
    """
    found = [text for text, wrong in problems.items() if wrong]
    if found:
        raise InvalidRequest(";".join(found))


_needs_data = _needs("domaindata_id", "domaindata id should not be empty")


@endpoints.add(
    "domaindatasource/query",
    _QuerySourceRequest,
    _QuerySourceResponse,
    check=_needs("datasource_id", "datasource id should not be empty"),
)
async def query_source(ctx: Context, request: Dict) -> Dict:
    check_path(ctx.node.domain_id, request["datasource_id"], ERR_QUERY_SOURCE)
    try:
        source = await ctx.store.get("domaindatasources", ctx.node.domain_id, request["datasource_id"])
    except StoreError as err:
        raise ApiError(ERR_QUERY_SOURCE, err.message) from err
    spec = source["spec"]
    if not spec.get("infoKey") and data_source.ENCRYPTED_INFO not in (spec.get("data") or {}):
        raise ApiError(ERR_QUERY_SOURCE, "datasource crd encryptedInfo field is not exist")
    unread = spec.get("infoKey") and spec["type"] in UNREAD_TYPES
    info = m.DataSourceInfo.defaults() if unread else await data_source.read_info(ctx, source, ERR_QUERY_SOURCE)
    return {
        "data": {
            "datasource_id": source["metadata"]["name"],
            "name": spec.get("name", ""),
            "type": spec["type"],
            "status": "Available",
            "info": info,
            "access_directly": spec.get("accessDirectly", False),
        }
    }


async def _check_source(ctx: Context, request: Dict, source_id: str) -> None:
    """Check that the data source exists; tables in databases must not have a file format.

    Where engines do not open the source themselves, DataProxy needs the columns' types (Kuscia's
    pkg/datamesh/metaserver/service/domaindata.go).
    """
    try:
        check_path(ctx.node.domain_id, source_id, ERR_GET_SOURCE)
        source = await ctx.store.get("domaindatasources", ctx.node.domain_id, source_id)
    except (StoreError, ApiError) as err:
        text = f"query DataSource {source_id} of DomainData fail: {err}"
        raise ApiError(ERR_GET_SOURCE, text) from err
    if not source["spec"].get("accessDirectly", False):
        _check_columns(request["columns"], source["spec"]["type"])
    if source["spec"]["type"] not in FILE_TYPES:
        request["file_format"] = "UNKNOWN"


def _check_columns(columns: list[Dict], type_: str) -> None:
    """Convert types to lower case. For a MySQL table only the first column is checked."""
    is_mysql = type_ == "mysql"
    known, name = (MYSQL_COLUMNS, "mysql") if is_mysql else (ARROW_COLUMNS, "DataProxy")
    for column in columns[:1] if is_mysql else columns:
        column["type"] = column["type"].lower()
        text = f"Col[{column['name']}].Type={column['type']} is invalid for {name}"
        require(column["type"] in known, text, ERR_GET_SOURCE)


def _check_create(_ctx: Context, request: Dict) -> None:
    _all_of(
        {
            "relative uri should not be empty": not request["relative_uri"] and request["type"] != "report",
            "type should not be empty": not request["type"],
        }
    )


@endpoints.add("domaindata/create", _data_request("CreateDomainDataRequest"), _CreateDataResponse, check=_check_create)
async def create_data(ctx: Context, request: Dict) -> Dict:
    domain_id, data_id = ctx.node.domain_id, request["domaindata_id"]
    if data_id:
        check_id(data_id, "domaindata_id", ERR_INVALID)
        if await _find_data(ctx, data_id):
            data = {"domaindata_id": data_id}
            try:
                await update_data(ctx, request)
            except ApiError as err:
                raise ApiError(err.code, err.text, data=data) from err
            return {"data": data}
    request = domaindata.complete(request)
    data_id = request["domaindata_id"]
    await _check_source(ctx, request, request["datasource_id"])
    new = domaindata.new_object(request, author=domain_id, initiator=data_id)
    try:
        refuse_invalid("DomainData", data_id, domaindata_errors(new, data_id))
        await ctx.store.create("domaindatas", domain_id, data_id, new)
    except StoreError as err:
        raise ApiError(ERR_CREATE_DATA, err.message) from err
    return {"data": {"domaindata_id": data_id}}


async def _find_data(ctx: Context, data_id: str) -> Object | None:
    try:
        return await ctx.store.get("domaindatas", ctx.node.domain_id, data_id)
    except NotFound:
        return None


@endpoints.add(
    "domaindata/update",
    _data_request("UpdateDomainDataRequest"),
    message("UpdateDomainDataResponse", PACKAGE, status=Status),
    check=_needs_data,
)
async def update_data(ctx: Context, request: Dict) -> Dict:
    domain_id, data_id = ctx.node.domain_id, request["domaindata_id"]
    check_path(domain_id, data_id, ERR_GET_DATA)
    try:
        old = await ctx.store.get("domaindatas", domain_id, data_id)
    except StoreError as err:
        raise ApiError(ERR_GET_DATA, err.message) from err
    fields = domaindata.merged(old, request)
    if fields["datasource_id"] != old["spec"]["dataSource"]:
        await _check_source(ctx, fields, fields["datasource_id"])
    new = domaindata.updated_object(old, fields, author=domain_id)
    try:
        refuse_invalid("DomainData", data_id, domaindata_errors(new, data_id))
        await ctx.store.update("domaindatas", domain_id, data_id, new)
    except StoreError as err:
        raise ApiError(ERR_PATCH_DATA, err.message) from err
    return {}


@endpoints.add("domaindata/query", _data_key("QueryDomainDataRequest"), _QueryDataResponse, check=_needs_data)
async def query_data(ctx: Context, request: Dict) -> Dict:
    check_path(ctx.node.domain_id, request["domaindata_id"], ERR_QUERY_DATA)
    try:
        data = await ctx.store.get("domaindatas", ctx.node.domain_id, request["domaindata_id"])
    except StoreError as err:
        raise ApiError(ERR_QUERY_DATA, err.message) from err
    return {"data": domaindata.describe(data)}


@endpoints.add(
    "domaindata/delete",
    _data_key("DeleteDomainDataRequest"),
    message("DeleteDomainDataResponse", PACKAGE, status=Status),
    check=_needs_data,
)
async def delete_data(ctx: Context, request: Dict) -> Dict:
    check_path(ctx.node.domain_id, request["domaindata_id"], ERR_DELETE_DATA)
    try:
        await ctx.store.delete("domaindatas", ctx.node.domain_id, request["domaindata_id"])
    except StoreError as err:
        raise ApiError(ERR_DELETE_DATA, err.message) from err
    return {}


def _check_grant(_ctx: Context, request: Dict) -> None:
    _all_of(
        {
            "domaindataid should not be empty": not request["domaindata_id"],
            "grantdomain not be empty": not request["grant_domain"],
        }
    )


@endpoints.add(
    "domaindatagrant/create",
    _grant_request("CreateDomainDataGrantRequest"),
    _CreateGrantResponse,
    check=_check_grant,
)
async def create_grant(ctx: Context, request: Dict) -> Dict:
    domain_id, data_id = ctx.node.domain_id, request["domaindata_id"]
    grant_id = request["domaindatagrant_id"]
    check_id(data_id, "domaindata_id", ERR_INVALID)
    if grant_id:
        check_id(grant_id, "domaindatagrant_id", ERR_INVALID)
    require(request["grant_domain"] != domain_id, "grantdomain can't be self", ERR_INVALID)
    data = await _find_data(ctx, data_id)
    require(data, f"domaindata [{data_id}] not exists", ERR_INVALID)
    assert data is not None
    if grant_id and await _find_grant(ctx, grant_id):
        text = f"CreateDomainDataGrant failed, because domaindatagrant {grant_id} is exist"
        raise ApiError(ERR_CREATE_GRANT, text)
    grant_id = grant_id or domaindata_grant.new_id()
    new = domaindata_grant.new_object(request, domain_id, data)
    # Unlike KusciaAPI, Kuscia's DataMesh sets no label, so lists by grantee omit this grant.
    new["metadata"]["labels"] = {}
    new["spec"]["signature"] = domaindata_grant.sign(new["spec"], ctx.node.key)
    try:
        refuse_invalid("DomainDataGrant", grant_id, object_name(grant_id))
        await ctx.store.create("domaindatagrants", domain_id, grant_id, new)
    except StoreError as err:
        raise store_error(err, ERR_CREATE_GRANT, **GRANT_CODES) from err
    return {"data": {"domaindatagrant_id": grant_id}}


async def _find_grant(ctx: Context, grant_id: str) -> Object | None:
    try:
        return await ctx.store.get("domaindatagrants", ctx.node.domain_id, grant_id)
    except NotFound:
        return None


@endpoints.add(
    "domaindatagrant/query",
    _grant_key("QueryDomainDataGrantRequest"),
    _QueryGrantResponse,
    check=_needs("domaindatagrant_id", "domaindatagrantid should not be empty"),
)
async def query_grant(ctx: Context, request: Dict) -> Dict:
    check_path(ctx.node.domain_id, request["domaindatagrant_id"], ERR_QUERY_GRANT)
    try:
        grant = await ctx.store.get("domaindatagrants", ctx.node.domain_id, request["domaindatagrant_id"])
    except StoreError as err:
        raise ApiError(ERR_QUERY_GRANT, err.message) from err
    spec = grant["spec"]
    return {
        "data": {
            "domaindatagrant_id": grant["metadata"]["name"],
            "author": spec["author"],
            "domaindata_id": spec["domainDataID"],
            "grant_domain": spec["grantDomain"],
            "limit": domaindata_grant.describe_limit(spec.get("limit")),
            "signature": spec.get("signature", ""),
        }
    }


def _check_grant_update(_ctx: Context, request: Dict) -> None:
    _all_of(
        {
            "domaindatagrant id should not be empty": not request["domaindatagrant_id"],
            "domaindata id should not be empty": not request["domaindata_id"],
        }
    )


@endpoints.add(
    "domaindatagrant/update",
    _grant_request("UpdateDomainDataGrantRequest"),
    message("UpdateDomainDataGrantResponse", PACKAGE, status=Status),
    check=_check_grant_update,
)
async def update_grant(ctx: Context, request: Dict) -> Dict:
    domain_id, grant_id = ctx.node.domain_id, request["domaindatagrant_id"]
    data = await _find_data(ctx, request["domaindata_id"])
    require(data, "domaindata can't be found", ERR_INVALID)
    require(request["grant_domain"], "grantdomain can't be null", ERR_INVALID)
    require(request["grant_domain"] != domain_id, "grantdomain can't be self", ERR_INVALID)
    check_path(domain_id, grant_id, ERR_UPDATE_GRANT)
    try:
        grant = await ctx.store.get("domaindatagrants", domain_id, grant_id)
        grant["spec"] = domaindata_grant.spec(request, domain_id)
        grant["spec"]["signature"] = domaindata_grant.sign(grant["spec"], ctx.node.key)
        await ctx.store.update("domaindatagrants", domain_id, grant_id, grant)
    except StoreError as err:
        raise store_error(err, ERR_UPDATE_GRANT, **GRANT_CODES) from err
    return {}


@endpoints.add(
    "domaindatagrant/delete",
    _grant_key("DeleteDomainDataGrantRequest"),
    message("DeleteDomainDataGrantResponse", PACKAGE, status=Status),
    check=_needs("domaindatagrant_id", "domaindatagrant id should not be empty"),
)
async def delete_grant(ctx: Context, request: Dict) -> Dict:
    grant_id = request["domaindatagrant_id"]
    try:
        check_path(ctx.node.domain_id, grant_id, ERR_DELETE_GRANT)
        await ctx.store.delete("domaindatagrants", ctx.node.domain_id, grant_id)
    except (StoreError, ApiError) as err:
        text = f"Delete domainDataGrantId:{grant_id} failed, detail:{err}"
        raise ApiError(ERR_DELETE_GRANT, text) from err
    return {}
