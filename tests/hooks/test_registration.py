import base64
import hashlib
import json

import httpx
import jwt
import pytest
from cryptography import x509

from kuscia_hooks.kuscia import domain_key, registration
from tests.hooks.conftest import recordings
from tests.hooks.failing import fails


def test_request(key_pem: bytes) -> None:
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


@pytest.mark.parametrize(
    "answer",
    [
        *((line["status"], line["body"] or "") for line in RECORDED),
        (500, "panic"),
        (404, ""),
    ],
)
def test_leaves_other_answers_to_the_lite(
    key_pem: bytes, answer: tuple[int, str], capsys: pytest.CaptureFixture[str]
) -> None:
    register(key_pem, httpx.Response(answer[0], text=answer[1]))
    out = capsys.readouterr().out
    assert out.startswith("WARNING ")
    assert f"HTTP {answer[0]}" in out
    assert answer[1].strip() in out
    assert "the-token" not in out
