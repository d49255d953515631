"""Questions to a Kuscia gateway (port 1080) that need no credentials."""

import socket
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from kuscia_hooks.core.config import split_endpoint
from kuscia_hooks.core.errors import RetryableError

T = TypeVar("T")
TIMEOUT = 5.0
KNOWN = {0, 2, 3, 4}
UNKNOWN = 5
# Kuscia's Envoy names no server in TLS (SNI): its upstream TLS context is empty. To OpenSSL an address is no
# name, so none is sent here either, whatever the endpoint's host is.
AS_ENVOY = {"sni_hostname": "127.0.0.1"}
# What answers in a gateway's place, by status (Kuscia facts 12.6, number 3).
_MEANING = {
    400: "a proxy does not take the request, as one does that is asked for http where it speaks https",
    403: "a firewall or proxy refuses",
    404: "no gateway is served under this host and path",
    405: "a firewall refuses",
    426: "a proxy speaks HTTP/1.0 to the gateway, which takes HTTP/1.1 alone",
    502: "a proxy answers and does not reach the gateway behind it: look at its backend's protocol and port",
    503: "a proxy answers and has no gateway behind it now",
    504: "a proxy answers and the gateway behind it does not: look at firewalls and NetworkPolicies",
}


def open_client(transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """A client for gateways."""
    # A gateway's certificate is self-made, and Kuscia itself never verifies it (Kuscia facts 2.7).
    return httpx.Client(verify=False, timeout=TIMEOUT, trust_env=False, transport=transport)  # noqa: S501


def error_text(error: httpx.TransportError) -> str:
    """What went wrong, in a few words."""
    text = str(error) or type(error).__name__
    if _unresolved(error):
        return f"{text}: the DNS of this cluster does not know the host"
    return text


def _unresolved(error: BaseException | None) -> bool:
    """Whether a failed lookup of the host is the reason, or the reason's reason."""
    while error is not None and not isinstance(error, socket.gaierror):
        error = error.__cause__ or error.__context__
    return error is not None


def _command(endpoint: str) -> str:
    return f"curl -kvs {endpoint}/"


def _answer(client: httpx.Client, endpoint: str) -> str:
    """ "" when a Kuscia gateway answers; else what was seen instead."""
    try:
        response = client.get(f"{endpoint}/")
    except httpx.TimeoutException:
        return f"no answer within {TIMEOUT:.0f} s: a firewall or NetworkPolicy drops the request, or nobody is there"
    except httpx.TransportError as error:
        return error_text(error)
    status = response.status_code
    if status != 401:
        return f"HTTP {status} instead of 401: {_meaning(response)}"
    if response.headers.get("kuscia-error-message"):
        return ""
    if response.headers.get("www-authenticate"):
        return "HTTP 401 without a kuscia-error-message header: something in front of the gateway asks for a login"
    return (
        "HTTP 401 without a kuscia-error-message header: something in front of the gateway answers in its place, or "
        "takes the header away"
    )


def _meaning(response: httpx.Response) -> str:
    if response.is_redirect:
        return f"a redirect to {response.headers['location']}, as to a login page or from http to https"
    if response.is_success:
        return "a login page or another site answers"
    return _MEANING.get(response.status_code, "something else than a Kuscia gateway answers")


def probe(endpoint: str, transport: httpx.BaseTransport | None = None) -> None:
    """Ask whether a Kuscia gateway answers, as a lite does at its start (Kuscia facts 0.11).

    Raises:
        RetryableError: it does not; the message says what answers, and under which scheme when that is the other one.
    """
    with open_client(transport) as client:
        saw = _answer(client, endpoint)
        if not saw:
            return
        parts = split_endpoint(endpoint)
        other = "http" if parts.scheme == "https" else "https"
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        swapped = f"{other}://{host}:{port}{parts.path}".rstrip("/")
        if not _answer(client, swapped):
            raise RetryableError(
                "unclassified-retryable",
                f"{endpoint} has the wrong scheme: a Kuscia gateway answers at {swapped} ({endpoint}: {saw})",
                see=_command(swapped),
            )
    raise RetryableError(
        "unclassified-retryable", f"no Kuscia gateway answers at {endpoint}: {saw}", see=_command(endpoint)
    )


def handshake_state(endpoint: str, domain_id: str, transport: httpx.BaseTransport | None = None) -> int:
    """Ask a master whether it knows a domain (recordings of the gateway, "handshake question …").

    Returns:
        0 connected, 2 to 4 known, 5 not known (yet), 1 no valid ID, 6 an error inside.

    Raises:
        RetryableError: no such answer.
    """
    return _handshake(endpoint, domain_id, "state", int, transport)


def master_id(endpoint: str, domain_id: str, transport: httpx.BaseTransport | None = None) -> str:
    """The domain ID of the master behind a gateway, asked in the name of `domain_id`.

    Raises:
        RetryableError: no such answer.
    """
    return _handshake(endpoint, domain_id, "namespace", str, transport)


def _handshake(
    endpoint: str, domain_id: str, field: str, kind: Callable[[Any], T], transport: httpx.BaseTransport | None
) -> T:
    """One field of the answer. Raises RetryableError."""
    headers = {"Kuscia-Host": "kuscia-handshake.master.svc", "Kuscia-Source": domain_id}
    shown = " ".join(f"-H '{name}: {value}'" for name, value in headers.items())
    show = f"curl -ks {shown} {endpoint}/handshake"
    with open_client(transport) as client:
        try:
            response = client.get(f"{endpoint}/handshake", headers=headers, extensions=AS_ENVOY)
        except httpx.TransportError as error:
            raise RetryableError(
                "unclassified-retryable",
                f"{endpoint}/handshake is not reached: {error_text(error)}{_no_name(error)}",
                see=show,
            ) from error
    try:
        return kind(response.json()[field])
    except (ValueError, KeyError, TypeError) as error:
        reason = _no_answer(response, split_endpoint(endpoint).path)
        raise RetryableError(
            "unclassified-retryable",
            f"{endpoint}/handshake answered HTTP {response.status_code} without a {field}: {reason}",
            see=show,
        ) from error


def _no_name(error: httpx.TransportError) -> str:
    if "SSL" not in str(error):
        return ""
    return (
        " (Kuscia's gateway sends no server name in TLS; a proxy that chooses by it cannot stand in front of a master)"
    )


def _no_answer(response: httpx.Response, path: str) -> str:
    """Why a gateway that answered the probe does not answer the handshake question."""
    if response.status_code == 401 and response.headers.get("kuscia-error-message"):
        return "the header Kuscia-Host does not arrive; a proxy in front has to pass all headers on"
    if response.status_code == 404 and path:
        return f"the proxy in front has to take {path} from the path, and to send requests without a server name alike"
    return _meaning(response)
