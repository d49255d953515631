import base64
import email.utils
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography import x509

from kuscia_hooks.core import log
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.log import logger
from kuscia_hooks.kuscia import domain_key, registration
from tests.hooks.failing import fails
from tests.hooks.recordings import recordings


def test_request_has_the_shape_that_the_master_checks(key_pem: bytes) -> None:
    """The shape that Kuscia's master checks (Kuscia facts 5.4)."""
    key = domain_key.load_key(key_pem)
    body, token = registration.request("alice", "the-token", key)
    assert set(body) == {"domain_id", "csr", "request_time"}
    assert 0 <= body["request_time"] < 1_000_000_000
    csr = x509.load_pem_x509_csr(base64.b64decode(body["csr"]))
    assert csr.is_signature_valid
    assert csr.subject.rfc4514_string() == "CN=alice"
    assert csr.subject.public_bytes().endswith(b"\x13\x05alice"), "PrintableString, as Go writes it"
    extension = csr.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.2.3.4")).value
    assert extension.value == b"the-token"
    claims = jwt.decode(token, key.public_key(), algorithms=["RS256"])
    assert claims["iss"] == claims["sub"] == "alice"
    assert claims["exp"] - claims["iat"] == 300
    text = f"alice_{body['csr']}_{body['request_time']}"
    assert bytes(claims["req_hash"]) == hashlib.sha256(text.encode()).digest()


def register(key_pem: bytes, answer: httpx.Response | Exception) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("POST", "/prefix/register")
        assert request.headers["Kuscia-Host"] == "kuscia-handshake.master.svc"
        assert request.headers["Kuscia-Source"] == "alice"
        assert json.loads(request.content)["domain_id"] == "alice"
        if isinstance(answer, Exception):
            raise answer
        return answer

    key = domain_key.load_key(key_pem)
    registration.register("https://m/prefix", "alice", "the-token", key, httpx.MockTransport(handle))


def test_returns_when_registered(key_pem: bytes) -> None:
    register(key_pem, httpx.Response(200, json={"cert": "x", "master_pubkey": "y"}))


@pytest.mark.parametrize(
    "detail",
    [
        "deploy token found but used, please use an unused deploy token",
        "deploy token not found, please use a valid unused deploy token",
        "token not found in cert request, bad request",
    ],
)
def test_retries_when_token_is_rejected(key_pem: bytes, detail: str) -> None:
    text = f"source domain [alice] deploy token mismatch, detail -> {detail}"
    with fails("deploy-token-mismatch") as error:
        register(key_pem, httpx.Response(500, text=text))
    assert error.value.retryable
    assert detail in error.value.message


@pytest.mark.parametrize(
    ("text", "error_id"),
    [
        ("domain [alice] not found", "unknown-domain"),
        ("deploytokenstatus of domain is empty", "deploy-token-pending"),
    ],
)
def test_retries_while_domain_is_being_created(key_pem: bytes, text: str, error_id: str) -> None:
    with fails(error_id):
        register(key_pem, httpx.Response(500, text=text))


def test_strips_control_characters_of_the_master(key_pem: bytes) -> None:
    with fails("unknown-domain") as error:
        register(key_pem, httpx.Response(500, text="domain [alice\x1b[31m] not found"))
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_retries_when_proxy_has_no_master(key_pem: bytes, status: int) -> None:
    with fails("master-unavailable"):
        register(key_pem, httpx.Response(status, text="<html>"))


def test_reports_unreachable_master(key_pem: bytes) -> None:
    with fails("master-unreachable"):
        register(key_pem, httpx.ConnectError("refused"))


RECORDED = [line["response"] for line in recordings("gateway-transcript") if line["request"]["path"] == "/register"]
KUSCIA = {"kuscia-error-message": "<kuscia-system/kuscia-master-0/external> => <upstream Unknown>"}
ACCEPTED = {"cert": "x", "master_pubkey": "y"}
HTML = "<html><body>Sign in</body></html>"


@pytest.mark.parametrize("answer", RECORDED, ids=lambda answer: f"{answer['status']} {answer['body']}")
def test_recorded_refusals_are_permanent(key_pem: bytes, answer: dict[str, Any]) -> None:
    with fails("registration-rejected") as error:
        register(key_pem, httpx.Response(answer["status"], headers=answer["headers"], text=answer["body"] or ""))
    assert not error.value.retryable
    assert f"HTTP {answer['status']}" in error.value.message
    assert (answer["body"] or "").strip() in error.value.message


