"""Serving: /api/v1/serving/...; the stand-in runs none, so there is only what asks for one."""

from kuscia_sim.api.messages import status_only
from kuscia_sim.api.rules import check_path, require
from kuscia_sim.protojson import INT32, STR, Dict, Message, message, repeated
from kuscia_sim.store import Object, StoreError
from kuscia_sim.wire import ApiError, Context, Endpoints, RequestHeader, Status

endpoints = Endpoints("/api/v1/serving/", on_lite="proxied")

ERR_QUERY, ERR_STATUS, ERR_DELETE = 11601, 11602, 11604
KIND, NAMESPACE = "kusciadeployments", "cross-domain"

_Detail = message(
    "ServingStatusDetail",
    state=STR,
    reason=STR,
    message=STR,
    total_parties=INT32,
    available_parties=INT32,
    create_time=STR,
)
_ServingStatus = message("ServingStatus", serving_id=STR, status=_Detail)
_QueryResponse = message(
    "QueryServingResponse",
    status=Status,
    data=message("QueryServingResponseData", serving_input_config=STR, initiator=STR, status=_Detail),
)
_BatchRequest = message("BatchQueryServingStatusRequest", header=RequestHeader, serving_ids=repeated(STR))
_BatchResponse = message(
    "BatchQueryServingStatusResponse",
    status=Status,
    data=message("BatchQueryServingStatusResponseData", servings=repeated(_ServingStatus)),
)


def _request(name: str) -> Message:
    return message(name, header=RequestHeader, serving_id=STR)


def _check_id(_ctx: Context, request: Dict) -> None:
    require(request["serving_id"], "serving id can not be empty")


def _check_ids(_ctx: Context, request: Dict) -> None:
    require(request["serving_ids"], "serving ids can not be empty")


async def _get(ctx: Context, serving_id: str, code: int) -> Object:
    check_path(NAMESPACE, serving_id, code)
    try:
        return await ctx.store.get(KIND, NAMESPACE, serving_id)
    except StoreError as err:
        raise ApiError(code, err.message) from err


@endpoints.add("query", _request("QueryServingRequest"), _QueryResponse, check=_check_id)
async def query(ctx: Context, request: Dict) -> Dict:
    spec = (await _get(ctx, request["serving_id"], ERR_QUERY))["spec"]
    return {"data": {"serving_input_config": spec["inputConfig"], "initiator": spec["initiator"]}}


@endpoints.add("status/batchQuery", _BatchRequest, _BatchResponse, check=_check_ids)
async def batch_query(ctx: Context, request: Dict) -> Dict:
    ids = request["serving_ids"]
    for serving_id in ids:
        await _get(ctx, serving_id, ERR_STATUS)
    return {"data": {"servings": [{"serving_id": serving_id} for serving_id in ids]}}


@endpoints.add("delete", _request("DeleteServingRequest"), status_only("DeleteServingResponse"), check=_check_id)
async def delete(ctx: Context, request: Dict) -> Dict:
    await _get(ctx, request["serving_id"], ERR_DELETE)
    await ctx.store.delete(KIND, NAMESPACE, request["serving_id"])
    return {}
