"""Registration at a master: checks, their order and their texts (Kuscia facts 5.4, 16.2)."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509

from kuscia_sim import credentials
from kuscia_sim.gateway.registration import GoPanic, Refused, register, request
from kuscia_sim.state.datastore import datastore_url
from kuscia_sim.state.store import LocalStore

MASTER_KEY, LITE_KEY, OTHER_KEY = (credentials.new_key() for _ in range(3))
UNUSED, USED = "unusedtoken", "usedtoken"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    found = await LocalStore.open(datastore_url("", str(tmp_path / "state.db")), "kuscia-system")
    tokens = [{"token": USED, "state": "used"}, {"token": UNUSED, "state": "unused"}]
    domain = {"spec": {"cert": ""}, "status": {"deployTokenStatuses": tokens}}
    await found.create("domains", "", "alice", domain)
    await found.create("domains", "", "fresh", {"spec": {"cert": ""}})
    yield found
    await found.close()


async def ask(store: LocalStore, domain_id: str, token: str, key: Any = LITE_KEY) -> dict[str, str]:
    body, signature = request(domain_id, token, key)
    return await register(store, "kuscia-system", MASTER_KEY, json.dumps(body).encode(), signature)


async def test_registers_domain_with_unused_token(store: LocalStore) -> None:
    answer = await ask(store, "alice", UNUSED)
    domain = await store.get("domains", "", "alice")
    assert domain["spec"]["cert"] == answer["cert"]
    assert [token["state"] for token in domain["status"]["deployTokenStatuses"]] == ["used", "used"]
    certificate = x509.load_pem_x509_certificate(base64.b64decode(answer["cert"]))
    assert certificate.public_key() == LITE_KEY.public_key()
    assert (certificate.not_valid_before_utc.year, certificate.not_valid_after_utc.year) == (1970, 1980)
    assert "BEGIN RSA PUBLIC KEY" in base64.b64decode(answer["master_pubkey"]).decode()


async def test_same_key_requires_no_token(store: LocalStore) -> None:
    await ask(store, "alice", UNUSED)
    before = await store.get("domains", "", "alice")
    await ask(store, "alice", "garbage")
    await ask(store, "alice", "")
    assert await store.get("domains", "", "alice") == before


async def test_certificate_in_domain_admits_with_any_token(store: LocalStore) -> None:
    own = credentials.b64(credentials.cert_pem(credentials.ca_certificate(LITE_KEY, "alice")))
    domain = await store.get("domains", "", "alice")
    domain["spec"]["cert"] = own
    await store.update("domains", "", "alice", domain)
    await ask(store, "alice", "garbage-token")
    domain = await store.get("domains", "", "alice")
    assert domain["spec"]["cert"] == own
    assert [token["state"] for token in domain["status"]["deployTokenStatuses"]] == ["used", "unused"]


@pytest.mark.parametrize(
    ("domain_id", "token", "text"),
    [
        ("nobody", UNUSED, "domain [nobody] not found"),
        ("fresh", UNUSED, "deploytokenstatus of domain is empty"),
        ("alice", "", "token not found in cert request, bad request"),
        ("alice", USED, "deploy token found but used, please use an unused deploy token"),
        ("alice", "garbage", "deploy token not found, please use a valid unused deploy token"),
    ],
)
async def test_rejects_domains(store: LocalStore, domain_id: str, token: str, text: str) -> None:
    with pytest.raises(Refused) as refused:
        await ask(store, domain_id, token)
    assert refused.value.status == 500
    assert str(refused.value).endswith(text)
    if domain_id == "alice":
        assert str(refused.value).startswith("source domain [alice] deploy token mismatch, detail -> ")


async def test_rejects_new_key_with_used_token(store: LocalStore) -> None:
    await ask(store, "alice", UNUSED)
    with pytest.raises(Refused, match="found but used"):
        await ask(store, "alice", UNUSED, OTHER_KEY)


def _body(**changes: Any) -> tuple[bytes, str]:
    body, token = request("alice", UNUSED, LITE_KEY)
    return json.dumps({**body, **changes}).encode(), token


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "EOF"),
        (b"{}", "pem decode csr error"),
        (b'{"domain_id": "alice", "csr": "bm8=", "request_time": 1}', "pem decode csr error"),
        (b'{"domain_id": "alice", "csr": "!", "request_time": 1}', "base64 decode csr error: illegal base64"),
        (
            _body(csr=credentials.b64(credentials.key_pem(LITE_KEY)))[0],
            "csr pem data type is RSA PRIVATE KEY",
        ),
        (_body(domain_id="bob")[0], "the csr subject common name must be domainID: alice not bob"),
        (_body(request_time=5)[0], "verify jwt failed, detail: "),
        (_body(request_time=5)[0], "verify jwt failed, detail: verify jwt failed, detail: the request content"),
        (b"not json", "invalid character 'o' in literal null (expecting 'u')"),
        (b"[]", "json: cannot unmarshal array into Go value of type handshake.RegisterRequest"),
        (
            b'{"domain_id": 1}',
            "json: cannot unmarshal number into Go struct field RegisterRequest.domain_id of type string",
        ),
        (
            b'{"request_time": 1.5}',
            "json: cannot unmarshal number 1.5 into Go struct field RegisterRequest.request_time of type int64",
        ),
        (b"null", "pem decode csr error"),
        (b"{} trailing", "pem decode csr error"),
    ],
)
async def test_rejects_invalid_requests(store: LocalStore, body: bytes, text: str) -> None:
    with pytest.raises(Refused) as refused:
        await register(store, "kuscia-system", MASTER_KEY, body, _body()[1])
    assert refused.value.status == 400
    assert text in str(refused.value)


def claims(**changes: Any) -> dict[str, Any]:
    token = request("alice", UNUSED, LITE_KEY)[1]
    return {**jwt.decode(token, options={"verify_signature": False}), **changes}


def signed(claims: dict[str, Any], algorithm: str = "RS256", key: Any = LITE_KEY) -> str:
    return jwt.encode(claims, credentials.key_pem(key) if algorithm[:2] == "RS" else "k" * 32, algorithm=algorithm)


@pytest.mark.parametrize(
    ("token", "text"),
    [
        (lambda: "", "token is malformed: token contains an invalid number of segments"),
        (lambda: "a.b", "token is malformed: token contains an invalid number of segments"),
        (lambda: "!.b.c", "token is malformed: "),
        (lambda: request("alice", UNUSED, OTHER_KEY)[1], "token signature is invalid: crypto/rsa: verification error"),
        (lambda: signed(claims(exp=1)), "token has invalid claims: token is expired"),
        (lambda: signed(claims(nbf=1 << 40)), "token has invalid claims: token is not valid yet"),
        (lambda: signed(claims(), "HS256"), "token signature is invalid: key is of invalid type"),
        (
            lambda: jwt.encode(claims(), None, algorithm="none"),
            "token signature is invalid: token is unverifiable: 'none' signature type is not allowed",
        ),
        (
            lambda: signed(claims(req_hash=[0] * 32)),
            "verify jwt failed, detail: the request content doesn't match the hash",
        ),
    ],
)
async def test_rejects_invalid_jwts(store: LocalStore, token: Callable[[], str], text: str) -> None:
    """Texts of golang-jwt. A JWT is created when it is used, because it expires after five minutes."""
    with pytest.raises(Refused) as refused:
        await register(store, "kuscia-system", MASTER_KEY, _body()[0], token())
    assert refused.value.status == 400
    assert str(refused.value).startswith(f"verify jwt failed, detail: {text}")


async def test_jwt_without_expiry_gets_no_answer(store: LocalStore) -> None:
    without = {key: value for key, value in claims().items() if key != "exp"}
    with pytest.raises(GoPanic):
        await register(store, "kuscia-system", MASTER_KEY, _body()[0], signed(without))
