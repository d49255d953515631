"""An API server in memory, as a transport of httpx: the client of the steps runs as it is.

Objects are stored as JSON objects of the API server.
"""

import copy
import datetime
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import httpx

from tests.hooks.fakes.planted import PLANTED


class ApiError(Exception):
    """An error that the API server returns."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def api_exception(status: int, message: str) -> ApiError:
    """Return the exception that makes the API server return an error."""
    return ApiError(status, message)


_PATH = re.compile(
    r"/(?:api/v1|apis/batch/v1|apis/authorization\.k8s\.io/v1)"
    r"(?:/namespaces/(?P<namespace>[^/]+))?/(?P<kind>[a-z]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>[a-z]+))?)?"
)
_VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}


class FakeCore(httpx.BaseTransport):
    """Secrets, ConfigMaps, Services, Pods, Jobs, Events and ServiceAccounts.

    Attributes:
        calls: verb, kind and name of each request; the name of a list is its selector.
        used: verb, kind, namespace and name of each request that was allowed.
        fail: is called with verb, kind and name before each call, and may raise or change the state.
        pods: by namespace.
        jobs: by namespace.
        logs: by namespace, pod, container, and whether it is the previous run.
        refused: permissions that the user does not have, as verb and resource.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.calls: list[tuple[str, str, str]] = []
        self.used: set[tuple[str, str, str, str]] = set()
        self.fail: Callable[[str, str, str], None] = lambda verb, kind, name: None
        self.pods: dict[str, list[dict[str, Any]]] = {}
        self.jobs: dict[str, list[dict[str, Any]]] = {}
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.logs: dict[tuple[str, str, str, bool], bytes] = {}
        self.refused: set[tuple[str, str]] = set()
        self._versions = 0

    def refuse(self, error: Exception) -> None:
        """Raise an error in every later call."""

        def fail(*_: str) -> None:
            raise error

        self.fail = fail

    def put(self, kind: str, namespace: str, name: str, **fields: Any) -> None:
        """Create or replace an object."""
        metadata = {"name": name, "uid": f"uid-{name}", "resourceVersion": self._version()}
        self.objects[kind, namespace, name] = {"metadata": metadata, **fields}
        if kind == "secrets":
            PLANTED.plant(fields.get("data") or {})

    def put_pod(
        self, namespace: str, name: str, labels: dict[str, str], prepared: datetime.datetime | None = None
    ) -> None:
        """Add a running pod; `prepared` is when its init container `prepare` ended."""
        state = {"terminated": {"finishedAt": prepared.isoformat()}} if prepared else {"running": {}}
        status = {"phase": "Running", "initContainerStatuses": [{"name": "prepare", "state": state}]}
        item = {"metadata": {"name": name, "labels": labels}, "status": status}
        self.pods.setdefault(namespace, []).append(item)

    def data(self, kind: str, namespace: str, name: str) -> dict[str, str] | None:
        """Return the data of a Secret or ConfigMap as it is stored, or None if it does not exist."""
        found = self.objects.get((kind, namespace, name))
        return None if found is None else found["data"]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            answer = self._answer(request)
        except ApiError as error:
            status = {"kind": "Status", "message": error.message, "code": error.status}
            return httpx.Response(error.status, json=status)
        if isinstance(answer, bytes):
            return httpx.Response(200, content=_pieces(answer))
        return httpx.Response(200, json=answer)

    def _answer(self, request: httpx.Request) -> Any:
        match = _PATH.fullmatch(request.url.raw_path.decode().partition("?")[0])
        assert match is not None, request.url
        namespace, name = unquote(match["namespace"] or ""), unquote(match["name"] or "")
        kind = "/".join(filter(None, (match["kind"], match["sub"])))
        body = json.loads(request.content) if request.content else {}
        query = dict(request.url.params)
        verb = _VERBS.get(request.method, "get" if name else "list")
        called = {
            "create": body.get("metadata", {}).get("name", ""),
            "list": query.get("labelSelector") or query.get("fieldSelector") or "",
        }.get(verb, name)
        if kind == "selfsubjectaccessreviews":
            return self._review(body["spec"]["resourceAttributes"])
        self._note(kind, request, body)
        self._called(verb, kind, called)
        self.used.add((verb, kind, namespace, name if verb != "create" else called))
        if verb == "list":
            items = {"pods": self.pods, "jobs": self.jobs, "events": self.events}[kind].get(namespace, [])
            selector = query.get("labelSelector", "")
            return {"items": [item for item in items if not selector or _selected(item["metadata"], selector)]}
        if kind == "pods/log":
            return self._log(namespace, name, query)
        if verb == "create":
            return self._create(kind, namespace, body)
        found = self.objects.get((kind, namespace, name))
        if found is None:
            raise api_exception(404, f'{kind} "{name}" not found')
        if verb == "patch":
            assert request.headers["Content-Type"] == "application/strategic-merge-patch+json"
            return self._patch(found, body)
        if verb == "delete":
            self._same_version(found, (body.get("preconditions") or {}).get("resourceVersion"))
            del self.objects[kind, namespace, name]
        return found

    def _note(self, kind: str, request: httpx.Request, body: dict[str, Any]) -> None:
        """Secrets belong into Secrets only."""
        if kind == "secrets":
            PLANTED.plant(body.get("data") or {})
        else:
            PLANTED.write(f"body of {kind}", json.dumps(body, ensure_ascii=False))
        PLANTED.write("path", unquote(str(request.url)))

    def _called(self, verb: str, kind: str, name: str) -> None:
        self.calls.append((verb, kind, name))
        self.fail(verb, kind, name)

    def _version(self) -> str:
        self._versions += 1
        return str(self._versions)

    def _same_version(self, found: dict[str, Any], version: str | None) -> None:
        if version not in (None, found["metadata"].get("resourceVersion")):
            raise api_exception(409, "the object has been modified; please apply your changes to the latest version")

    def _create(self, kind: str, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        name = body["metadata"]["name"]
        if (kind, namespace, name) in self.objects:
            raise api_exception(409, f'{kind} "{name}" already exists')
        created = copy.deepcopy(body)
        created["metadata"]["resourceVersion"] = self._version()
        self.objects[kind, namespace, name] = created
        return created

    def _patch(self, found: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        metadata = dict(body.get("metadata") or {})
        self._same_version(found, metadata.pop("resourceVersion", None))
        if "labels" in metadata:
            metadata["labels"] = {**(found["metadata"].get("labels") or {}), **metadata["labels"]}
        found.setdefault("data", {}).update(body.get("data") or {})
        found["metadata"].update(metadata, resourceVersion=self._version())
        return found

    def _log(self, namespace: str, name: str, query: dict[str, str]) -> bytes:
        if not any(pod["metadata"]["name"] == name for pod in self.pods.get(namespace, [])):
            raise api_exception(404, f'pods "{name}" not found')
        container = query["container"]
        log = self.logs.get((namespace, name, container, query.get("previous") == "true"))
        if log is None:
            raise api_exception(400, f'container "{container}" in pod "{name}" is waiting to start: ContainerCreating')
        return log

    def _review(self, asked: dict[str, str]) -> dict[str, Any]:
        """Answer a SelfSubjectAccessReview."""
        resource = "/".join(filter(None, (asked["resource"], asked["subresource"])))
        self._called("create", "selfsubjectaccessreviews", f"{asked['verb']} {resource}")
        return {"status": {"allowed": (asked["verb"], resource) not in self.refused}}


def _pieces(data: bytes) -> Iterator[bytes]:
    for begin in range(0, len(data), 7):
        yield data[begin : begin + 7]


def _selected(metadata: dict[str, Any], selector: str) -> bool:
    labels = metadata.get("labels") or {}
    for term in selector.split(","):
        if "=" not in term:
            if term not in labels:
                return False
            continue
        name, unlike, value = term.partition("!=")
        if not unlike:
            name, _, value = term.partition("=")
        if (labels.get(name) == value) == bool(unlike):
            return False
    return True
