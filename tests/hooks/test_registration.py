import base64
import hashlib
import json

import httpx
import jwt
import pytest
from cryptography import x509

from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.kuscia import domain_key, registration
from tests.hooks.conftest import recordings


def test_request(key_pem: bytes) -> None:
    """The shape that Kuscia's master checks (Kuscia facts 5.4)."""
    key = domain_key.load_key(key_pem)
    body, token = registration.request("alice", "the-token", key)
    assert set(body) == {"domain_id", "csr", "request_time"}
    assert 0 <= body["request_time"] < 1_000_000_000
    csr = x509.load_pem_x509_csr(base64.b64decode(body["csr"]))
    assert csr.is_signature_valid
    assert csr.subject.rfc4514_string() == "CN=alice"
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


def test_admitted(key_pem: bytes) -> None:
    register(key_pem, httpx.Response(200, json={"cert": "x", "master_pubkey": "y"}))


@pytest.mark.parametrize(
    "detail",
    [
        "deploy token found but used, please use an unused deploy token",
        "deploy token not found, please use a valid unused deploy token",
        "token not found in cert request, bad request",
    ],
)
def test_a_refused_token_is_waited_for(key_pem: bytes, detail: str) -> None:
    text = f"source domain [alice] deploy token mismatch, detail -> {detail}"
    with pytest.raises(RetryableError, match=detail):
        register(key_pem, httpx.Response(500, text=text))


@pytest.mark.parametrize("text", ["domain [alice] not found", "deploytokenstatus of domain is empty"])
def test_a_domain_that_is_just_being_made(key_pem: bytes, text: str) -> None:
    with pytest.raises(RetryableError):
        register(key_pem, httpx.Response(500, text=text))


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_without_a_master(key_pem: bytes, status: int) -> None:
    with pytest.raises(RetryableError, match=str(status)):
        register(key_pem, httpx.Response(status, text="<html>"))


def test_not_reached(key_pem: bytes) -> None:
    with pytest.raises(RetryableError, match="not reached"):
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
def test_anything_else_is_left_to_the_lite(
    key_pem: bytes, answer: tuple[int, str], capsys: pytest.CaptureFixture[str]
) -> None:
    register(key_pem, httpx.Response(answer[0], text=answer[1]))
    out = capsys.readouterr().out
    assert f"WARNING the master answers a registration with HTTP {answer[0]}" in out
    assert answer[1].strip() in out
    assert "the-token" not in out
