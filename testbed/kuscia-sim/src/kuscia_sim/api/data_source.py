"""Data sources: /api/v1/domaindatasource/... (Kuscia facts 7.4, 8).

The info is stored encrypted with the owner's key; a master lists data sources without it.
"""

import json
import posixpath
import re

from kuscia_sim import credentials
from kuscia_sim.api import config
from kuscia_sim.api import messages as m
from kuscia_sim.api.validation import check_id, check_namespace, check_path, require
from kuscia_sim.state.object_names import object_name, refuse_invalid
from kuscia_sim.state.store import NotFound, Object, StoreError
from kuscia_sim.transport.endpoints import ERR_VALIDATE, ApiError, Context, Endpoints, store_error
from kuscia_sim.transport.gojson import go_quote
from kuscia_sim.transport.protojson import DecodeError, Dict, Message, render_go, unmarshal_go

endpoints = Endpoints("/api/v1/domaindatasource/")

ERR_CREATE, ERR_UPDATE, ERR_QUERY, ERR_BATCH, ERR_DELETE, ERR_NOT_EXISTS, ERR_LIST = (
    11800, 11801, 11802, 11803, 11804, 11806, 11808,
)  # fmt: skip
DEFAULT_ID = "default-data-source"
TYPES = ("localfs", "oss", "mysql", "odps", "postgresql", "hive", "dameng")
_INFO_OF_TYPE = {"localfs": "localfs", "oss": "oss", "odps": "odps"}
_NEEDED = {
    "localfs": ("path",),
    "oss": ("endpoint", "bucket", "access_key_id", "access_key_secret"),
    "odps": ("endpoint", "project", "access_key_id", "access_key_secret"),
    "dameng": ("endpoint", "database"),
}
ENCRYPTED_INFO = "encryptedInfo"
# What Go's url.Parse accepts: no spaces or special characters in the host, a numeric port, no control characters.
_HTTP_URL = re.compile(
    r"https?://(?:[^/?#\s]*@)?(?=[^/?#])(?:\[[0-9a-f:.]+\]|[^/?#\s@:\[\]\\^`{|}%]*)(?::[0-9]*)?"
    r"(?:[/?#][^\x00-\x1f\x7f]*)?",
    re.IGNORECASE,
)


def _check_owner(ctx: Context, domain_id: str, code: int = ERR_VALIDATE) -> None:
    require(not ctx.node.is_master, "master's kuscia api can't operate domain data source", code)
    require(domain_id, "domain id can not be empty", code)
    check_id(domain_id, "domain_id", code)
    own = ctx.node.domain_id
    require(domain_id == own, f"domain {own} can't operate domain {domain_id} data source", code)


def _check_type(type_: str, code: int = ERR_VALIDATE) -> None:
    require(
        type_ in TYPES,
        f"domain data source type {go_quote(type_)} doesn't support, the available types are [{','.join(TYPES)}]",
        code,
    )


def _check_info(type_: str, info: Dict, code: int) -> None:
    """Check the info of each type.

    Of the databases Kuscia checks only dameng, the last of its cases without a break (its
    pkg/kusciaapi/service/domaindata_source.go; recorded: "mysql-ds2").

    Raises:
        ApiError: the info is invalid; with the given code.
    """
    require(type_ in TYPES, f"invalid datasource type:{type_}", code)
    if type_ not in _NEEDED:
        return
    part = _part_of(type_, info)
    require(part is not None, f"{type_} info is nil", code)
    assert part is not None
    for field in _NEEDED[type_]:
        require(part[field], f"{type_} '{field}' is empty", code)
        if (type_, field) == ("odps", "endpoint"):
            require(
                _HTTP_URL.fullmatch(part["endpoint"]),
                "odps 'endpoint' is invalid, should contain the prefix: http or https",
                code,
            )


def _part_of(type_: str, info: Dict) -> Dict | None:
    """Return the part of the info that belongs to this type."""
    part: Dict | None = info[_INFO_OF_TYPE.get(type_, "database")]
    return part


def _normal_info(type_: str, info: Dict) -> tuple[str, Dict]:
    """Return the data source's URI and its info with slashes trimmed.

    Raises:
        ValueError: the part for this type is missing.
    """
    part = _part_of(type_, info)
    if part is None:
        raise ValueError("invalid datasource info")
    if type_ == "localfs":
        path = part["path"].rstrip("/")
        return path, {**info, "localfs": {"path": path}}
    if type_ == "oss":
        part = {**part, "bucket": part["bucket"].strip("/"), "prefix": part["prefix"].strip("/")}
        return posixpath.join(part["bucket"], part["prefix"]).rstrip("/"), {**info, "oss": part}
    if type_ == "odps":
        return f"{part['endpoint']}/{part['project']}", info
    return "", info


