"""Configuration values of a node: /api/v1/config/... (Kuscia facts 7.4).

Values are encrypted with the node's key in the ConfigMap `domain-config` of its namespace. Kuscia reads that ConfigMap
through a cache, so a new value is not visible at once (recorded); LAG models the delay.
"""

import time

from kuscia_sim import credentials
from kuscia_sim.api import messages as m
from kuscia_sim.api.validation import require
from kuscia_sim.state.object_names import configmap_key, refuse_invalid
from kuscia_sim.state.store import AlreadyExists, Invalid, NotFound, Object, StoreError
from kuscia_sim.transport.endpoints import ApiError, Context, Endpoints
from kuscia_sim.transport.protojson import Dict

endpoints = Endpoints("/api/v1/config/")

ERR_CREATE, ERR_QUERY, ERR_UPDATE, ERR_DELETE, ERR_BATCH = 11900, 11901, 11902, 11903, 11904
NAME = "domain-config"
MAX_KEY = 256
LAG = 0.6
_WRITTEN = "written"


async def _load(ctx: Context) -> Object:
    try:
        return await ctx.store.get("configmaps", ctx.node.domain_id, NAME)
    except NotFound:
        return {"data": {}}


def _seen(config: Object) -> dict[str, str]:
    """Return what the cache shows: the previous data until LAG seconds after a write."""
    if time.time() - config.get(_WRITTEN, 0) < LAG:
        return config.get("former") or {}
    return config.get("data") or {}


async def read(ctx: Context, key: str, code: int = ERR_QUERY) -> str:
    """Return the decrypted value, or "".

    Raises:
        ApiError: it cannot be decrypted; with the given code.
    """
    encrypted = _seen(await _load(ctx)).get(key, "")
    if not encrypted:
        return ""
    try:
        return credentials.decrypt(ctx.node.key, encrypted).decode()
    except ValueError as err:
        raise ApiError(code, "crypto/rsa: decryption error") from err


async def _write(ctx: Context, values: dict[str, str | None], code: int) -> None:
    config = await _load(ctx)
    data = dict(config.get("data") or {})
    for key, value in values.items():
        if value is None:
            data.pop(key, None)
            continue
        length = len(key.encode())
        too_long = f"key[{key}] length is {length} bytes and exceed the max length {MAX_KEY} bytes"
        require(length <= MAX_KEY, too_long, code)
        data[key] = credentials.encrypt(ctx.node.key.public_key(), value.encode())
    try:
        errors = [error for key in data for error in configmap_key(key)]
        refuse_invalid("ConfigMap", NAME, errors)
    except Invalid as err:
        raise ApiError(code, err.message) from err
    config |= {"former": _seen(config), "data": data, _WRITTEN: time.time()}
    try:
        if "metadata" in config:
            await ctx.store.update("configmaps", ctx.node.domain_id, NAME, config)
        else:
            await ctx.store.create("configmaps", ctx.node.domain_id, NAME, config)
    except AlreadyExists:
        await _write(ctx, values, code)
    except StoreError as err:
        raise ApiError(code, err.message) from err


def _pairs(request: Dict) -> dict[str, str | None]:
    require(request["data"], "request data can't be empty")
    for index, item in enumerate(request["data"]):
        require(item["key"], f"request data[{index}].key can't be empty")
    return {item["key"]: item["value"] for item in request["data"]}


def _keys(request: Dict) -> list[str]:
    keys: list[str] = request["keys"]
    require(keys, "request keys can't be empty")
    for index, key in enumerate(keys):
        require(key, f"request keys[{index}] can't be empty")
    return keys


@endpoints.add("create", m.CreateConfigRequest, m.CreateConfigResponse)
async def create(ctx: Context, request: Dict) -> Dict:
    values = _pairs(request)
    known = _seen(await _load(ctx))
    for key in values:
        try:
            await read(ctx, key, ERR_CREATE)
        except ApiError as err:
            raise ApiError(err.code, f"get key[{key}] value failed, {err.text}") from err
        require(
            key not in known,
            f"request key[{key}] already exist, duplicate creation is not allowed",
            ERR_CREATE,
        )
    await _write(ctx, values, ERR_CREATE)
    return {}


@endpoints.add("query", m.QueryConfigRequest, m.QueryConfigResponse)
async def query(ctx: Context, request: Dict) -> Dict:
    require(request["key"], "request key can't be empty")
    return {"key": request["key"], "value": await read(ctx, request["key"])}


@endpoints.add("update", m.UpdateConfigRequest, m.UpdateConfigResponse)
async def update(ctx: Context, request: Dict) -> Dict:
    await _write(ctx, _pairs(request), ERR_UPDATE)
    return {}


@endpoints.add("delete", m.DeleteConfigRequest, m.DeleteConfigResponse)
async def delete(ctx: Context, request: Dict) -> Dict:
    keys = _keys(request)
    # Kuscia patches what its cache shows, so a key that was just written stays.
    seen = _seen(await _load(ctx))
    if gone := [key for key in keys if key in seen]:
        await _write(ctx, dict.fromkeys(gone), ERR_DELETE)
    return {}


@endpoints.add("batchQuery", m.BatchQueryConfigRequest, m.BatchQueryConfigResponse)
async def batch_query(ctx: Context, request: Dict) -> Dict:
    keys = dict.fromkeys(_keys(request))
    return {"data": [{"key": key, "value": await read(ctx, key, ERR_BATCH)} for key in keys]}
