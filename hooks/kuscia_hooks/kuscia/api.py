"""The KusciaAPI client: every call of every step goes through here.

Kuscia answers HTTP 200 to business errors and says more in a code (Kuscia facts 7.1, 7.3); here they become
exceptions that say whether time or a person helps.
"""

import json
import random
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Api, Release, SecretKey
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.core.log import hide
from kuscia_hooks.core.waiting import Deadline, until
from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.kuscia.api_errors import Busy, Missing, TimedOut, error_for

Protocol = Literal["TLS", "NOTLS", "MTLS"]
TRIES = 4


def _pause() -> None:
    time.sleep(random.uniform(0.8, 1.2))  # noqa: S311


def _url(path: str) -> str:
    return path if path.startswith("/") else f"/api/v1/{path}"


def _objects(texts: Iterable[str]) -> Iterator[dict[str, Any]]:
    """JSON objects that follow each other without a separator, from text cut anywhere."""
    decoder, pending = json.JSONDecoder(), ""
    for text in texts:
        pending = (pending + text).lstrip()
        while pending:
            try:
                item, end = decoder.raw_decode(pending)
            except json.JSONDecodeError:
                break
            yield item
            pending = pending[end:].lstrip()
    if pending:
        raise ValueError(f"the stream ends in the middle of an object: {pending[:100]!r}")