def _encrypted(ctx: Context, type_: str, info: Dict, code: int) -> Dict:
    """Return the fields `uri` and `data` of a spec with this info.

    Raises:
        ApiError: the info is invalid; with the given code.
    """
    try:
        uri, normal = _normal_info(type_, info)
    except ValueError as err:
        raise ApiError(code, f"parse data source failed, {err}") from err
    return {"uri": uri, "data": {ENCRYPTED_INFO: encrypt_info(ctx, normal)}}


def encrypt_info(ctx: Context, info: Dict) -> str:
    plain = json.dumps(render_go(info, m.DataSourceInfo), separators=(",", ":"))
    return credentials.encrypt(ctx.node.key.public_key(), plain.encode())


def _fill(data: Dict, type_: Message) -> Dict:
    """Fill in the defaults that encoding/json omitted."""
    filled = type_.defaults()
    for name, field in type_.fields.items():
        if name in data:
            filled[name] = _fill(data[name], field.type) if isinstance(field.type, Message) else data[name]
    return filled


async def read_info(ctx: Context, source: Object, code: int) -> Dict | None:
    """Return the decrypted info on its owner's node, None on a master.

    Raises:
        ApiError: it cannot be decrypted; with the given code.
    """
    own = ctx.node.domain_id == source["metadata"]["namespace"]
    return await _decode_info(ctx, source, code) if own else None


async def _decode_info(ctx: Context, source: Object, code: int) -> Dict:
    """Return the info, decrypted with this node's key and configuration regardless of the owner.

    Raises:
        ApiError: it cannot be decrypted; with the given code.
    """
    spec = source["spec"]
    if spec.get("infoKey"):
        try:
            return await _info_of_key(ctx, spec["type"], spec["infoKey"])
        except (DecodeError, ApiError) as err:
            raise ApiError(code, str(err)) from err
    encrypted = (spec.get("data") or {}).get(ENCRYPTED_INFO)
    if encrypted is None:
        raise ApiError(code, f"missing datasource info for {spec['name']}")
    try:
        plain = credentials.decrypt(ctx.node.key, encrypted)
    except ValueError as err:
        raise ApiError(code, "decrypt data source info failed, crypto/rsa: decryption error") from err
    return _fill(json.loads(plain), m.DataSourceInfo)


async def _info_of_key(ctx: Context, type_: str, key: str) -> Dict:
    """Return the info in a configuration value.

    Raises:
        DecodeError: it is not valid JSON, with the text of encoding/json.
        ApiError: the value cannot be read.
    """
    try:
        value = await config.read(ctx, key)
    except ApiError as err:
        raise ApiError(err.code, f"query info key failed: {err}") from err
    name = _INFO_OF_TYPE.get(type_, "database")
    part = m.DataSourceInfo.fields[name].type
    assert isinstance(part, Message)
    return {**m.DataSourceInfo.defaults(), name: unmarshal_go(value, part)}


@endpoints.add("create", m.CreateDomainDataSourceRequest, m.CreateDomainDataSourceResponse)
async def create(ctx: Context, request: Dict) -> Dict:
    domain_id, type_ = request["domain_id"], request["type"]
    _check_owner(ctx, domain_id)
    _check_type(type_)
    source_id = request["datasource_id"] or credentials.generated_id(type_)
    check_id(source_id, "datasource_id")
    require(
        request["info_key"] or request["info"] is not None,
        "domain data source info key and info all empty",
        ERR_CREATE,
    )
    if await _exists(ctx, domain_id, source_id):
        raise ApiError(ERR_CREATE, f"domain data source {source_id} already exist")
    spec: Dict = {
        "name": request["name"] or "",
        "type": type_,
        "accessDirectly": bool(request["access_directly"]),
    }
    if request["info_key"]:
        try:
            info = await _info_of_key(ctx, type_, request["info_key"])
        except (DecodeError, ApiError) as err:
            text = f"domain data source info key {request['info_key']} not exist"
            raise ApiError(ERR_CREATE, text) from err
        spec["uri"], _ = _normal_info(type_, info)
        spec["infoKey"] = request["info_key"]
    else:
        _check_info(type_, request["info"], ERR_VALIDATE)
        spec |= _encrypted(ctx, type_, request["info"], ERR_CREATE)
    try:
        refuse_invalid("DomainDataSource", source_id, object_name(source_id))
        await ctx.store.create("domaindatasources", domain_id, source_id, {"spec": spec})
    except StoreError as err:
        raise store_error(err, ERR_CREATE, NotFound=11305, AlreadyExists=11805) from err
    return {"data": {"datasource_id": source_id}}


async def _exists(ctx: Context, domain_id: str, source_id: str) -> bool:
    try:
        await ctx.store.get("domaindatasources", domain_id, source_id)
    except NotFound:
        return False
    return True


