"""Kubernetes objects that the steps read and write, and that `doctor`, `status` and `logs` read."""

import base64
import json
import math
import re
import ssl
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from kuscia_hooks.cluster.login import Login, default_login, login_of
from kuscia_hooks.core.answers import LimitedAnswers, Network
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError, cause_of
from kuscia_hooks.core.redaction import hide
from kuscia_hooks.core.text import printable, quoted
from kuscia_hooks.core.waiting import Deadline, current

_CONNECT_SECONDS = 5.0
_SECONDS = 15.0
_LOG_BYTES = 1 << 20
_GROUPS = {"jobs": "/apis/batch/v1", "selfsubjectaccessreviews": "/apis/authorization.k8s.io/v1"}
_CORE = "/api/v1"
# Requests that a Role does not help: text of the API server, fix, and command to see more.
_FORBIDDEN = {
    "exceeded quota": ("increase the ResourceQuota of the namespace", "kubectl describe resourcequota -n {namespace}"),
    "being terminated": (
        "wait until the namespace is deleted, then create it again",
        "kubectl get namespace {namespace}",
    ),
    "admission webhook": ("permit the object in the policy that rejects it", ""),
}
_METHODS = {"get": "GET", "list": "GET", "create": "POST", "patch": "PATCH", "delete": "DELETE"}
_PATCH = {"Content-Type": "application/strategic-merge-patch+json"}


class Conflict(RetryableError):
    """Another client created or changed the object first."""


class NoLogYet(RetryableError):
    """A container has no log: it has not started, or has no previous run."""


@dataclass(frozen=True)
class StoredSecret:
    """A Secret, and what says whose it is.

    Args:
        data: its values; never printed.
        owners: kind and name of its ownerReferences.
        version: its resourceVersion.
    """

    data: dict[str, bytes] = field(repr=False)
    labels: dict[str, str] = field(default_factory=dict)
    owners: frozenset[tuple[str, str]] = frozenset()
    version: str = ""


@dataclass(frozen=True)
class _Request:
    """A request to the API server.

    Args:
        verb: as a Role names it.
        resource: as a Role names it, such as `secrets` or `pods/log`.
        namespace: of the object or the list; "" for a resource without one.
        name: of the object, also of one to create; "" for a list.
        body: sent as JSON.
        query: parameters of the URL.
    """

    verb: str
    resource: str
    namespace: str = ""
    name: str = ""
    body: dict[str, Any] | None = None
    query: dict[str, str] | None = None

    @property
    def field(self) -> str:
        """A field that the answer has if it is one of Kubernetes."""
        if self.verb == "list":
            return "items"
        return "metadata" if self.name else "status"

    @property
    def path(self) -> str:
        """The path of the URL, such as `/api/v1/namespaces/ns/pods/p/log`."""
        kind, _, subresource = self.resource.partition("/")
        parts = ["namespaces", quote(self.namespace, safe="")] if self.namespace else []
        parts.append(kind)
        if self.name and self.verb != "create":
            parts.append(quote(self.name, safe=""))
        if subresource:
            parts.append(subresource)
        return f"{_GROUPS.get(kind, _CORE)}/{'/'.join(parts)}"


