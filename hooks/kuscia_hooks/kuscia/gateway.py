"""Requests to a Kuscia gateway (port 1080) that need no credentials."""

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from kuscia_hooks.core.config import split_endpoint
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.text import printable, quoted

T = TypeVar("T")
TIMEOUT = 5.0
KNOWN = {0, 2, 3, 4}
UNKNOWN = 5
# Kuscia's Envoy sends no server name (SNI), because its upstream TLS context is empty. OpenSSL sends none for an IP
# address, whatever the host of the endpoint is.
AS_ENVOY = {"sni_hostname": "127.0.0.1"}
# Likely cause when something other than a gateway answers, by HTTP status (Kuscia facts 12.6, number 3).
_MEANING = {
    400: "a proxy rejected the request, for example http sent to an https port",
    403: "a firewall or proxy denied the request",
    404: "no gateway is configured for this host and path",
    405: "a firewall denied the request",
    426: "a proxy uses HTTP/1.0 to the gateway, which requires HTTP/1.1",
    502: "a proxy cannot reach the gateway behind it: check its backend protocol and port",
    503: "a proxy has no gateway behind it at the moment",
    504: "the gateway behind a proxy does not answer: check firewalls and NetworkPolicies",
}


@dataclass(frozen=True)
class _Problem:
    """Why a request did not reach a gateway: the error ID, and what was seen."""

    error_id: str
    seen: str


