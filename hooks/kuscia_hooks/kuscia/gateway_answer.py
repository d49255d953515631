"""What an HTTP answer means that is not the expected one of a Kuscia gateway.

Proxies, firewalls and login pages in front of a master answer instead of it, and a master can fail. The functions
depend on the answer only; `gateway` and `registration` send the requests.
"""

import email.utils
import json
import re
import time
from dataclasses import dataclass
from typing import Any

import httpx

from kuscia_hooks.core.answers import decoded
from kuscia_hooks.core.catalog import CATALOG
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.core.redaction import redact
from kuscia_hooks.core.text import printable

MARK = "kuscia-error-message"
"""The header of every error that a Kuscia gateway returns (Kuscia facts 6.6)."""
RETRY_AFTER_LIMIT = 300.0
"""The longest pause that an answer can demand, in seconds."""
_SHOWN = 200
# Likely causes by HTTP status (Kuscia facts 12.6, number 3): the ID, and what the status means in front of a gateway.
_BY_STATUS = {
    400: ("not-a-gateway", "a proxy rejected the request, for example http sent to an https port"),
    401: (
        "not-a-gateway",
        f"without header {MARK}: a proxy in front requires a login, answers itself or removes the header",
    ),
    403: ("master-access-denied", "a firewall or proxy denied the request"),
    404: ("not-a-gateway", "no gateway is configured for this host and path"),
    405: ("master-access-denied", "a firewall or proxy denied the request method"),
    407: ("master-access-denied", "a proxy requires credentials, and Kuscia sends none"),
    408: ("master-busy", "a proxy did not receive the request in time"),
    411: ("proxy-limits-requests", "a proxy rejected the length of the request"),
    413: ("proxy-limits-requests", "a proxy rejected the size of the request body; Kuscia sends bodies of up to 2 MB"),
    414: ("proxy-limits-requests", "a proxy rejected the length of the URL"),
    415: ("proxy-limits-requests", "a proxy rejected the content type of the request"),
    425: ("master-busy", "a proxy does not accept the request yet"),
    426: ("not-a-gateway", "a proxy uses HTTP/1.0 to the gateway, which requires HTTP/1.1"),
    429: ("master-busy", "the master or a proxy limits the number of requests"),
    431: ("proxy-limits-requests", "a proxy rejected the size of the request headers"),
    451: ("master-access-denied", "a firewall or proxy denied the request"),
    502: ("master-unavailable", "a proxy cannot reach the gateway behind it: check its backend protocol and port"),
    503: ("master-unavailable", "a proxy has no gateway behind it at the moment"),
    504: ("master-unavailable", "the gateway behind a proxy does not answer: check firewalls and NetworkPolicies"),
}


@dataclass(frozen=True)
class Problem:
    """Why a request did not get the expected answer.

    Args:
        error_id: ID in the catalog.
        seen: the cause, as the end of a sentence.
        fix: "" if the message contains it.
        retry_after: seconds before which the server does not want another request.
    """

    error_id: str
    seen: str
    fix: str = ""
    retry_after: float = 0.0

    def error(self, message: str, fix: str = "", see: str = "") -> StepError:
        """Return the error of the class that the catalog has for the ID; `fix` applies if the problem has none."""
        if CATALOG[self.error_id].retryable:
            return RetryableError(self.error_id, message, self.fix or fix, see, retry_after=self.retry_after)
        return PermanentError(self.error_id, message, self.fix or fix, see)


def from_kuscia(response: httpx.Response) -> bool:
    """Return whether a Kuscia gateway, not a proxy in front of it, returned this error."""
    return bool(response.headers.get(MARK))


def domain_of(response: httpx.Response) -> str:
    """Return the domain ID of the gateway that returned an error, "" if the answer does not name it.

    The body names it since version 1.0, and the header in either of its forms (Kuscia facts 6.6).
    """
    named = json_object(response).get("domain")
    if isinstance(named, str) and named:
        return printable(named)
    match = re.match(r"(?:<|Domain )([a-z0-9-]+)[/.]", response.headers.get(MARK, ""))
    return match[1] if match else ""


def json_object(response: httpx.Response) -> dict[str, Any]:
    """Return the JSON object in the body, {} if it has none."""
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def problem(response: httpx.Response) -> Problem:
    """Return the problem of an answer whose status or content is not the expected one."""
    status = response.status_code
    if response.is_redirect:
        target = printable(response.headers.get("location", ""))[:_SHOWN] or "an unknown location"
        meaning = f"redirect to {target}, for example to a login page or from http to https"
        return Problem("not-a-gateway", f"HTTP {status}: {meaning}")
    if status in _BY_STATUS:
        error_id, meaning = _BY_STATUS[status]
        return Problem(error_id, f"HTTP {status}: {meaning}{_quote(response)}", retry_after=retry_after(response))
    if response.is_server_error:
        meaning = f"the master or a proxy reports an internal error{_quote(response)}"
        return Problem("master-error", f"HTTP {status}: {meaning}", retry_after=retry_after(response))
    meaning = "a login page or another site answers" if response.is_success else "the server is not a Kuscia gateway"
    return Problem("not-a-gateway", f"HTTP {status}: {meaning}")


def retry_after(response: httpx.Response) -> float:
    """Return the seconds of a `Retry-After` header, which has seconds or a date; 0 without a valid one."""
    text = response.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        seconds = float(text)
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return min(max(seconds, 0.0), RETRY_AFTER_LIMIT)


def excerpt(response: httpx.Response) -> str:
    """Return the beginning of the body on one line, without secrets: a proxy may return the request."""
    return redact(printable(decoded(response)))[:_SHOWN]


def _quote(response: httpx.Response) -> str:
    """Return the beginning of a plain-text body as a part of a sentence; HTML says nothing that the status does not."""
    text = excerpt(response)
    return f" ({text})" if text and not text.startswith("<") else ""
