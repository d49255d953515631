"""The Kubernetes API of the benchmark: objects of the core group in memory, over aiohttp.

It offers what the steps call: get, list, create, merge patch, update and delete of namespaced objects, with
resourceVersion. It neither validates nor authorizes.
"""

import asyncio
import itertools
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

Object = dict[str, Any]
Key = tuple[str, str, str]

READ_SECONDS, WRITE_SECONDS = 0.003, 0.008
"""What the API server of a small cluster takes; etcd writes to disk before it answers."""


class ApiServer:
    """Objects by kind, namespace and name.

    Attributes:
        counts: requests so far, such as `get secrets`.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._objects: dict[Key, Object] = {}
        self._revisions = itertools.count(1)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=8 * 2**20)
        base = "/api/v1/namespaces/{namespace}/{kind}"
        app.router.add_get(base, self._list)
        app.router.add_post(base, self._create)
        app.router.add_get(base + "/{name}", self._get)
        app.router.add_patch(base + "/{name}", self._patch)
        app.router.add_put(base + "/{name}", self._update)
        app.router.add_delete(base + "/{name}", self._delete)
        return app

    def put(self, kind: str, namespace: str, name: str, **fields: Any) -> None:
        """Create or replace an object."""
        body = {"metadata": {"name": name, "namespace": namespace}, **fields}
        self._store((kind, namespace, name), body)

    def data(self, kind: str, namespace: str, name: str) -> dict[str, str]:
        """Return the data of a Secret or ConfigMap as it is stored. Raises KeyError if it does not exist."""
        found: dict[str, str] = self._objects[kind, namespace, name]["data"]
        return found

    def size(self, kind: str) -> int:
        """Return the number of objects of a kind."""
        return sum(key[0] == kind for key in self._objects)

    def _store(self, key: Key, body: Object) -> Object:
        kind, namespace, name = key
        before = self._objects.get(key, {}).get("metadata", {})
        kept = {"uid": before.get("uid") or f"uid-{kind}-{namespace}-{name}"}
        kept["creationTimestamp"] = "2026-01-01T00:00:00Z"
        kept["resourceVersion"] = str(next(self._revisions))
        body["metadata"] = {**body.get("metadata", {}), "name": name, "namespace": namespace, **kept}
        self._objects[key] = body
        return body

    async def _begin(self, request: web.Request, verb: str) -> Key:
        info = request.match_info
        kind = info["kind"]
        self.counts[f"{verb} {kind}"] += 1
        await asyncio.sleep(READ_SECONDS if verb in ("get", "list") else WRITE_SECONDS)
        return kind, info["namespace"], info.get("name", "")

    async def _list(self, request: web.Request) -> web.Response:
        kind, namespace, _ = await self._begin(request, "list")
        wanted = [pair.split("=", 1) for pair in request.query.get("labelSelector", "").split(",") if "=" in pair]
        items = [
            item
            for key, item in sorted(self._objects.items())
            if key[:2] == (kind, namespace)
            and all((item["metadata"].get("labels") or {}).get(name) == value for name, value in wanted)
        ]
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": items})

    async def _get(self, request: web.Request) -> web.Response:
        key = await self._begin(request, "get")
        found = self._objects.get(key)
        return _missing(key) if found is None else web.json_response(found)

    async def _create(self, request: web.Request) -> web.Response:
        kind, namespace, _ = await self._begin(request, "create")
        body = await request.json()
        key = kind, namespace, body["metadata"]["name"]
        if key in self._objects:
            return _failure(409, "AlreadyExists", f'{kind} "{key[2]}" already exists')
        return web.json_response(self._store(key, body), status=201)

    async def _patch(self, request: web.Request) -> web.Response:
        key = await self._begin(request, "patch")
        found = self._objects.get(key)
        if found is None:
            return _missing(key)
        patch = json.loads(await request.read())
        if conflict := _conflict(found, patch):
            return conflict
        return web.json_response(self._store(key, merge_patch(found, patch)))

    async def _update(self, request: web.Request) -> web.Response:
        key = await self._begin(request, "update")
        found = self._objects.get(key)
        if found is None:
            return _missing(key)
        body = await request.json()
        if conflict := _conflict(found, body):
            return conflict
        return web.json_response(self._store(key, body))

    async def _delete(self, request: web.Request) -> web.Response:
        key = await self._begin(request, "delete")
        if self._objects.pop(key, None) is None:
            return _missing(key)
        return web.json_response({"kind": "Status", "status": "Success"})


@contextmanager
def in_thread(server: ApiServer) -> Iterator[str]:
    """Serve plain HTTP from a thread and yield the URL."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(server.app(), access_log=None)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def begin() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    try:
        yield f"http://127.0.0.1:{asyncio.run_coroutine_threadsafe(begin(), loop).result(10)}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def kubeconfig(url: str, namespace: str, ca: str = "") -> str:
    """Return a kubeconfig; JSON is YAML.

    Args:
        ca: the certificate authority of an https URL, as base64 of PEM.
    """
    cluster = {"server": url} | ({"certificate-authority-data": ca} if ca else {})
    context = {"cluster": "bench", "user": "bench", "namespace": namespace}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "bench",
            "clusters": [{"name": "bench", "cluster": cluster}],
            "contexts": [{"name": "bench", "context": context}],
            "users": [{"name": "bench", "user": {"token": "none"}}],
        }
    )


def merge_patch(target: Any, patch: Any) -> Any:
    """Return `target` changed by a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def _conflict(found: Object, given: Object) -> web.Response | None:
    version = (given.get("metadata") or {}).get("resourceVersion")
    if version in (None, found["metadata"]["resourceVersion"]):
        return None
    return _failure(409, "Conflict", "the object has been modified")


def _missing(key: Key) -> web.Response:
    return _failure(404, "NotFound", f'{key[0]} "{key[2]}" not found')


def _failure(code: int, reason: str, message: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message}
    return web.json_response({**body, "code": code}, status=code)
