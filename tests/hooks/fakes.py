"""A CoreV1Api in memory, and a clock that does not wait."""

import copy
import datetime
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from kubernetes.client.exceptions import ApiException

from kuscia_hooks.waiting import Clock, Deadline


def api_exception(status: int, message: str) -> ApiException:
    """What the client raises when the API server answers an error."""
    error = ApiException(status=status, reason="reason")
    error.body = json.dumps({"kind": "Status", "message": message, "code": status})
    return error


class FakeCore:
    """Secrets, ConfigMaps, Services, Pods and ServiceAccounts; `fail` is called before each call and may raise."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.calls: list[tuple[str, str, str]] = []
        self.fail: Callable[[str, str, str], None] = lambda verb, kind, name: None

    def put(self, kind: str, namespace: str, name: str, **fields: Any) -> None:
        self.objects[kind, namespace, name] = {"metadata": {"name": name, "uid": f"uid-{name}"}, **fields}

    def data(self, kind: str, namespace: str, name: str) -> dict[str, str] | None:
        found = self.objects.get((kind, namespace, name))
        return None if found is None else found["data"]

    def _read(self, kind: str, name: str, namespace: str) -> SimpleNamespace:
        self._called("get", kind, name)
        found = self.objects.get((kind, namespace, name))
        if found is None:
            raise api_exception(404, f'{kind} "{name}" not found')
        metadata = SimpleNamespace(**found["metadata"])
        pull = [SimpleNamespace(name=entry) for entry in found.get("pull_secrets", [])] or None
        return SimpleNamespace(metadata=metadata, data=copy.deepcopy(found.get("data")), image_pull_secrets=pull)

    def _create(self, kind: str, namespace: str, body: dict[str, Any]) -> None:
        name = body["metadata"]["name"]
        self._called("create", kind, name)
        if (kind, namespace, name) in self.objects:
            raise api_exception(409, f'{kind} "{name}" already exists')
        self.objects[kind, namespace, name] = copy.deepcopy(body)

    def _patch(self, kind: str, name: str, namespace: str, body: dict[str, Any]) -> None:
        self._called("patch", kind, name)
        found = self.objects.get((kind, namespace, name))
        if found is None:
            raise api_exception(404, f'{kind} "{name}" not found')
        found.setdefault("data", {}).update(body.get("data") or {})
        found["metadata"].update(body.get("metadata") or {})

    def _delete(self, kind: str, name: str, namespace: str) -> None:
        self._called("delete", kind, name)
        if self.objects.pop((kind, namespace, name), None) is None:
            raise api_exception(404, f'{kind} "{name}" not found')

    def _called(self, verb: str, kind: str, name: str) -> None:
        self.calls.append((verb, kind, name))
        self.fail(verb, kind, name)

    def read_namespaced_secret(self, name: str, namespace: str, **_: Any) -> Any:
        return self._read("secrets", name, namespace)

    def create_namespaced_secret(self, namespace: str, body: dict[str, Any], **_: Any) -> None:
        self._create("secrets", namespace, body)

    def patch_namespaced_secret(self, name: str, namespace: str, body: dict[str, Any], **_: Any) -> None:
        self._patch("secrets", name, namespace, body)

    def delete_namespaced_secret(self, name: str, namespace: str, **_: Any) -> None:
        self._delete("secrets", name, namespace)

    def read_namespaced_config_map(self, name: str, namespace: str, **_: Any) -> Any:
        return self._read("configmaps", name, namespace)

    def create_namespaced_config_map(self, namespace: str, body: dict[str, Any], **_: Any) -> None:
        self._create("configmaps", namespace, body)

    def patch_namespaced_config_map(self, name: str, namespace: str, body: dict[str, Any], **_: Any) -> None:
        self._patch("configmaps", name, namespace, body)

    def read_namespaced_service(self, name: str, namespace: str, **_: Any) -> Any:
        return self._read("services", name, namespace)

    def read_namespaced_service_account(self, name: str, namespace: str, **_: Any) -> Any:
        return self._read("serviceaccounts", name, namespace)

    def put_pod(
        self, namespace: str, name: str, labels: dict[str, str], prepared: datetime.datetime | None = None
    ) -> None:
        """A running pod; `prepared` is when its init container `prepare` ended."""
        state = SimpleNamespace(terminated=prepared and SimpleNamespace(finished_at=prepared))
        status = SimpleNamespace(
            phase="Running", init_container_statuses=[SimpleNamespace(name="prepare", state=state)]
        )
        self.put("pods", namespace, name, status=status)
        self.objects["pods", namespace, name]["metadata"]["labels"] = labels

    def list_namespaced_pod(self, namespace: str, label_selector: str, **_: Any) -> Any:
        self._called("list", "pods", "")
        key, equals, value = label_selector.partition("=")
        items = [
            SimpleNamespace(metadata=SimpleNamespace(**found["metadata"]), status=found["status"])
            for (kind, where, _), found in self.objects.items()
            if kind == "pods" and where == namespace and key in found["metadata"]["labels"]
            if not equals or found["metadata"]["labels"][key] == value
        ]
        return SimpleNamespace(items=items)


class FakeTime:
    """A clock whose sleep takes no time; `naps` are the seconds it was asked for."""

    def __init__(self) -> None:
        self.time = 0.0
        self.naps: list[float] = []
        self.clock = Clock(now=lambda: self.time, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.time += seconds

    def deadline(self, seconds: float) -> Deadline:
        return Deadline(seconds, self.clock)