def open_client(transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """Return an HTTP client for gateways."""
    # Gateway certificates are self-signed, and Kuscia itself never verifies them (Kuscia facts 2.7).
    return httpx.Client(verify=False, timeout=TIMEOUT, trust_env=False, transport=transport)  # noqa: S501


def connection_error(url: str, error: httpx.TransportError, see: str = "") -> RetryableError:
    """Return the error for a request that got no answer: `host-not-found`, `master-down` or `master-unreachable`."""
    problem = _connection_problem(error)
    if _caused_by(error, ssl.SSLError):
        problem = _Problem(
            "proxy-requires-sni",
            f"{problem.seen} (Kuscia sends no TLS server name; a proxy that requires one cannot be used)",
        )
    return RetryableError(problem.error_id, f"cannot reach {url}: {problem.seen}", see=see)


def _connection_problem(error: httpx.TransportError) -> _Problem:
    text = printable(error) or type(error).__name__
    if _caused_by(error, socket.gaierror):
        return _Problem("host-not-found", f"{text}: the cluster DNS cannot resolve the host")
    if isinstance(error, httpx.TimeoutException):
        return _Problem(
            "master-unreachable",
            f"no answer within {TIMEOUT:.0f} s: a firewall or NetworkPolicy drops the request, or nothing is listening",
        )
    if _caused_by(error, ConnectionRefusedError):
        return _Problem("master-down", f"{text}: nothing is listening")
    if _caused_by(error, ConnectionResetError):
        return _Problem("master-down", f"{text}: the connection was closed")
    if _caused_by(error, ssl.SSLError) or isinstance(error, httpx.ProtocolError):
        return _Problem("not-a-gateway", text)
    return _Problem("master-unreachable", text)


def _caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Return whether `error` or one of its causes is of a kind."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error is not None


def _command(endpoint: str) -> str:
    return f"curl -kvs {quoted(endpoint + '/')}"


def _problem(client: httpx.Client, endpoint: str) -> _Problem | None:
    """Return why no Kuscia gateway answers, or None if one does."""
    try:
        response = client.get(f"{endpoint}/")
    except httpx.TransportError as error:
        return _connection_problem(error)
    status = response.status_code
    if status != 401:
        return _Problem("not-a-gateway", f"HTTP {status} instead of 401: {_meaning(response)}")
    if response.headers.get("kuscia-error-message"):
        return None
    reason = "a proxy in front of the gateway answers or removes the header"
    if response.headers.get("www-authenticate"):
        reason = "a proxy in front of the gateway requires a login"
    return _Problem("not-a-gateway", f"HTTP 401 without a kuscia-error-message header: {reason}")


def _meaning(response: httpx.Response) -> str:
    if response.is_redirect:
        target = printable(response.headers["location"])
        return f"redirect to {target}, for example to a login page or from http to https"
    if response.is_success:
        return "a login page or another site answers"
    return _MEANING.get(response.status_code, "the server is not a Kuscia gateway")


def probe(endpoint: str, transport: httpx.BaseTransport | None = None) -> None:
    """Check that a Kuscia gateway answers, as a lite does at its start (Kuscia facts 0.11).

    Raises:
        RetryableError: `wrong-scheme`, `not-a-gateway`, `host-not-found`, `master-down` or `master-unreachable`.
    """
    with open_client(transport) as client:
        problem = _problem(client, endpoint)
        if problem is None:
            return
        parts = split_endpoint(endpoint)
        other = "http" if parts.scheme == "https" else "https"
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        swapped = f"{other}://{host}:{port}{parts.path}".rstrip("/")
        if _problem(client, swapped) is None:
            raise RetryableError(
                "wrong-scheme",
                f"wrong scheme: {endpoint} ({problem.seen}); a Kuscia gateway answers at {swapped}",
                fix=f"set the endpoint to {swapped}",
                see=_command(swapped),
            )
    raise RetryableError(
        problem.error_id, f"no Kuscia gateway answers at {endpoint}: {problem.seen}", see=_command(endpoint)
    )


def handshake_state(endpoint: str, domain_id: str, transport: httpx.BaseTransport | None = None) -> int:
    """Return the state of a domain at a master (recordings of the gateway, "handshake question …").

    Returns:
        0 connected, 2 to 4 known, 5 not known (yet), 1 invalid ID, 6 internal error.

    Raises:
        RetryableError: the request got no answer, or not that of a master.
    """
    return _handshake(endpoint, domain_id, "state", int, transport)


def master_id(endpoint: str, domain_id: str, transport: httpx.BaseTransport | None = None) -> str:
    """Return the domain ID of the master behind a gateway, requested on behalf of `domain_id`.

    Raises:
        RetryableError: the request got no answer, or not that of a master.
    """
    return _handshake(endpoint, domain_id, "namespace", str, transport)


def _handshake(
    endpoint: str, domain_id: str, field: str, kind: Callable[[Any], T], transport: httpx.BaseTransport | None
) -> T:
    headers = {"Kuscia-Host": "kuscia-handshake.master.svc", "Kuscia-Source": domain_id}
    options = " ".join(f"-H {quoted(f'{name}: {value}')}" for name, value in headers.items())
    url = f"{endpoint}/handshake"
    see = f"curl -ks {options} {quoted(url)}"
    with open_client(transport) as client:
        try:
            response = client.get(url, headers=headers, extensions=AS_ENVOY)
        except httpx.TransportError as error:
            raise connection_error(url, error, see) from error
    try:
        return kind(response.json()[field])
    except (ValueError, KeyError, TypeError) as error:
        problem = _handshake_problem(response, split_endpoint(endpoint).path)
        raise RetryableError(
            problem.error_id,
            f"{url} returned HTTP {response.status_code} without field {field}: {problem.seen}",
            see=see,
        ) from error


def _handshake_problem(response: httpx.Response, path: str) -> _Problem:
    """Return why a gateway that passed the probe does not answer the handshake."""
    if response.status_code == 401 and response.headers.get("kuscia-error-message"):
        return _Problem(
            "proxy-drops-headers", "the Kuscia-Host header is missing; a proxy in front must forward all headers"
        )
    if response.status_code == 404 and path:
        return _Problem(
            "proxy-keeps-path",
            f"the proxy in front must strip {path} from the path, also for requests without a TLS server name",
        )
    return _Problem("not-a-gateway", _meaning(response))
