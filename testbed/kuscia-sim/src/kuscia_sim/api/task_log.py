"""Engine output: /api/v1/log/... (Kuscia facts 7.4)."""

import asyncio
import json
from collections.abc import AsyncIterator

from kuscia_sim.api import messages as m
from kuscia_sim.api.validation import check_path
from kuscia_sim.jobs.names import CROSS_DOMAIN
from kuscia_sim.node.node import MasterUnreachable
from kuscia_sim.state.store import StoreError
from kuscia_sim.transport.endpoints import ERR_NOT_ON_MASTER, ApiError, Context, Endpoints
from kuscia_sim.transport.protojson import Dict

endpoints = Endpoints("/api/v1/log/")

ERR_QUERY, ERR_NODE = 13200, 13201
NODE_QUERY = "/api/v1/log/node/query"
LINES = 100
PERIOD = 5.0


@endpoints.add_stream("task/query", m.QueryLogRequest, m.QueryLogResponse, headers={"Cache-Control": "no-cache"})
async def query_task_log(ctx: Context, request: Dict) -> AsyncIterator[Dict]:
    """Yield up to 100 lines per object, at least every 5 seconds, on the lite where the engine ran."""
    if ctx.node.is_master:
        raise ApiError(ERR_NOT_ON_MASTER, "kuscia master api not support this interface now")
    if not request["local"]:
        await _check_node(ctx, request)
    task, replica = request["task_id"], request["replica_idx"]
    prefix = f"{ctx.node.domain_id}_{task}-{replica}"
    agent = ctx.node.agent
    if agent is None:
        raise ApiError(ERR_QUERY, _no_directory(prefix))
    lines = aiter(agent.task_log(task, replica, request["container"], request["follow"]))
    buffer: list[str] = []
    following: asyncio.Future[str] | None = None
    loop = asyncio.get_running_loop()
    due = loop.time() + PERIOD
    try:
        while True:
            following = following or asyncio.ensure_future(_next(lines))
            await asyncio.wait([following], timeout=max(0.0, due - loop.time()))
            if following.done():
                buffer.append(following.result())
                following = None
            if buffer and (len(buffer) >= LINES or loop.time() >= due):
                yield _chunk(buffer)
                buffer = []
            if loop.time() >= due:
                due = loop.time() + PERIOD
    except StopAsyncIteration:
        if buffer:
            yield _chunk(buffer)
    except LookupError as err:
        raise ApiError(ERR_QUERY, str(err.args[0]) if err.args else _no_directory(prefix)) from err
    finally:
        if following is not None:
            following.cancel()


async def _check_node(ctx: Context, request: Dict) -> None:
    """Check with the master that the engine ran on this instance.

    Raises:
        ApiError: it did not.
    """
    asked = {"task_id": request["task_id"], "domain": ctx.node.domain_id, "replica_idx": request["replica_idx"]}
    try:
        assert ctx.node.master_api is not None
        answer = json.loads(await ctx.node.master_api.post(NODE_QUERY, json.dumps(asked).encode()))
    except MasterUnreachable as err:
        raise ApiError(ERR_QUERY, f"failed to get pod node from master, err: {err}") from err
    status = answer["status"]
    if status["code"]:
        raise ApiError(ERR_QUERY, f"failed to get pod node from master, err: {status['message']}")
    if answer["node_name"] != ctx.node.hostname:
        # Kuscia asks the KusciaAPI of that instance; here each domain has one instance at a time.
        raise ApiError(ERR_QUERY, f"failed to proxy query, err: {answer['node_name']} is another instance")


async def _next(lines: AsyncIterator[str]) -> str:
    return await anext(lines)


def _chunk(lines: list[str]) -> Dict:
    return {"status": {"code": 0, "message": "success"}, "log": "\n".join(lines)}


def _no_directory(prefix: str) -> str:
    return f"failed to local query, err: can't find pod log directory for {prefix}, err: <nil>"


@endpoints.add("node/query", m.QueryPodNodeRequest, m.QueryPodNodeResponse, on_lite="proxied")
async def query_pod_node(ctx: Context, request: Dict) -> Dict:
    """Return the node an engine runs on, from the status of its task."""
    task_id = request["task_id"]
    pod = f"{request['domain']}/{task_id}-{request['replica_idx']}"
    check_path(CROSS_DOMAIN, task_id, ERR_NODE)
    try:
        task = await ctx.store.get("kusciatasks", CROSS_DOMAIN, task_id)
        status = task.get("status") or {}
        if status.get("phase") == "Pending":
            raise ApiError(ERR_NODE, f"task {task_id} status pending, please try later")
        found = (status.get("podStatuses") or {}).get(pod)
        if found is None:
            raise ApiError(ERR_NODE, f"task {task_id} hasn't created pod {pod} yet, please try later")
        if found.get("podPhase") == "Pending":
            raise ApiError(ERR_NODE, f"task pod {pod} status pending, please try later")
    except StoreError as err:
        raise ApiError(ERR_NODE, err.message) from err
    name = found.get("nodeName", "")
    failed = f"failed to get node ip for node {name}, err: "
    try:
        check_path(None, name, ERR_NODE)
        node = await ctx.store.get("nodes", "", name)
    except (StoreError, ApiError) as err:
        raise ApiError(ERR_NODE, f"{failed}failed to get k8s node, {err}") from err
    addresses = (node.get("status") or {}).get("addresses", [])
    internal = [a["address"] for a in addresses if a["type"] == "InternalIP"]
    if not internal:
        raise ApiError(ERR_NODE, f"{failed}internal ip not exists in node {name}")
    return {"node_name": name, "node_ip": internal[0]}