class KusciaAPI:
    """The KusciaAPI of one node, called as that node's operator.

    Args:
        endpoint: such as `https://kuscia-master.kuscia-master.svc.cluster.local:8082`.
        key: the node's domain key, from which token and certificates follow.
        transport: another transport than the network, for tests.
    """

    def __init__(
        self,
        endpoint: str,
        protocol: Protocol,
        domain_id: str,
        key: rsa.RSAPrivateKey,
        *,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.domain_id = domain_id
        token = domain_key.api_token(key, domain_id)
        hide(token)
        verify: ssl.SSLContext | bool = True
        if protocol != "NOTLS":
            verify = domain_key.ssl_context(key, domain_id, mutual=protocol == "MTLS")
        self._client = httpx.Client(
            base_url=endpoint,
            headers={"Token": token, "Content-Type": "application/json"},
            verify=verify,
            timeout=httpx.Timeout(timeout, connect=5.0),
            limits=httpx.Limits(max_connections=64),
            transport=transport,
            trust_env=False,
        )

    def __enter__(self) -> "KusciaAPI":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def call(self, path: str, body: dict[str, Any]) -> Any:
        """Send one request and return the answer's `data`; what passes by itself is tried again a few times.

        A time-out is not: the caller has to slow down.

        Args:
            path: without the common prefix, such as `domain/query`.

        Raises:
            Missing, Exists, Refused, Busy: what KusciaAPI said.
            RetryableError: no answer.
            PermanentError: the node does not accept the key.
        """
        for attempt in range(1, TRIES + 1):
            try:
                return self.once(path, body)
            except (Missing, TimedOut):
                raise
            except RetryableError:
                if attempt == TRIES:
                    raise
            _pause()
        raise AssertionError("unreachable")

    def once(self, path: str, body: dict[str, Any]) -> Any:
        """Like `call`, without a second try."""
        try:
            response = self._client.post(_url(path), json=body)
        except httpx.TimeoutException as error:
            raise TimedOut("kusciaapi-timeout", f"KusciaAPI {self.endpoint} did not answer {path} in time") from error
        except httpx.TransportError as error:
            raise self._transport_error(path, error) from error
        self._accepted(path, response)
        try:
            answer = response.json()
            status = answer["status"]
            code, text = int(status["code"]), str(status["message"])
        except (ValueError, KeyError, TypeError) as error:
            raise Busy(path, response.status_code, f"not KusciaAPI's JSON: {response.text[:100]!r}") from error
        if code:
            raise error_for(path, code, text)
        return answer.get("data")

    def stream(self, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The objects of a streaming endpoint (`job/watch`, `log/task/query`) as they come; one may be long in coming.

        In them zero values are left out and enums are numbers (Kuscia facts 7.1).

        Raises:
            as `once`, also in the middle.
        """
        patient = httpx.Timeout(30.0, connect=5.0, read=None)
        try:
            with self._client.stream("POST", _url(path), json=body, timeout=patient) as response:
                if response.status_code != 200:
                    response.read()
                self._accepted(path, response)
                for item in _objects(response.iter_text()):
                    status = item.get("status") or {}
                    if status.get("code"):
                        raise error_for(path, int(status["code"]), str(status.get("message", "")))
                    yield item
        except httpx.TransportError as error:
            raise self._transport_error(path, error) from error
        except ValueError as error:
            raise Busy(path, 200, f"not KusciaAPI's JSON: {error}") from error

    def version(self) -> str:
        """The node's version as it says it, such as `v1.1.0b0`."""
        try:
            response = self._client.get("/version")
        except httpx.TransportError as error:
            raise self._transport_error("/version", error) from error
        if response.status_code != 200:
            raise Busy("/version", response.status_code, response.text.strip()[:200])
        return response.text.strip()

    def _accepted(self, path: str, response: httpx.Response) -> None:
        if response.status_code == 401:
            raise PermanentError(
                "unclassified",
                f"KusciaAPI {self.endpoint} refused the token that follows from the domain key: the node "
                f"runs with another key or domain ID than {self.domain_id}. Restart it if its key Secret was "
                "changed.",
            )
        if response.status_code == 400 and "HTTP request to an HTTPS server" in response.text:
            raise PermanentError("unclassified", f"{self.endpoint} speaks TLS: its protocol is not NOTLS")
        if response.status_code != 200:
            raise Busy(path, response.status_code, response.text.strip()[:200])

    def _transport_error(self, path: str, error: httpx.TransportError) -> StepError:
        cause = str(error) or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in cause:
            return PermanentError(
                "unclassified",
                f"{self.endpoint} proved another identity than that of domain {self.domain_id}: its "
                "certificate is not signed with this domain's key. Either the endpoint names another node, "
                "or the node was started with another key and needs a restart.",
            )
        if "CERTIFICATE_REQUIRED" in cause.upper().replace(" ", "_"):
            return PermanentError("unclassified", f"{self.endpoint} wants a client certificate: its protocol is MTLS")
        if "WRONG_VERSION_NUMBER" in cause:
            return PermanentError("unclassified", f"{self.endpoint} does not speak TLS: its protocol is NOTLS")
        return RetryableError(
            "unclassified-retryable", f"KusciaAPI {self.endpoint} is not reached ({cause}); asked for {path}"
        )

    def find(self, path: str, body: dict[str, Any]) -> Any | None:
        """A query's data, or None when what it names does not exist."""
        try:
            return self.call(path, body)
        except Missing:
            return None

    def ready(self) -> None:
        """Raise RetryableError until the node serves its API."""
        data = self.once("/healthZ", {})
        if not (data or {}).get("ready"):
            raise RetryableError("unclassified-retryable", f"KusciaAPI {self.endpoint} says that it is not ready")


@contextmanager
def open_api(
    kube: Kube, namespace: str, key_secret: SecretKey, api: Api, domain_id: str, deadline: Deadline
) -> Iterator[KusciaAPI]:
    """The node's own KusciaAPI, once it serves. The key is read anew each time, so a corrected Secret is
    seen.

    Raises:
        RetryableError: the key Secret is missing or wrong.
        PermanentError: the node runs with another key.
        DeadlineExceeded: the deadline passed.
    """
    _, key = domain_key.read_key(kube, namespace, key_secret)
    with KusciaAPI(api.endpoint, api.protocol, domain_id, key) as client:

        def ready() -> None:
            try:
                client.ready()
            except RetryableError as error:
                raise RetryableError(
                    "unclassified-retryable", error.message, see=f"kubectl get pods -n {namespace}"
                ) from error

        until(f"KusciaAPI of {domain_id}", ready, deadline)
        yield client


# For someone who looks: long enough for a slow answer, too short to wait for a start.
GLANCE = 5.0


@contextmanager
def at_a_glance(kube: Kube, config: Release) -> Iterator[Callable[[], KusciaAPI]]:
    """A function that opens the node's KusciaAPI, or raises StepError soon where it does not serve."""
    with ExitStack() as stack:

        def opened() -> KusciaAPI:
            deadline = Deadline(GLANCE)
            session = open_api(kube, config.namespace, config.key_secret, config.api, config.domain_id, deadline)
            return stack.enter_context(session)

        yield opened
