"""A CoreV1Api in memory. Objects are stored as JSON objects of the API server."""

import copy
import datetime
import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException


def api_exception(status: int, message: str) -> ApiException:
    """Return what the client raises when the API server returns an error."""
    error = ApiException(status=status, reason="reason")
    error.body = json.dumps({"kind": "Status", "message": message, "code": status})
    return error


_MODELS = {
    "secrets": "V1Secret",
    "configmaps": "V1ConfigMap",
    "services": "V1Service",
    "serviceaccounts": "V1ServiceAccount",
}


class FakeCore:
    """Secrets, ConfigMaps, Services, Pods, Events and ServiceAccounts.

    Attributes:
        fail: is called with verb, kind and name before each call, and may raise or change the state.
        pods: by namespace.
        jobs: by namespace.
        logs: by namespace, pod, container, and whether it is the previous run.
        refused: permissions that the user does not have, as verb and resource.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.calls: list[tuple[str, str, str]] = []
        self._versions = 0
        self.fail: Callable[[str, str, str], None] = lambda verb, kind, name: None
        self.pods: dict[str, list[dict[str, Any]]] = {}
        self.jobs: dict[str, list[dict[str, Any]]] = {}
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.logs: dict[tuple[str, str, str, bool], bytes] = {}
        self.refused: set[tuple[str, str]] = set()
        self.api_client = FakeApiClient(self)

    def put(self, kind: str, namespace: str, name: str, **fields: Any) -> None:
        """Create or replace an object."""
        metadata = {"name": name, "uid": f"uid-{name}", "resourceVersion": self._version()}
        self.objects[kind, namespace, name] = {"metadata": metadata, **fields}

    def _version(self) -> str:
        self._versions += 1
        return str(self._versions)

    def data(self, kind: str, namespace: str, name: str) -> dict[str, str] | None:
        """Return the data of a Secret or ConfigMap as it is stored, or None if it does not exist."""
        found = self.objects.get((kind, namespace, name))
        return None if found is None else found["data"]

    def _read(self, kind: str, name: str, namespace: str) -> Any:
        self._called("get", kind, name)
        found = self.objects.get((kind, namespace, name))
        if found is None:
            raise api_exception(404, f'{kind} "{name}" not found')
        return self._answer(kind, found)

    def _answer(self, kind: str, found: dict[str, Any]) -> Any:
        return self.api_client.deserialize(Raw(json.dumps(found).encode()), _MODELS[kind])

    def _create(self, kind: str, namespace: str, body: dict[str, Any]) -> Any:
        name = body["metadata"]["name"]
        self._called("create", kind, name)
        if (kind, namespace, name) in self.objects:
            raise api_exception(409, f'{kind} "{name}" already exists')
        created = copy.deepcopy(body)
        created["metadata"]["resourceVersion"] = self._version()
        self.objects[kind, namespace, name] = created
        return self._answer(kind, created)

    def _patch(self, kind: str, name: str, namespace: str, body: dict[str, Any]) -> Any:
        self._called("patch", kind, name)
        found = self.objects.get((kind, namespace, name))
        if found is None:
            raise api_exception(404, f'{kind} "{name}" not found')
        metadata = dict(body.get("metadata") or {})
        if metadata.pop("resourceVersion", None) not in (None, found["metadata"]["resourceVersion"]):
            raise api_exception(409, "the object has been modified; please apply your changes to the latest version")
        found.setdefault("data", {}).update(body.get("data") or {})
        found["metadata"].update(metadata, resourceVersion=self._version())
        return self._answer(kind, found)

    def _delete(self, kind: str, name: str, namespace: str) -> None:
        self._called("delete", kind, name)
        if self.objects.pop((kind, namespace, name), None) is None:
            raise api_exception(404, f'{kind} "{name}" not found')

    def _called(self, verb: str, kind: str, name: str) -> None:
        self.calls.append((verb, kind, name))
        self.fail(verb, kind, name)

    def read_namespaced_secret(self, name: str, namespace: str, **_: Any) -> Any:
        return self._read("secrets", name, namespace)

    def create_namespaced_secret(self, namespace: str, body: dict[str, Any], **_: Any) -> Any:
        return self._create("secrets", namespace, body)

    def patch_namespaced_secret(self, name: str, namespace: str, body: dict[str, Any], **_: Any) -> Any:
        return self._patch("secrets", name, namespace, body)

    def delete_namespaced_secret(self, name: str, namespace: str, **_: Any) -> None:
        self._delete("secrets", name, namespace)

    def read_namespaced_config_map(self, name: str, namespace: str, **_: Any) -> Any:
        return self._read("configmaps", name, namespace)

    def create_namespaced_config_map(self, namespace: str, body: dict[str, Any], **_: Any) -> Any:
        return self._create("configmaps", namespace, body)

    def patch_namespaced_config_map(self, name: str, namespace: str, body: dict[str, Any], **_: Any) -> Any:
        return self._patch("configmaps", name, namespace, body)

    def read_namespaced_service(self, name: str, namespace: str, _preload_content: bool = True, **_: Any) -> Any:
        found = self._read("services", name, namespace)
        return found if _preload_content else Raw(json.dumps(self.objects["services", namespace, name]).encode())

    def read_namespaced_service_account(self, name: str, namespace: str, **_: Any) -> Any:
        return self._read("serviceaccounts", name, namespace)

    def put_pod(
        self, namespace: str, name: str, labels: dict[str, str], prepared: datetime.datetime | None = None
    ) -> None:
        """Add a running pod; `prepared` is when its init container `prepare` ended."""
        state = {"terminated": {"finishedAt": prepared.isoformat()}} if prepared else {"running": {}}
        status = {"phase": "Running", "initContainerStatuses": [{"name": "prepare", "state": state}]}
        item = {"metadata": {"name": name, "labels": labels}, "status": status}
        self.pods.setdefault(namespace, []).append(item)

    def list_namespaced_pod(self, namespace: str, *, label_selector: str, **_: Any) -> "Raw":
        self._called("list", "pods", label_selector)
        pods = [pod for pod in self.pods.get(namespace, []) if _selected(pod["metadata"]["labels"], label_selector)]
        return Raw(json.dumps({"items": pods}).encode())

    def list_jobs(self, namespace: str, selector: str) -> "Raw":
        self._called("list", "jobs", selector)
        jobs = [job for job in self.jobs.get(namespace, []) if _selected(job["metadata"]["labels"], selector)]
        return Raw(json.dumps({"items": jobs}).encode())

    def list_namespaced_event(self, namespace: str, *, field_selector: str, **_: Any) -> "Raw":
        self._called("list", "events", field_selector)
        return Raw(json.dumps({"items": self.events.get(namespace, [])}).encode())

    def read_namespaced_pod_log(
        self, name: str, namespace: str, *, container: str, previous: bool = False, **_: Any
    ) -> "Raw":
        self._called("get", "pods/log", name)
        if not any(pod["metadata"]["name"] == name for pod in self.pods.get(namespace, [])):
            raise api_exception(404, f'pods "{name}" not found')
        log = self.logs.get((namespace, name, container, previous))
        if log is None:
            raise api_exception(400, f'container "{container}" in pod "{name}" is waiting to start: ContainerCreating')
        return Raw(log)


class FakeApiClient(ApiClient):
    """Answers SelfSubjectAccessReviews, and lists Jobs."""

    def __init__(self, core: FakeCore) -> None:
        super().__init__()
        self._core = core

    def call_api(
        self,
        resource_path: str,
        method: str,
        path_params: dict[str, str] | None = None,
        query_params: Any = None,
        *_: Any,
        body: Any = None,
        **__: Any,
    ) -> Any:
        if (method, resource_path) == ("GET", "/apis/batch/v1/namespaces/{namespace}/jobs"):
            return self._core.list_jobs((path_params or {})["namespace"], dict(query_params)["labelSelector"])
        assert (method, resource_path) == ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        asked = body["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (asked["resource"], asked["subresource"])))
        self._core._called("create", "selfsubjectaccessreviews", f"{asked['verb']} {resource}")
        allowed = (asked["verb"], resource) not in self._core.refused
        return SimpleNamespace(status=SimpleNamespace(allowed=allowed))


class Raw:
    """A response that is not deserialized."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def stream(self) -> Iterator[bytes]:
        for begin in range(0, len(self.data), 7):
            yield self.data[begin : begin + 7]

    def release_conn(self) -> None:
        pass


def _selected(labels: dict[str, str], selector: str) -> bool:
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
