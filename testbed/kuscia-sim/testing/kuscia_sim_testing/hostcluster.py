"""A host cluster for lites on a machine without one: the few calls that RunK makes, over plain HTTP.

Pods are stored and "run" according to their command: `sleep N` takes N seconds, `exit N` ends with that code, `echo X
>&2` is the message of a failed container. An image in `absent` is never pulled. No process is started.
"""

import asyncio
import datetime
import json
import re
import threading
import uuid
from collections.abc import AsyncIterator
from typing import Any

import yaml
from aiohttp import web

Object = dict[str, Any]

ABSENT_IMAGES = {"docker.io/local/doesnotexist"}
SLOW_NAMESPACES = {"lite-alice"}
"""Namespaces whose pods start later: in the recordings bob's engines start, and fail, first."""
START_SECONDS, SLOW_START_SECONDS = 0.5, 3.0
IDLE_SECONDS = 0.5
_SLEEP = re.compile(r"sleep (\d+)")
_EXIT = re.compile(r"exit (\d+)")
_STDERR = re.compile(r"echo (\S+) >&2")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _status(code: int, reason: str, text: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": text, "reason": reason,
            "code": code}  # fmt: skip
    return web.json_response(body, status=code)


class HostCluster:
    """The objects of the cluster: (plural, namespace, name) -> object."""

    def __init__(self, absent: set[str]) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self._absent = absent
        self._revision = 0
        self._changed = asyncio.Condition()
        self._events: list[tuple[int, str, tuple[str, str, str], Object]] = []
        self._running: set[asyncio.Task[None]] = set()

    def app(self) -> web.Application:
        app = web.Application()
        base = "/api/v1/namespaces/{namespace}/{plural}"
        app.router.add_get(base, self._list)
        app.router.add_post(base, self._create)
        app.router.add_get(base + "/{name}", self._get)
        app.router.add_delete(base + "/{name}", self._delete)
        app.router.add_get(base + "/{name}/log", self._log)
        return app

    def kubeconfig(self, url: str) -> str:
        cluster = {"name": "host", "cluster": {"server": url}}
        context = {"name": "host", "context": {"cluster": "host", "user": "host"}}
        user = {"name": "host", "user": {"token": "none"}}
        return yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": "host",
                               "clusters": [cluster], "contexts": [context], "users": [user]})  # fmt: skip

    async def _record(self, event: str, key: tuple[str, str, str], item: Object) -> None:
        self._revision += 1
        item["metadata"]["resourceVersion"] = str(self._revision)
        self._events.append((self._revision, event, key, json.loads(json.dumps(item))))
        async with self._changed:
            self._changed.notify_all()

    @staticmethod
    def _key(request: web.Request) -> tuple[str, str, str]:
        info = request.match_info
        return info["plural"], info["namespace"], info.get("name", "")

    @staticmethod
    def _selected(request: web.Request, item: Object) -> bool:
        wanted = request.query.get("labelSelector", "")
        labels = item["metadata"].get("labels") or {}
        pairs = [part.split("=", 1) for part in wanted.split(",") if part]
        return all(labels.get(name) == value for name, value in pairs)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        plural, namespace, _ = self._key(request)
        if request.query.get("watch"):
            return await self._watch(request)
        items = [
            item
            for key, item in sorted(self.objects.items())
            if key[:2] == (plural, namespace) and self._selected(request, item)
        ]
        metadata = {"resourceVersion": str(self._revision)}
        return web.json_response({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        plural, namespace, _ = self._key(request)
        seen = int(request.query.get("resourceVersion") or self._revision)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        async for event in self._follow(seen, float(request.query.get("timeoutSeconds") or 60)):
            _, kind, key, item = event
            if key[:2] == (plural, namespace) and self._selected(request, item):
                await response.write(json.dumps({"type": kind, "object": item}).encode() + b"\n")
        return response

    async def _follow(self, seen: int, seconds: float) -> AsyncIterator[tuple[int, str, tuple[str, str, str], Object]]:
        deadline = asyncio.get_running_loop().time() + seconds
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            for event in [e for e in self._events if e[0] > seen]:
                seen = event[0]
                yield event
            try:
                async with asyncio.timeout(left), self._changed:
                    await self._changed.wait()
            except TimeoutError:
                return

    async def _get(self, request: web.Request) -> web.Response:
        key = self._key(request)
        if key not in self.objects:
            return _status(404, "NotFound", f'{key[0]} "{key[2]}" not found')
        return web.json_response(self.objects[key])

    async def _create(self, request: web.Request) -> web.Response:
        plural, namespace, _ = self._key(request)
        item = await request.json()
        name = item["metadata"]["name"]
        key = (plural, namespace, name)
        if key in self.objects:
            return _status(409, "AlreadyExists", f'{plural} "{name}" already exists')
        item["metadata"] |= {"uid": str(uuid.uuid4()), "namespace": namespace, "creationTimestamp": _now()}
        self.objects[key] = item
        if plural == "pods":
            item["status"] = {"phase": "Pending", "startTime": _now()}
            task = asyncio.create_task(self._run(key, item))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        await self._record("ADDED", key, item)
        return web.json_response(item, status=201)

    async def _delete(self, request: web.Request) -> web.Response:
        key = self._key(request)
        item = self.objects.pop(key, None)
        if item is None:
            return _status(404, "NotFound", f'{key[0]} "{key[2]}" not found')
        await self._record("DELETED", key, item)
        return web.json_response(item)

    async def _log(self, request: web.Request) -> web.Response:
        plural, namespace, name = self._key(request)
        pod = self.objects.get((plural, namespace, name))
        if pod is None:
            return _status(404, "NotFound", f'pods "{name}" not found')
        return web.Response(text="".join(_STDERR.findall(_command(pod))))

    async def _run(self, key: tuple[str, str, str], pod: Object) -> None:
        """Report the pod's status step by step, as a kubelet does."""
        container = pod["spec"]["containers"][0]
        base = {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}
        if container["image"].split(":")[0] in self._absent:
            waiting = {"reason": "ContainerCreating"}
            await self._report(key, pod, "Pending", {**base, "ready": False, "state": {"waiting": waiting}})
            return
        await asyncio.sleep(SLOW_START_SECONDS if key[1] in SLOW_NAMESPACES else START_SECONDS)
        started = _now()
        await self._report(key, pod, "Running", {**base, "ready": True, "state": {"running": {"startedAt": started}}})
        command = _command(pod)
        seconds = sum(int(n) for n in _SLEEP.findall(command))
        await asyncio.sleep(seconds or IDLE_SECONDS)
        code = int(next(iter(_EXIT.findall(command)), "0"))
        ended = {"exitCode": code, "reason": "Error" if code else "Completed", "startedAt": started,
                 "finishedAt": _now()}  # fmt: skip
        if code:
            ended["message"] = "".join(f"{text}\n" for text in _STDERR.findall(command))
        phase = "Failed" if code else "Succeeded"
        await self._report(key, pod, phase, {**base, "ready": False, "state": {"terminated": ended}})

    async def _report(self, key: tuple[str, str, str], pod: Object, phase: str, container: Object) -> None:
        if key not in self.objects:
            return
        ready = "True" if container["ready"] else "False"
        pod["status"] |= {
            "phase": phase,
            "podIP": "127.0.0.1",
            "containerStatuses": [container],
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": _now()}],
        }
        await self._record("MODIFIED", key, pod)


def _command(pod: Object) -> str:
    container = pod["spec"]["containers"][0]
    return " ".join([*(container.get("command") or []), *(container.get("args") or [])])


class HostClusterServer:
    """Serves a HostCluster in a thread."""

    def __init__(self, absent: set[str]) -> None:
        self._ready = threading.Event()
        self._absent = absent
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.kubeconfig = ""
        self._thread.start()
        if not self._ready.wait(10):
            raise TimeoutError("the host cluster did not start")

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._loop.run_forever()

    async def _start(self) -> None:
        cluster = HostCluster(self._absent)
        self._runner = web.AppRunner(cluster.app(), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.kubeconfig = cluster.kubeconfig(f"http://127.0.0.1:{port}")
        self._ready.set()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _stop(self) -> None:
        await self._runner.cleanup()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
