"""Client for KusciaAPI.

Kuscia returns HTTP 200 with a code in the body for most errors (Kuscia facts 7.1, 7.3). The client raises retryable
and permanent errors for them.
"""

import json
import math
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Literal

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.answers import UNTIL_DEADLINE, LimitedAnswers, Network, decoded
from kuscia_hooks.core.config.common import Api, SecretKey
from kuscia_hooks.core.config.release import Release
from kuscia_hooks.core.errors import DeadlineExceeded, PermanentError, RetryableError, StepError
from kuscia_hooks.core.redaction import hide
from kuscia_hooks.core.text import printable, quoted
from kuscia_hooks.core.waiting import Deadline, current, until
from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.kuscia.api_errors import Busy, Missing, TimedOut, UnexpectedAnswer, Unreachable, error_for
from kuscia_hooks.kuscia.outage import Outage

Protocol = Literal["TLS", "NOTLS", "MTLS"]
TRIES = 4
CONNECTIONS = 64
CONNECT_SECONDS = 5.0
STREAM_SECONDS = 30.0
"""Longest pause within a stream. None is followed: a watch is told when to end, and stored logs are complete."""
PROBE_SECONDS = 5.0
"""Limit of a request that only asks whether the node is ready."""
# Every version of Kuscia puts this name into the certificate of KusciaAPI (Kuscia facts 0.9). No other certificate of
# the domain has it: those of its engines have the names of their pods.
SERVER_NAME = "kusciaapi"
_SNI = {"sni_hostname": SERVER_NAME}


def _pause() -> None:
    current().pause()


def _url(path: str) -> str:
    return path if path.startswith("/") else f"/api/v1/{path}"


class _Object(dict[str, Any]):
    """A JSON object of an answer: reading a field that it does not have raises UnexpectedAnswer.

    A field that is null is the same as an absent one.
    """

    def __init__(self, path: str, fields: dict[str, Any]) -> None:
        super().__init__((name, value) for name, value in fields.items() if value is not None)
        self._path = path

    def __missing__(self, name: str) -> Any:
        raise UnexpectedAnswer(f"{self._path}: no field {name}")