class Kube:
    """Secrets, ConfigMaps, Services, pods and events of one cluster.

    It is the cluster that the step runs in, or that of the current kubeconfig. Every method raises RetryableError
    while the API server does not answer or denies permission: a Role or a namespace may be created later than the pod
    that needs it. The current deadline bounds every request.

    Args:
        transport: replaces the network in tests.
        show_login: command that shows the credentials of this client.
        login: API server and credentials; by default those of the ServiceAccount or the current kubeconfig.
    """

    def __init__(
        self,
        transport: httpx.BaseTransport | None = None,
        show_login: str = "kubectl auth whoami",
        login: Login | None = None,
    ) -> None:
        if transport is None:
            login = login or default_login()
            transport = Network(verify=login.tls)
        self._login, self._show_login = login, show_login
        self._client = httpx.Client(
            base_url=login.server if login else "https://kubernetes.default.svc",
            transport=LimitedAnswers(transport),
            trust_env=False,
        )

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return str(self._client.base_url).rstrip("/")

    @classmethod
    def of_kubeconfig(cls, text: str, login: str) -> "Kube":
        """Return a client for the current context of a kubeconfig.

        Args:
            text: the kubeconfig, YAML.
            login: command that shows the Secret or file of the kubeconfig.

        Raises:
            ValueError: it is not a kubeconfig, or depends on files or programs of another machine.
        """
        from kuscia_hooks.cluster.kubeconfig import parse_kubeconfig

        return cls(show_login=login, login=login_of(parse_kubeconfig(text)))

    def secret(self, namespace: str, name: str, public: Collection[str] = ()) -> dict[str, bytes] | None:
        """Return the data of a Secret, or None if the Secret does not exist.

        Args:
            public: keys whose values may be printed; all other values are masked in the log.
        """
        found = self.stored_secret(namespace, name, public)
        return None if found is None else found.data

    def stored_secret(self, namespace: str, name: str, public: Collection[str] = ()) -> StoredSecret | None:
        """Return a Secret with its labels and owners, or None if it does not exist; see `secret`."""
        found = self._call(_Request("get", "secrets", namespace, name))
        if found is None:
            return None
        data = {key: base64.b64decode(value or "") for key, value in (found.get("data") or {}).items()}
        hide(*(value for key, value in data.items() if key not in public))
        metadata = found["metadata"]
        owners = frozenset((owner["kind"], owner["name"]) for owner in metadata.get("ownerReferences") or [])
        return StoredSecret(data, metadata.get("labels") or {}, owners, str(metadata.get("resourceVersion", "")))

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
        self._call(_Request("create", "secrets", namespace, name, body))

    def set_secret(
        self,
        namespace: str,
        name: str,
        data: dict[str, bytes],
        labels: dict[str, str] | None = None,
        version: str = "",
        owner: dict[str, str] | None = None,
    ) -> None:
        """Set the given values, labels and owner of an existing Secret; others stay.

        Args:
            version: the version that was read; "" for any.

        Raises:
            Conflict: the Secret has a different version.
        """
        hide(*data.values())
        metadata: dict[str, Any] = _versioned(version)
        if labels:
            metadata["labels"] = labels
        if owner:
            metadata["ownerReferences"] = [owner]
        body = {"metadata": metadata, "data": {key: base64.b64encode(value).decode() for key, value in data.items()}}
        self._call(_Request("patch", "secrets", namespace, name, body))

    def delete_secret(self, namespace: str, name: str, version: str = "") -> None:
        """Delete a Secret, if it exists.

        Args:
            version: the version that was read; "" for any.

        Raises:
            Conflict: the Secret has a different version.
        """
        body = {"preconditions": _versioned(version)} if version else None
        self._call(_Request("delete", "secrets", namespace, name, body))

    def configmap(self, namespace: str, name: str) -> dict[str, str] | None:
        """Return the data of a ConfigMap, or None if the ConfigMap does not exist."""
        found = self.versioned_configmap(namespace, name)
        return None if found is None else found[0]

    def versioned_configmap(self, namespace: str, name: str) -> tuple[dict[str, str], str] | None:
        """Return the data and the version of a ConfigMap, or None if the ConfigMap does not exist."""
        found = self._call(_Request("get", "configmaps", namespace, name))
        return None if found is None else (found.get("data") or {}, _version(found))

    def create_configmap(self, namespace: str, name: str, data: dict[str, str], labels: dict[str, str]) -> str:
        """Create a ConfigMap and return its version. Raises Conflict if it exists."""
        body = {"metadata": _metadata(namespace, name, labels, None), "data": data}
        return _version(self._call(_Request("create", "configmaps", namespace, name, body)))

    def set_configmap(self, namespace: str, name: str, data: dict[str, str], version: str = "") -> str:
        """Set the given values of an existing ConfigMap, and return its new version; other values stay.

        Args:
            version: the version that was read; "" for any.

        Raises:
            Conflict: the ConfigMap has a different version.
        """
        body = {"metadata": _versioned(version), "data": data}
        return _version(self._call(_Request("patch", "configmaps", namespace, name, body)))

    def pods(self, namespace: str, selector: str) -> list[dict[str, Any]]:
        """Return the pods that a label selector matches, as JSON objects of the API server."""
        return self._list("pods", namespace, labelSelector=selector)

    def jobs(self, namespace: str, selector: str) -> list[dict[str, Any]]:
        """Return the Jobs that a label selector matches, as JSON objects of the API server."""
        return self._list("jobs", namespace, labelSelector=selector)

    def events(self, namespace: str) -> list[dict[str, Any]]:
        """Return the events of type Warning, as JSON objects of the API server."""
        return self._list("events", namespace, fieldSelector="type=Warning")

    def pod_log(self, namespace: str, pod: str, container: str, lines: int, previous: bool = False) -> str | None:
        """Return the last lines of a container log, or None if the container has no log.

        Args:
            lines: how many. There are fewer if they have more than `_LOG_BYTES` bytes.
            previous: read the log of the previous run.
        """
        text = self._log_end(namespace, pod, container, lines, previous)
        # The API server cuts off the end, which tells why the container failed.
        while text is not None and len(text) >= _LOG_BYTES and lines > 1:
            lines = max(1, lines // 4)
            text = self._log_end(namespace, pod, container, lines, previous)
        return None if text is None else text.decode(errors="replace")

    def _log_end(self, namespace: str, pod: str, container: str, lines: int, previous: bool) -> bytes | None:
        query = {"container": container, "tailLines": str(lines), "limitBytes": str(_LOG_BYTES)}
        if previous:
            query["previous"] = "true"
        try:
            with self._answer(_Request("get", "pods/log", namespace, pod, query=query)) as response:
                if response is None:
                    return None
                return response.read()
        except NoLogYet:
            return None

    def follow_log(self, namespace: str, pod: str, container: str, follow: Deadline | None) -> Iterator[str]:
        """Yield the lines of a container log from its start.

        Args:
            follow: wait for further lines until the container ends, or this deadline passes; None for the lines so far.

        Raises:
            NoLogYet: the container has not started, or its pod is gone.
            RetryableError: `log-interrupted`: the connection broke.
        """
        query = {"container": container, **({"follow": "true"} if follow else {})}
        with self._answer(_Request("get", "pods/log", namespace, pod, query=query), follow) as response:
            if response is None:
                raise NoLogYet("no-log-yet", f"pod {namespace}/{pod} is gone")
            pending = b""
            try:
                for chunk in response.iter_bytes():
                    *lines, pending = (pending + chunk).split(b"\n")
                    yield from (line.decode(errors="replace") for line in lines)
            except httpx.RequestError as error:
                if follow and follow.passed:
                    return
                raise RetryableError(
                    "log-interrupted", f"the log of pod {namespace}/{pod} was interrupted: {printable(error)}"
                ) from error
            if pending:
                yield pending.decode(errors="replace")

    def service(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return a Service as a JSON object of the API server, or None if it does not exist."""
        found: dict[str, Any] | None = self._call(_Request("get", "services", namespace, name))
        return found

    def service_uid(self, namespace: str, name: str) -> str:
        """Return the UID of a Service. Raises RetryableError (`service-not-found`)."""
        return str(self._service(namespace, name)["metadata"]["uid"])

    def service_created(self, namespace: str, name: str) -> datetime:
        """Return the creation time of a Service. Raises RetryableError (`service-not-found`)."""
        return datetime.fromisoformat(self._service(namespace, name)["metadata"]["creationTimestamp"])

    def _service(self, namespace: str, name: str) -> dict[str, Any]:
        found = self.service(namespace, name)
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
        found = self._call(_Request("get", "serviceaccounts", namespace, name))
        if found is None:
            raise RetryableError(
                "service-account-not-found",
                f"ServiceAccount {namespace}/{name} not found",
                see=f"kubectl get namespace {quoted(namespace)}",
            )
        return [entry["name"] for entry in found.get("imagePullSecrets") or []]

    def may(self, verb: str, resource: str, namespace: str) -> bool:
        """Return whether this user has a permission on all objects of a kind in the core API group.

        It uses a SelfSubjectAccessReview, which every authenticated user may create.

        Args:
            resource: such as `secrets` or `pods/log`.
        """
        kind, _, subresource = resource.partition("/")
        attributes = {"namespace": namespace, "verb": verb, "resource": kind, "subresource": subresource}
        body = {"spec": {"resourceAttributes": attributes}}
        return bool(self._call(_Request("create", "selfsubjectaccessreviews", body=body))["status"]["allowed"])

    def _list(self, resource: str, namespace: str, **selector: str) -> list[dict[str, Any]]:
        # Go writes an empty list as null.
        return self._call(_Request("list", resource, namespace, query=selector)).get("items") or []

    def _call(self, request: _Request) -> Any:
        """Return the answer to a request; None if the object to get or delete does not exist."""
        with self._answer(request) as response:
            if response is None:
                return None
            try:
                found = json.loads(response.read())
            except ValueError:
                found = None
        if not isinstance(found, dict) or request.field not in found:
            raise RetryableError(
                "api-server-unavailable",
                f"cannot {request.verb} {request.resource} in namespace {request.namespace}: the answer is not one of "
                "Kubernetes, but for example the login page of a proxy",
                see="kubectl get --raw /readyz",
            )
        return found

    @contextmanager
    def _answer(self, request: _Request, follow: Deadline | None = None) -> Iterator[httpx.Response | None]:
        """Yield the answer to a request before its body is read; None if the object to get or delete does not exist.

        Args:
            follow: end of an answer that may take longer than others; None for the usual limit.

        Raises:
            RetryableError: no answer; also while the body is read within the block.
            StepError: the API server rejected the request.
        """
        deadline, token = current(), self._login.token() if self._login else None
        seconds = deadline.bound(_SECONDS)
        read = seconds if follow is None else follow.bound(math.inf)
        limit = httpx.Timeout(
            seconds, read=None if math.isinf(read) else read, connect=deadline.bound(_CONNECT_SECONDS)
        )
        sent = self._client.build_request(
            _METHODS[request.verb],
            request.path,
            params=request.query,
            json=request.body,
            headers={
                **(_PATCH if request.verb == "patch" else {}),
                **({"Authorization": f"Bearer {token}"} if token else {}),
            },
            timeout=limit,
            extensions=self._extensions(),
        )
        try:
            response = self._client.send(sent, stream=True)
            try:
                if response.is_success:
                    yield response
                    return
                response.read()
            finally:
                response.close()
        except httpx.RequestError as error:
            raise _unreachable(error) from error
        if response.status_code == 404 and request.verb in ("get", "delete"):
            yield None
            return
        raise self._error(response, request)

    def _extensions(self) -> dict[str, str]:
        name = self._login.server_name if self._login else None
        return {"sni_hostname": name} if name else {}

    def _error(self, response: httpx.Response, request: _Request) -> StepError:
        status, message = response.status_code, _message(response)
        if status == 401:
            return RetryableError(
                "api-server-unauthorized",
                f"the API server rejected the token or certificate (401: {message})",
                see=self._show_login,
            )
        if status == 400 and request.resource == "pods/log":
            return NoLogYet("no-log-yet", message)
        return _api_error(status, message, request)


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


def _version(found: dict[str, Any]) -> str:
    return str(found["metadata"].get("resourceVersion", ""))


def _versioned(version: str) -> dict[str, Any]:
    return {"resourceVersion": version} if version else {}


def _unreachable(error: httpx.RequestError) -> StepError:
    if cause_of(error, ssl.SSLCertVerificationError):
        return RetryableError(
            "api-server-certificate-not-trusted",
            f"the certificate of the Kubernetes API server is not trusted: {printable(error)}",
            see="kubectl config view --minify",
        )
    return RetryableError(
        "api-server-unreachable",
        f"cannot reach the Kubernetes API server: {printable(error) or type(error).__name__}",
        see="kubectl get --raw /readyz",
    )


def _metadata(namespace: str, name: str, labels: dict[str, str], owner: dict[str, str] | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "labels": labels}
    if owner:
        metadata["ownerReferences"] = [owner]
    return metadata


def _message(response: httpx.Response) -> str:
    try:
        return printable(response.json()["message"])
    except (TypeError, ValueError, KeyError):
        return printable(response.reason_phrase)


def _api_error(status: int, message: str, request: _Request) -> StepError:
    verb, resource, namespace, name = request.verb, request.resource, request.namespace, request.name
    if status == 409:
        return Conflict("already-exists", f"{resource} {namespace}/{name}: {message}")
    where = f"{namespace}/{name}" if name else f"in namespace {namespace}"
    if status == 403 and (forbidden := next((text for text in _FORBIDDEN if text in message), "")):
        fix, see = _FORBIDDEN[forbidden]
        return RetryableError(
            "request-forbidden",
            f"the API server does not permit to {verb} {resource} {where} ({status}: {message})",
            fix=fix,
            see=see.format(namespace=quoted(namespace)),
        )
    if status == 403:
        names = "" if verb in ("create", "list") else f", resourceNames [{name}]"
        target = quoted(f"{resource}/{name}" if name else resource)
        group = _GROUPS.get(resource.partition("/")[0], "").removeprefix("/apis/").partition("/")[0]
        user = re.search(r'User "([^"]+)"', message)
        return RetryableError(
            "permission-denied",
            f"permission denied: cannot {verb} {resource} {where} ({status}: {message})",
            fix=f"upgrade the release, or create a Role in namespace {namespace} with apiGroups ['{group}'], resources "
            f"[{resource}]{names}, verbs [{verb}] and bind it to this ServiceAccount",
            see=f"kubectl auth can-i {verb} {target} -n {quoted(namespace)}"
            + (f" --as={quoted(user[1])}" if user else ""),
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
