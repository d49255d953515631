"""Kubernetes objects that the steps read and write, and that `doctor`, `status` and `logs` read."""

import base64
import json
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from kuscia_hooks.cluster.kubeconfig import parse_kubeconfig
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.core.log import hide
from kuscia_hooks.core.text import printable, quoted

_TIMEOUT = (5, 15)


class Conflict(RetryableError):
    """Another client created or changed the object first."""


class NoLogYet(RetryableError):
    """A container has no log: it has not started, or has no previous run."""


class Kube:
    """Secrets, ConfigMaps, Services, pods and events of one cluster.

    It is the cluster that the step runs in, or that of the current kubeconfig. Every method raises RetryableError
    while the API server does not answer or denies permission: a Role or a namespace may be created later than the pod
    that needs it.

    Args:
        core: a CoreV1Api; by default that of the ServiceAccount or the current kubeconfig.
        login: command that shows the credentials of this client.
    """

    def __init__(self, core: Any = None, login: str = "kubectl auth whoami") -> None:
        self._core = core if core is not None else _connect()
        self._login = login

    @classmethod
    def of_kubeconfig(cls, text: str, login: str) -> "Kube":
        """Return a client for the current context of a kubeconfig.

        Args:
            text: the kubeconfig, YAML.
            login: command that shows the Secret or file of the kubeconfig.

        Raises:
            ValueError: it is not a kubeconfig, or depends on files or programs of another machine.
        """
        from kubernetes import client, config

        try:
            api = config.new_client_from_config_dict(parse_kubeconfig(text), persist_config=False)
        except config.ConfigException as error:
            raise ValueError(str(error)) from error
        return cls(client.CoreV1Api(api), login)

    def secret(self, namespace: str, name: str, public: Collection[str] = ()) -> dict[str, bytes] | None:
        """Return the data of a Secret, or None if the Secret does not exist.

        Args:
            public: keys whose values may be printed; all other values are masked in the log.
        """
        found = self._call("get", "secrets", namespace, name, self._core.read_namespaced_secret, name, namespace)
        if found is None:
            return None
        data = {key: base64.b64decode(value) for key, value in (found.data or {}).items()}
        hide(*(value for key, value in data.items() if key not in public))
        return data

    def secret_value(self, namespace: str, name: str, key: str, public: Collection[str] = ()) -> bytes:
        """Return one value of a Secret; see `secret`.

        Raises:
            RetryableError: `secret-not-found` or `secret-key-missing`.
        """
        show = f"kubectl get secret {quoted(name)} -n {quoted(namespace)}"
        create = f"kubectl create secret generic {quoted(name)} -n {quoted(namespace)} --from-file={quoted(key)}=<file>"
        data = self.secret(namespace, name, public)
        if data is None:
            raise RetryableError(
                "secret-not-found",
                f"Secret {namespace}/{name} not found",
                fix=f"create it, unless another release or step does: {create}",
                see=show,
            )
        if not data.get(key):
            keys = ", ".join(data) or "none"
            raise RetryableError(
                "secret-key-missing",
                f"Secret {namespace}/{name}: no value under key {key} (keys: {keys})",
                fix=f"add the key: {create} --dry-run=client -o yaml | kubectl apply -f -",
                see=show,
            )
        return data[key]

    def secret_text(self, namespace: str, name: str, key: str, public: Collection[str] = ()) -> str:
        """Return one value of a Secret as text; see `secret_value`.

        Raises:
            RetryableError: `secret-not-found`, `secret-key-missing` or `secret-not-text`.
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
        """Create a Secret of type Opaque.

        Args:
            owner: an ownerReference; the Secret is deleted with that object.

        Raises:
            Conflict: the Secret exists.
        """
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
        """Set the given values of an existing Secret; other values stay."""
        hide(*data.values())
        body: dict[str, Any] = {"data": {key: base64.b64encode(value).decode() for key, value in data.items()}}
        if owner:
            body["metadata"] = {"ownerReferences": [owner]}
        self._call("patch", "secrets", namespace, name, self._core.patch_namespaced_secret, name, namespace, body)

    def delete_secret(self, namespace: str, name: str) -> None:
        """Delete a Secret, if it exists."""
        self._call("delete", "secrets", namespace, name, self._core.delete_namespaced_secret, name, namespace)

    def configmap(self, namespace: str, name: str) -> dict[str, str] | None:
        """Return the data of a ConfigMap, or None if the ConfigMap does not exist."""
        found = self.versioned_configmap(namespace, name)
        return None if found is None else found[0]

    def versioned_configmap(self, namespace: str, name: str) -> tuple[dict[str, str], str] | None:
        """Return the data and the version of a ConfigMap, or None if the ConfigMap does not exist."""
        found = self._call("get", "configmaps", namespace, name, self._core.read_namespaced_config_map, name, namespace)
        return None if found is None else (dict(found.data or {}), str(found.metadata.resource_version))

    def create_configmap(self, namespace: str, name: str, data: dict[str, str], labels: dict[str, str]) -> str:
        """Create a ConfigMap and return its version. Raises Conflict if it exists."""
        body = {"metadata": _metadata(namespace, name, labels, None), "data": data}
        create = self._core.create_namespaced_config_map
        return str(
            self._call("create", "configmaps", namespace, name, create, namespace, body).metadata.resource_version
        )

    def set_configmap(self, namespace: str, name: str, data: dict[str, str], version: str) -> str:
        """Set the given values of an existing ConfigMap, and return its new version; other values stay.

        Args:
            version: the version that was read.

        Raises:
            Conflict: the ConfigMap has a different version.
        """
        body = {"metadata": {"resourceVersion": version}, "data": data}
        patch = self._core.patch_namespaced_config_map
        found = self._call("patch", "configmaps", namespace, name, patch, name, namespace, body)
        return str(found.metadata.resource_version)

    def pods(self, namespace: str, selector: str) -> list[dict[str, Any]]:
        """Return the pods that a label selector matches, as JSON objects of the API server."""
        return self._list("pods", namespace, self._core.list_namespaced_pod, label_selector=selector)

    def jobs(self, namespace: str, selector: str) -> list[dict[str, Any]]:
        """Return the Jobs that a label selector matches, as JSON objects of the API server."""
        from kubernetes import client

        function = client.BatchV1Api(self._core.api_client).list_namespaced_job
        return self._list("jobs", namespace, function, label_selector=selector)

    def events(self, namespace: str) -> list[dict[str, Any]]:
        """Return the events of type Warning, as JSON objects of the API server."""
        return self._list("events", namespace, self._core.list_namespaced_event, field_selector="type=Warning")

    def pod_log(self, namespace: str, pod: str, container: str, lines: int, previous: bool = False) -> str | None:
        """Return the last lines of a container log, or None if the container has no log."""
        try:
            response = self._call(
                "get", "pods/log", namespace, pod, self._core.read_namespaced_pod_log, pod, namespace,
                container=container, tail_lines=lines, previous=previous, _preload_content=False,
            )  # fmt: skip
        except NoLogYet:
            return None
        return None if response is None else str(response.data.decode(errors="replace"))

    def follow_log(self, namespace: str, pod: str, container: str, follow: bool) -> Iterator[str]:
        """Yield the lines of a container log from its start; with `follow`, until the container ends.

        Raises:
            NoLogYet: the container has not started, or its pod is gone.
            RetryableError: `log-interrupted`: the connection broke.
        """
        from urllib3.exceptions import HTTPError

        response = self._call(
            "get", "pods/log", namespace, pod, self._core.read_namespaced_pod_log, pod, namespace,
            container=container, follow=follow, _preload_content=False, _request_timeout=(_TIMEOUT[0], None),
        )  # fmt: skip
        if response is None:
            raise NoLogYet("no-log-yet", f"pod {namespace}/{pod} is gone")
        pending = b""
        try:
            for chunk in response.stream():
                *lines, pending = (pending + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
        except HTTPError as error:
            raise RetryableError(
                "log-interrupted", f"the log of pod {namespace}/{pod} was interrupted: {printable(error)}"
            ) from error
        finally:
            response.release_conn()
        if pending:
            yield pending.decode(errors="replace")

    def service(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return a Service as a JSON object of the API server, or None if it does not exist."""
        read = self._core.read_namespaced_service
        response = self._call("get", "services", namespace, name, read, name, namespace, _preload_content=False)
        return None if response is None else dict(json.loads(response.data))

    def service_uid(self, namespace: str, name: str) -> str:
        """Return the UID of a Service. Raises RetryableError (`service-not-found`)."""
        return str(self._service(namespace, name).metadata.uid)

    def service_created(self, namespace: str, name: str) -> datetime:
        """Return the creation time of a Service. Raises RetryableError (`service-not-found`)."""
        created: datetime = self._service(namespace, name).metadata.creation_timestamp
        return created

    def _service(self, namespace: str, name: str) -> Any:
        found = self._call("get", "services", namespace, name, self._core.read_namespaced_service, name, namespace)
        if found is None:
            raise RetryableError(
                "service-not-found",
                f"Service {namespace}/{name} not found",
                see=f"kubectl get services -n {quoted(namespace)}",
            )
        return found

    def account_pull_secrets(self, namespace: str, name: str) -> list[str]:
        """Return the names of a ServiceAccount's imagePullSecrets.

        Raises:
            RetryableError: `service-account-not-found`.
        """
        read = self._core.read_namespaced_service_account
        found = self._call("get", "serviceaccounts", namespace, name, read, name, namespace)
        if found is None:
            raise RetryableError(
                "service-account-not-found",
                f"ServiceAccount {namespace}/{name} not found",
                see=f"kubectl get namespace {quoted(namespace)}",
            )
        return [entry.name for entry in found.image_pull_secrets or []]

    def may(self, verb: str, resource: str, namespace: str) -> bool:
        """Return whether this user has a permission on all objects of a kind in the core API group.

        It uses a SelfSubjectAccessReview, which every authenticated user may create.

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
                    "api-server-unauthorized",
                    f"the API server rejected the token or certificate (401: {_message(error)})",
                    see=self._login,
                ) from error
            if status == 404 and verb in ("get", "delete"):
                return None
            if status == 400 and resource == "pods/log":
                raise NoLogYet("no-log-yet", _message(error)) from error
            raise _api_error(status, _message(error), verb, resource, namespace, name) from error
        except (HTTPError, OSError) as error:
            raise RetryableError(
                "api-server-unreachable",
                f"cannot reach the Kubernetes API server: {printable(error)}",
                see="kubectl get --raw /readyz",
            ) from error


def text_of(value: bytes, namespace: str, name: str, key: str) -> str:
    """Return a value of a Secret as text. Raises RetryableError (`secret-not-text`) if it is not UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise RetryableError(
            "secret-not-text",
            f"Secret {namespace}/{name}: the value under key {key} is not UTF-8 text",
            see=f"kubectl describe secret {quoted(name)} -n {quoted(namespace)}",
        ) from error