def _objects(texts: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield JSON objects that follow each other without a separator; `texts` may be split anywhere.

    Raises:
        ValueError: the text has something else.
    """
    decoder, pending = json.JSONDecoder(), ""
    for text in texts:
        pending = (pending + text).lstrip()
        while pending:
            try:
                item, end = decoder.raw_decode(pending)
            except json.JSONDecodeError:
                break
            if not isinstance(item, dict):
                raise ValueError(f"not an object: {pending[:100]!r}")
            yield item
            pending = pending[end:].lstrip()
    if pending:
        raise ValueError(f"the stream ended within an object: {pending[:100]!r}")


def _status(item: dict[str, Any]) -> tuple[int, str]:
    """Return code and message of an object of a stream; 0 for one without a status. Raises ValueError."""
    status = item.get("status") or {}
    try:
        return int(status.get("code") or 0), str(status.get("message", ""))
    except (AttributeError, TypeError) as error:
        raise ValueError(f"status {status!r}") from error


class KusciaAPI:
    """The KusciaAPI of one node, called as the operator of its domain. The current deadline bounds its requests.

    Args:
        endpoint: such as `https://kuscia-master.kuscia-master.svc.cluster.local:8082`.
        protocol: of the endpoint.
        domain_id: domain of the node.
        key: the domain key; token and certificates are derived from it.
        timeout: of one request, in seconds.
        patience: seconds that a call waits for a node that does not answer any more.
        transport: replaces the network in tests.
    """

    def __init__(
        self,
        endpoint: str,
        protocol: Protocol,
        domain_id: str,
        key: rsa.RSAPrivateKey,
        *,
        timeout: float = 30.0,
        patience: float = math.inf,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.domain_id = domain_id
        self._timeout, self._patience = timeout, patience
        self._outage = Outage(self._wait, self._may_wait)
        self._protocol, self._key = protocol, key
        token = domain_key.api_token(key, domain_id)
        hide(token)
        # Without the default one, which takes 70 ms to load all public authorities.
        verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if protocol != "NOTLS":
            verify = domain_key.ssl_context(key, domain_id, mutual=protocol == "MTLS")
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        network = transport or Network(verify=verify, limits=limits)
        self._client = httpx.Client(
            base_url=endpoint,
            headers={"Token": token, "Content-Type": "application/json"},
            transport=LimitedAnswers(network),
            trust_env=False,
        )

    def separate(self, timeout: float = 5.0) -> "KusciaAPI":
        """Return a client for the same node with its own connections.

        A signal handler needs it: it may have interrupted a request of this client, which holds locks.
        """
        return KusciaAPI(self.endpoint, self._protocol, self.domain_id, self._key, timeout=timeout, patience=timeout)

    def __enter__(self) -> "KusciaAPI":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def call(self, path: str, body: dict[str, Any]) -> Any:
        """Send a request and return the `data` of the answer. Retryable errors are retried up to `TRIES` times.

        While the node does not answer, one caller waits for it, and all others wait for the outcome. A request that
        timed out is not repeated, because the caller must slow down.

        Args:
            path: without the common prefix, such as `domain/query`.
            body: JSON body.

        Raises:
            Missing, Exists, Refused, Busy: the error that KusciaAPI returned.
            RetryableError: no answer.
            PermanentError: the node has a different key or protocol.
        """
        for attempt in range(1, TRIES + 1):
            self._outage.hold()
            try:
                return self.once(path, body)
            except Missing:
                raise
            except TimedOut:
                self._outage.ask()
                raise
            except Unreachable:
                self._outage.ask()
                if attempt == TRIES:
                    raise
            except RetryableError:
                if attempt == TRIES or current().passed:
                    raise
                _pause()
        raise AssertionError("unreachable")

    def _wait(self) -> None:
        """Wait until the node is ready. Raises RetryableError at the deadline, or when patience ends."""
        try:
            until(f"KusciaAPI of {self.domain_id}", self.ready, current().within(self._patience))
        except DeadlineExceeded as error:
            raise RetryableError(error.id, error.message, error.fix, error.see) from error

    def _may_wait(self) -> bool:
        """Return whether a wait that failed may be repeated: it ended at the deadline of another caller."""
        return math.isinf(self._patience) and not current().passed

    def _limit(self, seconds: float) -> httpx.Timeout:
        deadline = current()
        return httpx.Timeout(deadline.bound(seconds), connect=deadline.bound(min(seconds, CONNECT_SECONDS)))

    def once(self, path: str, body: dict[str, Any], *, seconds: float | None = None) -> Any:
        """Send a request once; otherwise like `call`.

        Args:
            seconds: limit of the request, instead of that of the client.
        """
        limit = self._limit(min(self._timeout, seconds or self._timeout))
        with self._request(path):
            response = self._client.post(_url(path), json=body, timeout=limit, extensions=_SNI)
        self._accepted(path, response)
        try:
            answer = json.loads(response.content, object_hook=partial(_Object, path))
            status = answer["status"]
            code, text = int(status["code"]), str(status["message"])
        except (ValueError, TypeError, UnexpectedAnswer) as error:
            raise Busy(path, response.status_code, f"invalid response: {decoded(response)[:100]!r}") from error
        if code:
            raise error_for(path, code, text)
        data = answer.get("data")
        return _Object(path, {}) if data is None else data

    def stream(self, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the objects of a streaming endpoint (`job/watch`, `log/task/query`).

        Zero values are omitted from the objects and enums are numbers (Kuscia facts 7.1).

        Raises:
            StepError: as `once`, also after the first objects.
        """
        limit, extensions = self._limit(STREAM_SECONDS), _SNI | UNTIL_DEADLINE
        with (
            self._request(path),
            self._client.stream("POST", _url(path), json=body, timeout=limit, extensions=extensions) as response,
        ):
            if response.status_code != 200:
                response.read()
            self._accepted(path, response)
            response.encoding = "utf-8"
            try:
                for item in _objects(response.iter_text()):
                    code, text = _status(item)
                    if code:
                        raise error_for(path, code, text)
                    yield item
            except ValueError as error:
                raise Busy(path, 200, f"invalid response: {error}") from error

    def version(self) -> str:
        """Return the version of the node, such as `v1.1.0b0`."""
        with self._request("/version"):
            response = self._client.get("/version", timeout=self._limit(self._timeout), extensions=_SNI)
        if response.status_code != 200:
            raise Busy("/version", response.status_code, decoded(response).strip()[:200])
        return decoded(response).strip()

    @contextmanager
    def _request(self, path: str) -> Iterator[None]:
        """Raise StepError for a request that got no answer, or one that cannot be decoded."""
        try:
            yield
        except httpx.TransportError as error:
            raise self._transport_error(path, error) from error
        except httpx.DecodingError as error:
            raise Busy(path, 200, f"invalid response: {error}") from error

    def _accepted(self, path: str, response: httpx.Response) -> None:
        if response.status_code == 401:
            raise PermanentError(
                "kusciaapi-token-rejected",
                f"KusciaAPI {self.endpoint} rejected the token (401): the node runs with a different domain key, or "
                f"its domain ID is not {self.domain_id}",
                fix="restart the node if its key Secret was changed",
            )
        if response.status_code == 400 and "HTTP request to an HTTPS server" in decoded(response):
            raise self._protocol_mismatch("uses TLS, but protocol is set to NOTLS")
        if response.status_code != 200:
            raise Busy(path, response.status_code, decoded(response).strip()[:200])

    def _transport_error(self, path: str, error: httpx.TransportError) -> StepError:
        if isinstance(error, httpx.TimeoutException):
            return TimedOut("kusciaapi-timeout", f"KusciaAPI {self.endpoint} timed out: {path}")
        cause = printable(error) or type(error).__name__
        if "not yet valid" in cause:
            return RetryableError(
                "kusciaapi-certificate-not-yet-valid",
                f"the certificate that KusciaAPI {self.endpoint} made at its start is not valid yet: the clock of its "
                "node is ahead of the one here",
                fix="synchronize the clocks of the nodes; the step continues once the certificate is valid",
            )
        if "Hostname mismatch" in cause:
            return PermanentError(
                "kusciaapi-certificate-mismatch",
                f"{self.endpoint} presented a certificate of domain {self.domain_id} that is not valid for the name "
                f"{SERVER_NAME}: it is not KusciaAPI, but for example an engine",
                fix="correct the endpoint",
            )
        if "CERTIFICATE_VERIFY_FAILED" in cause:
            return PermanentError(
                "kusciaapi-certificate-mismatch",
                f"KusciaAPI {self.endpoint} presented a certificate for a different domain than {self.domain_id}: it "
                "is not signed with the domain key",
                fix="correct the endpoint if it belongs to a different node; restart the node if its key Secret was "
                "changed",
            )
        if "CERTIFICATE_REQUIRED" in cause.upper().replace(" ", "_"):
            return self._protocol_mismatch("requires a client certificate", "MTLS")
        if "WRONG_VERSION_NUMBER" in cause:
            return self._protocol_mismatch("does not use TLS", "NOTLS")
        return Unreachable("kusciaapi-unreachable", f"cannot reach KusciaAPI {self.endpoint} ({cause}): {path}")

    def _protocol_mismatch(self, seen: str, protocol: str = "TLS or MTLS") -> PermanentError:
        return PermanentError(
            "kusciaapi-protocol-mismatch", f"KusciaAPI {self.endpoint} {seen}", fix=f"set protocol to {protocol}"
        )

    def find(self, path: str, body: dict[str, Any]) -> Any | None:
        """Return the data of a query, or None if the object does not exist."""
        try:
            return self.call(path, body)
        except Missing:
            return None

    def ready(self) -> None:
        """Raise RetryableError until the node is ready."""
        data = self.once("/healthZ", {}, seconds=PROBE_SECONDS)
        if not (isinstance(data, dict) and data.get("ready")):
            raise RetryableError(
                "kusciaapi-not-ready",
                f"KusciaAPI {self.endpoint} is not ready",
                fix="wait until the node has started; if it stays so, see the log of its Kuscia pod",
            )


@contextmanager
def open_api(
    kube: Kube,
    namespace: str,
    key_secret: SecretKey,
    api: Api,
    domain_id: str,
    deadline: Deadline,
    patience: float = math.inf,
) -> Iterator[KusciaAPI]:
    """Yield a client for the KusciaAPI of the release's node once the node is ready.

    The key Secret is read on each call, so that a corrected Secret takes effect.

    Args:
        deadline: end of the wait for the node.
        patience: seconds to wait for the node, now and whenever it does not answer any more.

    Raises:
        RetryableError: the key Secret is missing or invalid.
        PermanentError: the node has a different key or protocol.
        DeadlineExceeded: the node was not ready before the deadline.
    """
    _, key = domain_key.read_key(kube, namespace, key_secret)
    with KusciaAPI(api.endpoint, api.protocol, domain_id, key, patience=patience) as client:

        def ready() -> None:
            try:
                client.ready()
            except RetryableError as error:
                raise RetryableError(error.id, error.message, see=f"kubectl get pods -n {quoted(namespace)}") from error

        until(f"KusciaAPI of {domain_id}", ready, deadline.within(patience))
        yield client


BRIEF_SECONDS = 5.0
"""Seconds that `doctor` and `status` wait: enough for a slow answer, too short to wait for a starting node."""


@contextmanager
def brief_api(kube: Kube, config: Release) -> Iterator[Callable[[], KusciaAPI]]:
    """Yield a function that opens the KusciaAPI of the node, or raises StepError within `BRIEF_SECONDS` seconds."""
    with ExitStack() as stack:

        def opened() -> KusciaAPI:
            session = open_api(
                kube, config.namespace, config.key_secret, config.api, config.domain_id, Deadline(0), BRIEF_SECONDS
            )
            return stack.enter_context(session)

        yield opened