# (status, headers, body, error ID)
ANSWERS: list[tuple[int, dict[str, str], Any, str]] = [
    # The master itself fails.
    (500, KUSCIA, "etcdserver: request timed out", "master-error"),
    (500, KUSCIA, "panic", "master-error"),
    (500, {}, HTML, "master-error"),
    (501, {}, "", "master-error"),
    (505, {}, "", "master-error"),
    (599, {}, ACCEPTED, "master-error"),
    *((status, {}, HTML, "master-unavailable") for status in (502, 503, 504)),
    (503, KUSCIA, "no healthy upstream", "master-unavailable"),
    # Too many or too early requests.
    (429, {}, "", "master-busy"),
    (429, {"retry-after": "7"}, HTML, "master-busy"),
    (408, {}, "", "master-busy"),
    (425, {}, "", "master-busy"),
    # Something in front of the master.
    (400, {}, "Client sent an HTTP request to an HTTPS server.", "not-a-gateway"),
    (401, {}, HTML, "not-a-gateway"),
    (401, {"www-authenticate": "Basic"}, "", "not-a-gateway"),
    (401, KUSCIA, "unauthorized.", "proxy-drops-headers"),
    (403, {}, HTML, "master-access-denied"),
    (405, {}, "", "master-access-denied"),
    (407, {}, "", "master-access-denied"),
    (413, {}, HTML, "proxy-limits-requests"),
    (431, {}, "", "proxy-limits-requests"),
    (404, {}, HTML, "proxy-keeps-path"),
    (404, KUSCIA, "404 page not found", "proxy-keeps-path"),
    (418, {}, ACCEPTED, "not-a-gateway"),
    *((status, {"location": "/login"}, "", "not-a-gateway") for status in (301, 302, 303, 307, 308)),
    (302, {}, ACCEPTED, "not-a-gateway"),
    # HTTP 200 that is not the answer of a master.
    (200, {}, HTML, "not-a-gateway"),
    (200, {}, "", "not-a-gateway"),
    (200, {}, "{", "not-a-gateway"),
    (200, {"content-type": "application/json"}, "null", "not-a-gateway"),
    *((200, {}, body, "not-a-gateway") for body in ([], {}, {"cert": ""}, {"cert": None}, {"cert": ["x"]})),
    (200, {}, {"status": {"code": 0}}, "not-a-gateway"),
    # Another success that carries the answer of a master.
    (201, {}, ACCEPTED, "not-a-gateway"),
    (202, {}, ACCEPTED, "not-a-gateway"),
]
PERMANENT = {"master-access-denied", "proxy-limits-requests"}


@pytest.mark.parametrize(("status", "headers", "body", "error_id"), ANSWERS)
def test_only_the_answer_of_a_master_admits(
    key_pem: bytes, status: int, headers: dict[str, str], body: Any, error_id: str
) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    with fails(error_id) as error:
        register(key_pem, httpx.Response(status, headers=headers, text=content))
    assert error.value.retryable is (error_id not in PERMANENT)
    assert "<" not in error.value.message


def test_reports_a_404_without_a_path(key_pem: bytes) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(404))
    with fails("not-a-gateway"):
        registration.register("https://m", "alice", "the-token", domain_key.load_key(key_pem), transport)


def in_seconds(seconds: float) -> str:
    return email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("7", 7, 7),
        ("0", 0, 0),
        pytest.param(in_seconds(100_000), 300, 300, id="date"),
        pytest.param(in_seconds(-60), 0, 0, id="past date"),
        ("999999", 300, 300),
        *((text, 0, 0) for text in ("", "-5", "1e9", "soon", "nan", "99999999999999999999")),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_passes_on_when_to_retry(key_pem: bytes, status: int, header: str, low: float, high: float) -> None:
    with pytest.raises(RetryableError) as caught:
        register(key_pem, httpx.Response(status, headers={"retry-after": header}))
    assert low <= caught.value.retry_after <= high


def test_does_not_print_what_it_sent(key_pem: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """A proxy for debugging returns the request."""

    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(500, text=f"{request.headers['jwt-token']} {request.content.decode()}")

    log.setup(as_json=False)
    with pytest.raises(RetryableError) as caught:
        registration.register("https://m", "alice", "t0ken", domain_key.load_key(key_pem), httpx.MockTransport(echo))
    logger.info("%s", caught.value)
    out = capsys.readouterr().out
    assert "HTTP 500" in out
    assert "eyJ" not in out
