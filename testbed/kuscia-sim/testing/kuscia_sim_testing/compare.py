"""Compares an answer with the recorded one, except for values that differ by nature.

All exceptions are in this file: VALUES (values that differ between runs, by shape), UNORDERED (lists without an order
in Kuscia) and HEADERS (which headers are compared).
"""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

from cryptography import x509

from kuscia_sim_testing.client import Answer
from kuscia_sim_testing.recording import Line

Path = tuple[str, ...]

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_TOKEN = re.compile(r"[A-Za-z0-9]{32}")
_SHOWN_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? \+0800 CST")
_MONOTONIC = re.compile(r"m=\+\d+\.\d{9}")
_GENERATED = re.compile(r"(?:[a-z0-9-]+-)?[0-9a-f]{32}")
_TASK_ID = re.compile(r"[a-z0-9-]+-[0-9a-f]{12}")
_PORT = re.compile(r"(\.svc):(\d{5})$")


def _is_cert(text: str) -> bool:
    try:
        x509.load_pem_x509_certificate(base64.b64decode(text, validate=True))
    except ValueError:
        return False
    return True


def _is_public_key(text: str) -> bool:
    return b"BEGIN RSA PUBLIC KEY" in base64.b64decode(text)


def _is_private_key(text: str) -> bool:
    return b"PRIVATE KEY" in base64.b64decode(text)


VALUES: dict[str, Callable[[str], bool]] = {
    "token": lambda text: bool(_TOKEN.fullmatch(text)),
    "cert": _is_cert,
    "cert_chain": _is_cert,
    "source_public_key": _is_public_key,
    "destination_public_key": _is_public_key,
    "last_heartbeat_time": lambda text: bool(_TIME.fullmatch(text)),
    "last_transition_time": lambda text: bool(_TIME.fullmatch(text)),
    "create_time": lambda text: bool(_TIME.fullmatch(text)),
    "start_time": lambda text: bool(_TIME.fullmatch(text)),
    "end_time": lambda text: bool(_TIME.fullmatch(text)),
    "datasource_id": lambda text: bool(_GENERATED.fullmatch(text)),
    "domaindata_id": lambda text: bool(_GENERATED.fullmatch(text)),
    "domaindatagrant_id": lambda text: bool(_GENERATED.fullmatch(text)),
    "task_id": lambda text: bool(_TASK_ID.fullmatch(text)),
    "next_page_token": lambda text: len(text) > 20,
}
"""JSON keys whose values differ between runs, each with the shape that both values must have."""

RECORDED_PRIVATE_KEY = "(a private key)"
"""Replaces the key that certificate/generate returned in the recordings."""

UNORDERED = {"parties", "endpoints", "stage_status_list", "approve_status_list", "tasks", "party_statuses"}
"""Lists in answers about jobs; Go fills them from maps (Kuscia facts 7.4)."""
UNORDERED_DATA = "/config/batchQuery"
"""The endpoint whose `data` is filled from a map (Kuscia's pkg/confmanager/service/config.go)."""

_ROUTE_STATE = re.compile(r'\{"status":"(?:Succeeded|Failed)","reason":"[^"]*"\}')
TRANSIENT = re.compile(r"[1-5]s after create")
"""Notes of lines sent while routes became ready: both states of a route are accepted."""

_PROTO, _PROTO_NBSP = "proto: ", "proto:\u00a0"
"""Go's protobuf library uses one or the other, at random for each build."""

_UNFINISHED = ("Pending", "Running")
_PROGRESS = {"state", "err_msg", "create_time", "start_time", "end_time"}
"""Not compared for a job that was recorded while it ran: its progress is random."""
_ONCE_SCHEDULED = {"stage_status_list", "approve_status_list"}
"""Empty in a job recorded before it was scheduled, like the parties in its tasks' status."""
_PARTY_LISTS = re.compile(r"pending party\[.*?\], running party\[.*?\], successful party\[.*?\]")
"""State of the other parties when one failed."""

