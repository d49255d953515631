"""The few objects of the host cluster that the steps read and write, and those that `doctor` and its like look at."""

import base64
import json
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from kuscia_hooks.cluster.kubeconfig import parse_kubeconfig
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.core.log import hide

_TIMEOUT = (5, 15)


class Conflict(RetryableError):
    """Somebody else created the object first."""


class Waiting(RetryableError):
    """A container has no log: it has not started, or never ran before."""


class Kube:
    """Secrets, ConfigMaps, Services, pods and events of the cluster that the step runs in, or of the current
    kubeconfig.

    Every method raises RetryableError while the API server does not answer or refuses: a Role or a namespace may come
    later than the pod that needs it.

    Args:
        login: command that shows what this client logs in with.
    """

    def __init__(self, core: Any = None, login: str = "kubectl auth whoami") -> None:
        self._core = core if core is not None else _connect()
        self._login = login

    @classmethod
    def of_kubeconfig(cls, text: str, login: str) -> "Kube":
        """The cluster of a kubeconfig's current context.

        Args:
            login: command that shows where the kubeconfig lies.

        Raises:
            ValueError: it is none, or not one that works wherever it is carried to.
        """
        from kubernetes import client, config

        try:
            api = config.new_client_from_config_dict(parse_kubeconfig(text), persist_config=False)
        except config.ConfigException as error:
            raise ValueError(str(error)) from error
        return cls(client.CoreV1Api(api), login)

    def secret(self, namespace: str, name: str, public: Collection[str] = ()) -> dict[str, bytes] | None:
        """A Secret's data, or None when there is no such Secret.

        Args:
            public: keys whose values may be printed; all others are hidden from the log.
        """
        found = self._call("get", "secrets", namespace, name, self._core.read_namespaced_secret, name, namespace)
        if found is None:
            return None
        data = {key: base64.b64decode(value) for key, value in (found.data or {}).items()}
        hide(*(value for key, value in data.items() if key not in public))
        return data

    def secret_value(self, namespace: str, name: str, key: str, public: Collection[str] = ()) -> bytes:
        """One value of a Secret; see `secret`.

        Raises:
            RetryableError: the Secret, the key in it, or its value is missing.
        """
        show = f"kubectl get secret {name} -n {namespace}"
        data = self.secret(namespace, name, public)
        if data is None:
            raise RetryableError("unclassified-retryable", f"Secret {namespace}/{name} does not exist", see=show)
        if not data.get(key):
            has = ", ".join(data) or "no key"
            raise RetryableError(
                "unclassified-retryable", f"Secret {namespace}/{name} has no value under {key} (it has {has})", see=show
            )
        return data[key]

    def secret_text(self, namespace: str, name: str, key: str, public: Collection[str] = ()) -> str:
        """One value of a Secret that is text; see `secret_value`.

        Raises:
            RetryableError: as there, or it is not UTF-8.
        """
        return text_of(self.secret_value(namespace, name, key, public), namespace, name, key)

    def create_secret(
        self,
        namespace: str,
        name: str,
        data: dict[str, bytes],
        labels: dict[str, str],
        owner: dict[str, str] | None = None,
    ) -> None:
        """Raises Conflict when it exists."""
        hide(*data.values())
        body = {
            "metadata": _metadata(namespace, name, labels, owner),
            "type": "Opaque",
            "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
        }
        self._call("create", "secrets", namespace, name, self._core.create_namespaced_secret, namespace, body)

    def set_secret(
        self, namespace: str, name: str, data: dict[str, bytes], owner: dict[str, str] | None = None
    ) -> None:
        """Replace single values of a Secret that exists."""
        hide(*data.values())
        body: dict[str, Any] = {"data": {key: base64.b64encode(value).decode() for key, value in data.items()}}
        if owner:
            body["metadata"] = {"ownerReferences": [owner]}
        self._call("patch", "secrets", namespace, name, self._core.patch_namespaced_secret, name, namespace, body)

    def delete_secret(self, namespace: str, name: str) -> None:
        """Delete a Secret; one that is gone already is fine."""
        self._call("delete", "secrets", namespace, name, self._core.delete_namespaced_secret, name, namespace)

    def configmap(self, namespace: str, name: str) -> dict[str, str] | None:
        """A ConfigMap's data, or None when there is no such ConfigMap."""
        found = self._call("get", "configmaps", namespace, name, self._core.read_namespaced_config_map, name, namespace)
        return None if found is None else dict(found.data or {})

    def create_configmap(self, namespace: str, name: str, data: dict[str, str], labels: dict[str, str]) -> None:
        """Raises Conflict when it exists."""
        body = {"metadata": _metadata(namespace, name, labels, None), "data": data}
        self._call("create", "configmaps", namespace, name, self._core.create_namespaced_config_map, namespace, body)

    def set_configmap(self, namespace: str, name: str, data: dict[str, str]) -> None:
        """Replace single values of a ConfigMap that exists."""
        patch = self._core.patch_namespaced_config_map
        self._call("patch", "configmaps", namespace, name, patch, name, namespace, {"data": data})

    def pods(self, namespace: str, selector: str) -> list[dict[str, Any]]:
        """Pods by label selector, as the API server's JSON."""
        return self._list("pods", namespace, self._core.list_namespaced_pod, label_selector=selector)

    def events(self, namespace: str) -> list[dict[str, Any]]:
        """The warnings among a namespace's events, as the API server's JSON."""
        return self._list("events", namespace, self._core.list_namespaced_event, field_selector="type=Warning")

    def pod_log(self, namespace: str, pod: str, container: str, lines: int, previous: bool = False) -> str | None:
        """The end of a container's log, or None when there is none (any more)."""
        try:
            response = self._call(
                "get", "pods/log", namespace, pod, self._core.read_namespaced_pod_log, pod, namespace,
                container=container, tail_lines=lines, previous=previous, _preload_content=False,
            )  # fmt: skip
        except Waiting:
            return None
        return None if response is None else str(response.data.decode(errors="replace"))

    def follow_log(self, namespace: str, pod: str, container: str, follow: bool) -> Iterator[str]:
        """The lines of a container's log from its beginning; with `follow` until the container ends.

        Raises:
            Waiting: it has not started, or is gone.
        """
        from urllib3.exceptions import HTTPError

        response = self._call(
            "get", "pods/log", namespace, pod, self._core.read_namespaced_pod_log, pod, namespace,
            container=container, follow=follow, _preload_content=False, _request_timeout=(_TIMEOUT[0], None),
        )  # fmt: skip
        if response is None:
            raise Waiting("no-log-yet", f"pod {namespace}/{pod} is gone")
        pending = b""
        try:
            for chunk in response.stream():
                *lines, pending = (pending + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
        except HTTPError as error:
            raise RetryableError(
                "unclassified-retryable", f"the log of {namespace}/{pod} broke off: {error}"
            ) from error
        finally:
            response.release_conn()
        if pending:
            yield pending.decode(errors="replace")

    def service(self, namespace: str, name: str) -> dict[str, Any] | None:
        """A Service as the API server's JSON, or None."""
        read = self._core.read_namespaced_service
        response = self._call("get", "services", namespace, name, read, name, namespace, _preload_content=False)
        return None if response is None else dict(json.loads(response.data))

    def service_uid(self, namespace: str, name: str) -> str:
        """A Service's uid.

        Raises:
            RetryableError: there is no such Service.
        """
        return str(self._service(namespace, name).metadata.uid)

    def service_created(self, namespace: str, name: str) -> datetime:
        """When a Service was made.

        Raises:
            RetryableError: there is no such Service.
        """
        created: datetime = self._service(namespace, name).metadata.creation_timestamp
        return created

    def _service(self, namespace: str, name: str) -> Any:
        found = self._call("get", "services", namespace, name, self._core.read_namespaced_service, name, namespace)
        if found is None:
            raise RetryableError(
                "unclassified-retryable",
                f"Service {namespace}/{name} does not exist",
                see=f"kubectl get service -n {namespace}",
            )
        return found

    def account_pull_secrets(self, namespace: str, name: str) -> list[str]:
        """Names of the imagePullSecrets that a ServiceAccount gives to its pods.

        Raises:
            RetryableError: there is no such ServiceAccount.
        """
        read = self._core.read_namespaced_service_account
        found = self._call("get", "serviceaccounts", namespace, name, read, name, namespace)
        if found is None:
            raise RetryableError(
                "unclassified-retryable",
                f"ServiceAccount {namespace}/{name} does not exist",
                see=f"kubectl get namespace {namespace}",
            )
        return [entry.name for entry in found.image_pull_secrets or []]

    def may(self, verb: str, resource: str, namespace: str) -> bool:
        """Whether the API server would let this user do that to any such object of the core API group; whoever is
        logged in may ask (SelfSubjectAccessReview).

        Args:
            resource: such as `secrets` or `pods/log`.
        """
        from kubernetes import client

        kind, _, subresource = resource.partition("/")
        attributes = {"namespace": namespace, "verb": verb, "resource": kind, "subresource": subresource}
        body = {"spec": {"resourceAttributes": attributes}}
        ask = client.AuthorizationV1Api(self._core.api_client).create_self_subject_access_review
        return bool(self._call("create", "selfsubjectaccessreviews", namespace, "", ask, body).status.allowed)

    def _list(self, resource: str, namespace: str, function: Any, **selector: str) -> list[dict[str, Any]]:
        response = self._call("list", resource, namespace, "", function, namespace, _preload_content=False, **selector)
        return list(json.loads(response.data)["items"])

    def _call(
        self, verb: str, resource: str, namespace: str, name: str, function: Any, *args: Any, **options: Any
    ) -> Any:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return function(*args, **{"_request_timeout": _TIMEOUT, **options})
        except ApiException as error:
            status = int(error.status or 0)
            if status == 401:
                raise RetryableError(
                    "unclassified-retryable",
                    f"the API server takes the token or certificate no longer, or never did (401: {_message(error)})",
                    see=self._login,
                ) from error
            if status == 404 and verb in ("get", "delete"):
                return None
            if status == 400 and resource == "pods/log":
                raise Waiting("no-log-yet", _message(error)) from error
            raise _api_error(status, _message(error), verb, resource, namespace, name) from error
        except (HTTPError, OSError) as error:
            raise RetryableError(
                "unclassified-retryable",
                f"the Kubernetes API server is not reached: {error}",
                see="kubectl get --raw /readyz",
            ) from error


def text_of(value: bytes, namespace: str, name: str, key: str) -> str:
    """A value of a Secret as text. Raises RetryableError when it is none: it heals when the Secret is corrected."""
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise RetryableError(
            "unclassified-retryable",
            f"{key} of Secret {namespace}/{name} is not UTF-8 text",
            see=f"kubectl describe secret {name} -n {namespace}",
        ) from error


def _connect() -> Any:
    from kubernetes import client, config

    try:
        config.load_incluster_config()
    except config.ConfigException:
        try:
            config.load_kube_config()
        except config.ConfigException as error:
            raise PermanentError(
                "unclassified", f"neither a pod's ServiceAccount nor a kubeconfig is here: {error}"
            ) from error
    return client.CoreV1Api()


def _metadata(namespace: str, name: str, labels: dict[str, str], owner: dict[str, str] | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "labels": labels}
    if owner:
        metadata["ownerReferences"] = [owner]
    return metadata


def _message(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)


def _api_error(status: int, message: str, verb: str, resource: str, namespace: str, name: str) -> StepError:
    if status == 409:
        return Conflict("already-exists", f"{resource} {namespace}/{name}: {message}")
    where = f"{namespace}/{name}" if name else f"in {namespace}"
    account = "--as=system:serviceaccount:<namespace>:<name>"
    show = f"kubectl auth can-i {verb} {resource}{'/' if name else ''}{name} -n {namespace} {account}"
    if status == 403:
        names = "" if verb in ("create", "list") else f", resourceNames [{name}]"
        return RetryableError(
            "unclassified-retryable",
            f"the API server refuses to {verb} {resource} {where} ({status}: {message}). "
            f"Expected is a Role in namespace {namespace} with apiGroups [''], resources "
            f"[{resource}]{names}, verbs [{verb}], bound to this ServiceAccount",
            see=show,
        )
    if status == 404 or status >= 500 or status == 429:
        return RetryableError(
            "unclassified-retryable",
            f"the API server cannot {verb} {resource} {where} now ({status}: {message})",
            see=f"kubectl get namespace {namespace}",
        )
    return PermanentError("unclassified", f"the API server refused to {verb} {resource} {where}: {status} {message}")
