"""Serving: /api/v1/serving/query (Kuscia facts 7.4). The stand-in runs no servings, so it never finds one."""

from kuscia_sim.api import messages as m
from kuscia_sim.api.validation import check_path, require
from kuscia_sim.state.store import StoreError
from kuscia_sim.transport.endpoints import ApiError, Context, Endpoints
from kuscia_sim.transport.protojson import Dict

endpoints = Endpoints("/api/v1/serving/", on_lite="proxied")

ERR_QUERY = 11601
KIND, NAMESPACE = "kusciadeployments", "cross-domain"


def _check_id(_ctx: Context, request: Dict) -> None:
    require(request["serving_id"], "serving id can not be empty")


@endpoints.add("query", m.QueryServingRequest, m.QueryServingResponse, check=_check_id)
async def query(ctx: Context, request: Dict) -> Dict:
    check_path(NAMESPACE, request["serving_id"], ERR_QUERY)
    try:
        await ctx.store.get(KIND, NAMESPACE, request["serving_id"])
    except StoreError as err:
        raise ApiError(ERR_QUERY, err.message) from err
    return {}