HEADERS = (
    "content-type",
    "cache-control",
    "kuscia-error-message",
    "x-accel-buffering",
    "x-content-type-options",
    "server",
    "location",
)
"""Compared exactly; a missing one must be missing."""
PRESENT = ("date", "x-envoy-upstream-service-time")
"""Must be present if it was recorded. Tracing headers (x-b3-*) are not compared (Kuscia facts 6.6)."""
CHUNKED_ABOVE = 2048


def differences(line: Line, answer: Answer) -> list[str]:
    """Return the differences in words; none if the answer is the recorded one."""
    if line.status is None:
        if answer.status is not None:
            return [f"recorded {line.error}, but there was an answer: HTTP {answer.status}"]
        return _error_difference(line.error, answer.error)
    if answer.status is None:
        return [f"recorded HTTP {line.status}, but the request failed: {answer.error}"]
    found = [] if line.status == answer.status else [f"status: {line.status} recorded, {answer.status} now"]
    found += _header_differences(line, answer)
    return found + _body_differences(line, answer.body)


def _error_difference(recorded: str, now: str) -> list[str]:
    """Accept two TLS errors, or two closed connections: OpenSSL and Go end a handshake differently."""
    for kinds in (("SSL",), ("RemoteDisconnected", "ConnectionReset", "BadStatusLine")):
        if any(kind in recorded for kind in kinds):
            wrong = not any(kind in now for kind in kinds)
            return [f"error: {recorded!r} recorded, {now!r} now"] if wrong else []
    return [f"error: {recorded!r} recorded, {now!r} now"]


def _header_differences(line: Line, answer: Answer) -> list[str]:
    recorded, now = line.answer_headers, answer.headers
    found = [
        f"header {name}: {recorded.get(name)!r} recorded, {now.get(name)!r} now"
        for name in HEADERS
        if recorded.get(name) != now.get(name)
    ]
    found += [
        f"header {name}: {'present' if name in recorded else 'absent'} in the recording, not so now"
        for name in PRESENT
        if (name in recorded) != (name in now)
    ]
    length = len(answer.body.encode())
    if "content-length" in now and line.method != "HEAD" and now["content-length"] != str(length):
        found.append(f"header content-length: {now['content-length']}, but the body has {length}")
    same_side = (length > CHUNKED_ABOVE) == (len(line.answer.encode()) > CHUNKED_ABOVE)
    if same_side:
        found += [
            f"header {name}: {'present' if name in recorded else 'absent'} in the recording, not so now"
            for name in ("transfer-encoding", "content-length")
            if (name in recorded) != (name in now)
        ]
    return found


def parse_stream(text: str) -> list[Any]:
    """Parse consecutive JSON values, as streaming endpoints send them.

    Raises:
        ValueError: the text is invalid.
    """
    decoder = json.JSONDecoder()
    values, position = [], 0
    while position < len(text):
        value, position = decoder.raw_decode(text, position)
        values.append(value)
        while position < len(text) and text[position].isspace():
            position += 1
    return values


def _body_differences(line: Line, body: str) -> list[str]:
    answer, body = (text.replace(_PROTO_NBSP, _PROTO) for text in (line.answer, body))
    if TRANSIENT.search(line.note):
        answer, body = (_ROUTE_STATE.sub('"any"', text) for text in (answer, body))
    if body == answer:
        return []
    try:
        recorded, now = parse_stream(answer), parse_stream(body)
    except ValueError:
        normal = [_MONOTONIC.sub("m", _SHOWN_TIME.sub("time", text)) for text in (answer, body)]
        return [] if normal[0] == normal[1] else [f"body: {answer!r} recorded, {body!r} now"]
    if line.path.endswith("/watch"):
        return _stream_differences(recorded, now)
    if len(recorded) != len(now):
        return [f"body: {len(recorded)} JSON values recorded, {len(now)} now"]
    found = []
    for left, right in zip(recorded, now, strict=True):
        if line.path.endswith(UNORDERED_DATA):
            left, right = _in_order(left), _in_order(right)
        found += list(value_differences(left, right, ()))
    return found


