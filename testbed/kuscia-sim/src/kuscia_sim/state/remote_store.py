"""A lite's access to its master's state through both gateways (in Kuscia the embedded API server behind 1080).

The master's end listens on loopback only. Its Envoy accepts a request only with the domain's current `Kuscia-Token`, so
`Kuscia-Source` can be trusted there. Access follows the role of a domain in Kuscia: its own namespace, and elsewhere
what it takes part in.
"""

import time
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp import web

from kuscia_sim.gateway.envoy import INTERNAL_PORT
from kuscia_sim.log import Log
from kuscia_sim.node.host import Host
from kuscia_sim.node.node import MasterUnreachable
from kuscia_sim.state.store import (
    CLUSTER_SCOPED,
    ERRORS,
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Object,
    Store,
    StoreError,
    resource,
)

APISERVER_HOST = "apiserver.master.svc"
API_HOST = "kusciaapi.master.svc"
BASE = "/sim/v1"
NO_NAMESPACE = "-"
CALL_TIMEOUT = 30.0
LONGEST_WAIT = 25.0
STATUS = {NotFound: 404, AlreadyExists: 409, Conflict: 409, Forbidden: 403, Invalid: 422}
CROSS_DOMAIN = "cross-domain"
NODE_NAMESPACE_LABEL = "kuscia.secretflow/namespace"
READ_BY_ALL = frozenset({"appimages"})
JOB_KINDS = frozenset({"kusciajobs", "kusciatasks"})

log = Log(__name__)


class RemoteStore:
    """A Store (see kuscia_sim.state.store) on the master. Raises MasterUnreachable if the master does not answer."""

    def __init__(self, host: Host) -> None:
        self._base = f"http://{host.loopback}:{host.port(INTERNAL_PORT)}{BASE}"
        self._session: aiohttp.ClientSession | None = None
        self._reached = 0.0
        self._failed = 0.0

    def reachable(self) -> bool:
        """Tell whether the last call succeeded."""
        return self._reached >= self._failed

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def get(self, kind: str, namespace: str, name: str) -> Object:
        answer: Object = await self._call("GET", _path(kind, namespace, name))
        return answer

    async def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        params = {} if namespace is None else {"namespace": namespace}
        items: list[Object] = (await self._call("GET", f"/objects/{kind}", params=params))["items"]
        return items

    async def create(self, kind: str, namespace: str, name: str, obj: Object) -> Object:
        answer: Object = await self._call("POST", _path(kind, namespace, name), obj)
        return answer

    async def update(self, kind: str, namespace: str, name: str, obj: Object) -> Object:
        answer: Object = await self._call("PUT", _path(kind, namespace, name), obj)
        return answer

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        await self._call("DELETE", _path(kind, namespace, name))

    async def wait_change(self, since: int, timeout: float) -> int:
        params = {"since": str(since), "timeout": str(min(timeout, LONGEST_WAIT))}
        return int((await self._call("GET", "/revision", params=params))["revision"])

    async def _call(
        self, method: str, path: str, body: Object | None = None, params: dict[str, str] | None = None
    ) -> Any:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=CALL_TIMEOUT)
            self._session = aiohttp.ClientSession(headers={"Host": APISERVER_HOST}, timeout=timeout)
        try:
            async with self._session.request(method, self._base + path, json=body, params=params) as answer:
                found = await answer.json(content_type=None) if answer.status != 204 else None
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as err:
            self._failed = time.monotonic()
            raise MasterUnreachable(f"{method} {APISERVER_HOST}{path}: {err or type(err).__name__}") from err
        if status < 300:
            self._reached = time.monotonic()
            return found
        if isinstance(found, dict) and found.get("reason") in ERRORS:
            self._reached = time.monotonic()
            raise ERRORS[found["reason"]](found["message"])
        self._failed = time.monotonic()
        raise MasterUnreachable(f"{method} {APISERVER_HOST}{path}: the master's gateway answered {status}")


class RemoteAPI:
    """A lite's connection to its master's internal KusciaAPI (kuscia_sim.node.node.MasterAPI)."""

    def __init__(self, host: Host) -> None:
        self._base = f"http://{host.loopback}:{host.port(INTERNAL_PORT)}"
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def post(self, path: str, body: bytes) -> bytes:
        if self._session is None:
            headers = {"Host": API_HOST, "Content-Type": "application/json"}
            timeout = aiohttp.ClientTimeout(total=CALL_TIMEOUT)
            self._session = aiohttp.ClientSession(headers=headers, timeout=timeout)
        try:
            async with self._session.post(self._base + path, data=body) as answer:
                text = await answer.read()
                if answer.status != 200:
                    raise MasterUnreachable(f"POST {API_HOST}{path}: status {answer.status}")
                return text
        except (aiohttp.ClientError, TimeoutError) as err:
            raise MasterUnreachable(f"POST {API_HOST}{path}: {err or type(err).__name__}") from err


def may_see(domain_id: str, kind: str, obj: Object) -> bool:
    """Tell whether a domain may read an object."""
    namespace, name = obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
    if namespace == domain_id or kind in READ_BY_ALL:
        return True
    if kind in ("domains", "namespaces"):
        return bool(name == domain_id)
    if kind == "nodes":
        return (obj["metadata"].get("labels") or {}).get(NODE_NAMESPACE_LABEL) == domain_id
    spec = obj.get("spec") or {}
    if kind == "clusterdomainroutes":
        return domain_id in (spec.get("source"), spec.get("destination"))
    if namespace == CROSS_DOMAIN:
        return domain_id in participants(spec)
    return False


