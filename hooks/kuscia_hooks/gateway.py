"""Questions to a Kuscia gateway (port 1080) that need no credentials."""

from typing import Any

import httpx

from kuscia_hooks.config import split_endpoint
from kuscia_hooks.errors import NotYet

TIMEOUT = 5.0
KNOWN = {0, 2, 3, 4}
UNKNOWN = 5


def open_client(transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """A client for gateways."""
    # A gateway's certificate is self-made, and Kuscia itself never verifies it (Kuscia facts 2.7).
    return httpx.Client(verify=False, timeout=TIMEOUT, trust_env=False, transport=transport)  # noqa: S501


def error_text(error: httpx.TransportError) -> str:
    """What went wrong, in a few words."""
    return str(error) or type(error).__name__


def _command(endpoint: str) -> str:
    return f"curl -kvs {endpoint}/"


def _answer(client: httpx.Client, endpoint: str) -> str:
    """ "" when a Kuscia gateway answers; else what was seen instead."""
    try:
        response = client.get(f"{endpoint}/")
    except httpx.TimeoutException:
        return f"no answer within {TIMEOUT:.0f} s"
    except httpx.TransportError as error:
        return error_text(error)
    if response.status_code != 401:
        return f"HTTP {response.status_code} instead of 401: something else than a Kuscia gateway answers"
    if not response.headers.get("kuscia-error-message"):
        return "HTTP 401 without a kuscia-error-message header: something in front of the gateway answers"
    return ""


def probe(endpoint: str, transport: httpx.BaseTransport | None = None) -> None:
    """Ask whether a Kuscia gateway answers, as a lite does at its start (Kuscia facts 0.11).

    Raises:
        NotYet: it does not; the message says what answers, and under which scheme when that is the other one.
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
            raise NotYet(
                f"{endpoint} has the wrong scheme: a Kuscia gateway answers at {swapped} ({endpoint}: {saw})",
                _command(swapped),
            )
    raise NotYet(f"no Kuscia gateway answers at {endpoint}: {saw}", _command(endpoint))


def handshake_state(endpoint: str, domain_id: str, transport: httpx.BaseTransport | None = None) -> int:
    """Ask a master whether it knows a domain (recordings of the gateway, "handshake question …").

    Returns:
        0 connected, 2 to 4 known, 5 not known (yet), 1 no valid ID, 6 an error inside.

    Raises:
        NotYet: no such answer.
    """
    answer, show = _handshake(endpoint, domain_id, transport)
    try:
        return int(answer["state"])
    except (ValueError, KeyError, TypeError) as error:
        raise NotYet(f"{endpoint}/handshake answered without a state", show) from error


def master_id(endpoint: str, domain_id: str, transport: httpx.BaseTransport | None = None) -> str:
    """The domain ID of the master behind a gateway, asked in the name of `domain_id`.

    Raises:
        NotYet: no such answer.
    """
    answer, show = _handshake(endpoint, domain_id, transport)
    try:
        return str(answer["namespace"])
    except (KeyError, TypeError) as error:
        raise NotYet(f"{endpoint}/handshake answered without a namespace", show) from error


def _handshake(endpoint: str, domain_id: str, transport: httpx.BaseTransport | None) -> tuple[Any, str]:
    """The JSON of the answer, and the command that shows it."""
    headers = {"Kuscia-Host": "kuscia-handshake.master.svc", "Kuscia-Source": domain_id}
    shown = " ".join(f"-H '{name}: {value}'" for name, value in headers.items())
    show = f"curl -ks {shown} {endpoint}/handshake"
    with open_client(transport) as client:
        try:
            response = client.get(f"{endpoint}/handshake", headers=headers)
        except httpx.TransportError as error:
            raise NotYet(f"{endpoint}/handshake is not reached: {error_text(error)}", show) from error
    try:
        return response.json(), show
    except ValueError as error:
        raise NotYet(f"{endpoint}/handshake answered HTTP {response.status_code} without a state", show) from error