def _connect() -> Any:
    import yaml
    from kubernetes import client, config

    try:
        config.load_incluster_config()
    except config.ConfigException:
        try:
            config.load_kube_config()
        except (config.ConfigException, yaml.YAMLError, OSError) as error:
            raise PermanentError(
                "invalid-cluster-login",
                f"no ServiceAccount token and no usable kubeconfig found: {printable(error)}",
                fix="run this in a pod, or set KUBECONFIG to a kubeconfig",
            ) from error
    return client.CoreV1Api()


def _metadata(namespace: str, name: str, labels: dict[str, str], owner: dict[str, str] | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "labels": labels}
    if owner:
        metadata["ownerReferences"] = [owner]
    return metadata


def _message(error: Any) -> str:
    try:
        return printable(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return printable(error.reason)


def _api_error(status: int, message: str, verb: str, resource: str, namespace: str, name: str) -> StepError:
    if status == 409:
        return Conflict("already-exists", f"{resource} {namespace}/{name}: {message}")
    where = f"{namespace}/{name}" if name else f"in namespace {namespace}"
    if status == 403:
        names = "" if verb in ("create", "list") else f", resourceNames [{name}]"
        target = quoted(f"{resource}/{name}" if name else resource)
        return RetryableError(
            "permission-denied",
            f"permission denied: cannot {verb} {resource} {where} ({status}: {message})",
            fix=f"upgrade the release, or create a Role in namespace {namespace} with apiGroups [''], resources "
            f"[{resource}]{names}, verbs [{verb}] and bind it to this ServiceAccount",
            see=f"kubectl auth can-i {verb} {target} -n {quoted(namespace)} "
            "--as=system:serviceaccount:<namespace>:<name>",
        )
    if status == 404:
        return RetryableError(
            "object-not-found",
            f"cannot {verb} {resource} {where} ({status}: {message})",
            see=f"kubectl get namespace {quoted(namespace)}",
        )
    if status >= 500 or status == 429:
        return RetryableError(
            "api-server-unavailable",
            f"the API server cannot {verb} {resource} {where} at the moment ({status}: {message})",
            see="kubectl get --raw /readyz",
        )
    return PermanentError(
        "api-server-rejected", f"the API server rejected the request to {verb} {resource} {where}: {status} {message}"
    )