def may_change(domain_id: str, kind: str, obj: Object) -> bool:
    """Tell whether a domain may create, change or delete an object."""
    if obj["metadata"].get("namespace", "") == domain_id:
        return True
    return kind == "nodes" and may_see(domain_id, kind, obj)


def participants(spec: Object) -> set[str]:
    """Return the domains that take part in a KusciaJob or KusciaTask."""
    found = {spec.get("initiator", "")}
    for part in (spec, *(spec.get("tasks") or [])):
        found |= {party.get("domainID", "") for party in part.get("parties") or []}
    return found - {""}


def server_app(store: Store) -> web.Application:
    """Return the application of the master's end, which must only be reachable for authenticated domains."""
    return _Server(store).app()


class _Server:
    def __init__(self, store: Store) -> None:
        self._store = store

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 2**20, middlewares=[_errors])
        one = BASE + "/objects/{kind}/{namespace}/{name}"
        app.router.add_get(BASE + "/revision", self._revision)
        app.router.add_get(BASE + "/objects/{kind}", self._list)
        app.router.add_get(one, self._get)
        app.router.add_post(one, self._create)
        app.router.add_put(one, self._update)
        app.router.add_delete(one, self._delete)
        return app

    async def _revision(self, request: web.Request) -> web.Response:
        since, timeout = int(request.query.get("since", "0")), float(request.query.get("timeout", "0"))
        revision = await self._store.wait_change(since, min(timeout, LONGEST_WAIT))
        return web.json_response({"revision": revision})

    async def _list(self, request: web.Request) -> web.Response:
        caller, kind = request.headers["Kuscia-Source"], request.match_info["kind"]
        namespace = request.query.get("namespace")
        if namespace is not None:
            _check_namespace(caller, "list", kind, namespace)
        items = await self._store.list(kind, namespace)
        return web.json_response({"items": [item for item in items if may_see(caller, kind, item)]})

    async def _get(self, request: web.Request) -> web.Response:
        caller, kind, namespace, name = _asked(request)
        _check_namespace(caller, "get", kind, namespace, name)
        obj = await self._store.get(kind, namespace, name)
        if not may_see(caller, kind, obj):
            raise _forbidden(caller, "get", kind, namespace, name)
        return web.json_response(obj)

    async def _create(self, request: web.Request) -> web.Response:
        caller, kind, namespace, name = _asked(request)
        _check_namespace(caller, "create", kind, namespace, name)
        obj = await request.json()
        wanted = {**obj, "metadata": {**obj.get("metadata", {}), "namespace": namespace, "name": name}}
        if not may_change(caller, kind, wanted):
            raise _forbidden(caller, "create", kind, namespace, name)
        return web.json_response(await self._store.create(kind, namespace, name, obj))

    async def _update(self, request: web.Request) -> web.Response:
        caller, kind, namespace, name = _asked(request)
        _check_namespace(caller, "update", kind, namespace, name)
        if not may_change(caller, kind, await self._store.get(kind, namespace, name)):
            raise _forbidden(caller, "update", kind, namespace, name)
        return web.json_response(await self._store.update(kind, namespace, name, await request.json()))

    async def _delete(self, request: web.Request) -> web.Response:
        caller, kind, namespace, name = _asked(request)
        _check_namespace(caller, "delete", kind, namespace, name)
        if not may_change(caller, kind, await self._store.get(kind, namespace, name)):
            raise _forbidden(caller, "delete", kind, namespace, name)
        await self._store.delete(kind, namespace, name)
        return web.Response(status=204)


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        answer: web.StreamResponse = await handler(request)
    except StoreError as err:
        status = STATUS.get(type(err), 500)
        return web.json_response({"reason": err.reason, "message": str(err)}, status=status)
    return answer


def _asked(request: web.Request) -> tuple[str, str, str, str]:
    namespace = request.match_info["namespace"]
    return (
        request.headers["Kuscia-Source"],
        request.match_info["kind"],
        "" if namespace == NO_NAMESPACE else namespace,
        request.match_info["name"],
    )


def _path(kind: str, namespace: str, name: str) -> str:
    return f"/objects/{kind}/{quote(namespace or NO_NAMESPACE, safe='')}/{quote(name, safe='')}"


def _check_namespace(caller: str, verb: str, kind: str, namespace: str, name: str = "") -> None:
    """Reject access to another domain's namespace, whether or not the object exists.

    The API server checks RBAC before it looks anything up, and a domain's role covers its own namespace (Kuscia's
    etc/conf/domain-namespace-res.yaml). The stand-in also lets a lite read its jobs and tasks in `cross-domain`.

    Raises:
        Forbidden: the namespace belongs to another domain.
    """
    if kind in CLUSTER_SCOPED or namespace == caller:
        return
    if namespace != CROSS_DOMAIN or kind not in JOB_KINDS:
        raise _forbidden(caller, verb, kind, namespace, name)


def _forbidden(caller: str, verb: str, kind: str, namespace: str, name: str) -> Forbidden:
    """Return the API server's error for the service account of the domain; a list has no name."""
    plural, _, group = resource(kind).partition(".")
    what = f'{resource(kind)} "{name}"' if name else resource(kind)
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    user = f"system:serviceaccount:{caller}:{caller}"
    return Forbidden(
        f'{what} is forbidden: User "{user}" cannot {verb} resource "{plural}" in API group "{group}" {where}'
    )