@endpoints.add("update", m.UpdateDomainDataSourceRequest, m.UpdateDomainDataSourceResponse)
async def update(ctx: Context, request: Dict) -> Dict:
    domain_id, source_id = request["domain_id"], request["datasource_id"]
    _check_owner(ctx, domain_id)
    require(source_id, "domain data source id can not be empty")
    check_path(domain_id, source_id, ERR_UPDATE)
    try:
        source = await ctx.store.get("domaindatasources", domain_id, source_id)
    except NotFound as err:
        text = f"domain {domain_id} data source {source_id} doesn't exist"
        raise ApiError(ERR_NOT_EXISTS, text) from err
    spec = source["spec"]
    if request["name"] is not None:
        spec["name"] = request["name"]
    if request["access_directly"] is not None:
        spec["accessDirectly"] = request["access_directly"]
    if request["type"]:
        _check_type(request["type"], ERR_UPDATE)
    # A key stays when new info is given, and takes precedence.
    if request["info_key"] is not None:
        spec["infoKey"] = request["info_key"]
    elif request["info"] is not None:
        _check_info(request["type"], request["info"], ERR_UPDATE)
        spec |= _encrypted(ctx, request["type"], request["info"], ERR_UPDATE)
    spec["type"] = request["type"] or spec["type"]
    try:
        await ctx.store.update("domaindatasources", domain_id, source_id, source)
    except StoreError as err:
        raise store_error(err, ERR_UPDATE, NotFound=ERR_NOT_EXISTS) from err
    return {}


@endpoints.add("delete", m.DeleteDomainDataSourceRequest, m.DeleteDomainDataSourceResponse)
async def delete(ctx: Context, request: Dict) -> Dict:
    domain_id, source_id = request["domain_id"], request["datasource_id"]
    _check_owner(ctx, domain_id)
    require(source_id, "domain data source id can not be empty")
    check_path(domain_id, source_id, ERR_DELETE)
    try:
        await ctx.store.delete("domaindatasources", domain_id, source_id)
    except NotFound:
        return {}
    except StoreError as err:
        raise ApiError(ERR_DELETE, err.message) from err
    return {}


@endpoints.add("query", m.QueryDomainDataSourceRequest, m.QueryDomainDataSourceResponse)
async def query(ctx: Context, request: Dict) -> Dict:
    return {"data": await _get(ctx, request["domain_id"], request["datasource_id"], ERR_QUERY)}


@endpoints.add("batchQuery", m.BatchQueryDomainDataSourceRequest, m.BatchQueryDomainDataSourceResponse)
async def batch_query(ctx: Context, request: Dict) -> Dict:
    require(request["data"], "request data can't be empty")
    sources = [await _get(ctx, k["domain_id"], k["datasource_id"], ERR_BATCH) for k in request["data"]]
    return {"data": {"datasource_list": sources}}


@endpoints.add("list", m.ListDomainDataSourceRequest, m.ListDomainDataSourceResponse)
async def list_sources(ctx: Context, request: Dict) -> Dict:
    domain_id = request["domain_id"]
    require(domain_id, "request domainID can't be empty")
    if not ctx.node.is_master:
        _check_owner(ctx, domain_id, ERR_LIST)
    check_namespace(domain_id, ERR_LIST)
    sources = await ctx.store.list("domaindatasources", domain_id)
    return {"data": {"datasource_list": [await _describe(ctx, s, ERR_LIST) for s in sources]}}


async def _get(ctx: Context, domain_id: str, source_id: str, code: int) -> Dict:
    if not ctx.node.is_master:
        _check_owner(ctx, domain_id, code)
    require(source_id, f"domain {domain_id} data source id can not be empty", code)
    failed = f"get domain {domain_id} kuscia data source {source_id} failed, "
    try:
        check_path(domain_id, source_id, code)
        source = await ctx.store.get("domaindatasources", domain_id, source_id)
    except (StoreError, ApiError) as err:
        raise ApiError(code, failed + str(err)) from err
    return await _describe(ctx, source, code)


async def _describe(ctx: Context, source: Object, code: int) -> Dict:
    spec = source["spec"]
    return {
        "domain_id": source["metadata"]["namespace"],
        "datasource_id": source["metadata"]["name"],
        "name": spec.get("name", ""),
        "type": spec["type"],
        "info": await read_info(ctx, source, code),
        "info_key": spec.get("infoKey", ""),
        "access_directly": spec.get("accessDirectly", False),
    }


async def create_default(ctx: Context, path: str) -> None:
    """Create the data source that every lite has after its start (Kuscia facts 0.14), unless it exists."""
    domain_id = ctx.node.domain_id
    if await _exists(ctx, domain_id, DEFAULT_ID):
        return
    info = {**m.DataSourceInfo.defaults(), "localfs": {"path": path}}
    spec = {
        "name": DEFAULT_ID,
        "type": "localfs",
        "uri": path,
        "data": {ENCRYPTED_INFO: encrypt_info(ctx, info)},
        "accessDirectly": True,
    }
    await ctx.store.create("domaindatasources", domain_id, DEFAULT_ID, {"spec": spec})