def _in_order(value: Any) -> Any:
    """Return the answer with sorted `data`."""
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        return {**value, "data": sorted(value["data"], key=lambda item: json.dumps(item, sort_keys=True))}
    return value


def _stream_differences(recorded: list[Any], now: list[Any]) -> list[str]:
    """Compare a watch: every recorded object must occur, in any order and state."""
    left = {item["object"]["job_id"] for item in recorded if "object" in item}
    right = {item["object"]["job_id"] for item in now if "object" in item}
    return [] if left <= right else [f"watch: {sorted(left - right)} recorded, not seen now"]


def value_differences(recorded: Any, now: Any, path: Path) -> list[str]:
    where = ".".join(path) or "body"
    if path == ("data",) and isinstance(recorded, dict) and _under_way(recorded) and isinstance(now, dict):
        scheduled = recorded["status"]["state"] != "Pending"
        recorded, now = _without_progress(recorded, scheduled), _without_progress(now, scheduled)
    key = next((part for part in reversed(path) if not part.isdigit()), "")
    if isinstance(recorded, dict) and isinstance(now, dict):
        found = []
        if list(recorded) != list(now) and key not in ("annotations", "attributes"):
            found.append(f"{where}: keys {list(recorded)} recorded, {list(now)} now")
        for name in recorded.keys() & now.keys():
            found += value_differences(recorded[name], now[name], (*path, name))
        return found
    if isinstance(recorded, list) and isinstance(now, list):
        if len(recorded) != len(now):
            return [f"{where}: {len(recorded)} items recorded, {len(now)} now"]
        if key in UNORDERED:
            recorded, now = sorted(recorded, key=_order), sorted(now, key=_order)
        pairs = zip(recorded, now, strict=True)
        return [d for i, (a, b) in enumerate(pairs) for d in value_differences(a, b, (*path, str(i)))]
    if recorded == now and type(recorded) is type(now):
        return []
    if isinstance(recorded, str) and isinstance(now, str) and _same_shape(key, recorded, now):
        return []
    return [f"{where}: {recorded!r} recorded, {now!r} now"]


def _under_way(data: dict[str, Any]) -> bool:
    status = data.get("status")
    return "job_id" in data and isinstance(status, dict) and status.get("state") in _UNFINISHED


def _without_progress(value: Any, scheduled: bool) -> Any:
    """Return the job without its progress.

    Args:
        value: the job.
        scheduled: whether its parties were known when it was recorded.
    """
    if isinstance(value, list):
        return [_without_progress(item, scheduled) for item in value]
    if not isinstance(value, dict):
        return value
    ignored = _PROGRESS if scheduled else _PROGRESS | _ONCE_SCHEDULED
    if not scheduled and "progress" in value:
        ignored = ignored | {"parties"}
    return {name: _without_progress(item, scheduled) for name, item in value.items() if name not in ignored}


def _order(item: Any) -> str:
    if isinstance(item, dict):
        names = ("domain_id", "role", "port_name", "alias", "task_id")
        return "/".join(str(item.get(name, "")) for name in names)
    return json.dumps(item, sort_keys=True)


def _same_shape(key: str, recorded: str, now: str) -> bool:
    shape = VALUES.get(key)
    if shape and shape(recorded):
        return shape(now)
    if key == "key" and recorded == RECORDED_PRIVATE_KEY:
        return _is_private_key(now)
    if key in ("reason", "message"):
        return _SHOWN_TIME.sub("", recorded) == _SHOWN_TIME.sub("", now)
    if key == "err_msg":
        return _PARTY_LISTS.sub("", recorded) == _PARTY_LISTS.sub("", now)
    if key == "phase":
        # Recorded before the grant's controller had processed it.
        return (recorded, now) == ("", "Ready")
    if key == "endpoint":
        return _PORT.sub(r"\1", recorded) == _PORT.sub(r"\1", now)
    return False
