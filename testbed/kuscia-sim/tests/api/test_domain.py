"""Rules of domains, with values that were not recorded."""

import base64
import datetime
import re

import pytest
from cryptography import x509

from kuscia_sim import credentials
from kuscia_sim_testing.inprocess import ALICE, Cluster


async def test_accepts_all_certificate_forms(cluster: Cluster) -> None:
    pem = credentials.cert_pem(credentials.ca_certificate(credentials.new_key(), "x"))
    frame = re.sub(r"-----[A-Z ]+-----\n", "", pem).strip()
    forms = [credentials.b64(pem), pem, frame, frame.replace("\n", ""), pem.replace("\n", "\r\n"),
             credentials.b64(credentials.b64(pem))]  # fmt: skip
    for number, form in enumerate(forms):
        await cluster.ok("master", "domain/create", {"domain_id": f"c{number}", "cert": form})
        kept = (await cluster.ok("master", "domain/query", {"domain_id": f"c{number}"}))["cert"]
        assert x509.load_pem_x509_certificate(base64.b64decode(kept)).subject.rfc4514_string() == "CN=x"


@pytest.mark.parametrize(
    ("cert", "text"),
    [("%", "cert must be encoded with base64"), ("YQ==", "cert format is invalid, must be an x509 certificate")],
)
async def test_rejects_invalid_certificates(cluster: Cluster, cert: str, text: str) -> None:
    assert await cluster.refused("master", "domain/create", {"domain_id": "c", "cert": cert}) == (11100, text)


async def test_first_pem_block_must_be_certificate(cluster: Cluster) -> None:
    key = credentials.new_key()
    pem = credentials.cert_pem(credentials.ca_certificate(key, "x"))
    bundle = pem + "-----BEGIN X-----\nYQ==\n-----END X-----\n"
    await cluster.ok("master", "domain/create", {"domain_id": "c", "cert": credentials.b64(bundle)})
    code, _ = await cluster.refused(
        "master",
        "domain/create",
        {"domain_id": "d", "cert": credentials.b64("-----BEGIN X-----\nYQ==\n-----END X-----\n" + pem)},
    )
    assert code == 11100


async def test_domain_that_becomes_partner_gets_protocol(cluster: Cluster) -> None:
    await cluster.ok("master", "domain/create", {"domain_id": "c"})
    await cluster.ok("master", "domain/update", {"domain_id": "c", "role": "partner"})
    assert (await cluster.store.get("domains", "", "c"))["spec"]["interConnProtocols"] == ["kuscia"]


async def test_partner_is_its_own_master(cluster: Cluster) -> None:
    await cluster.ok("master", "domain/create", {"domain_id": "p", "role": "partner"})
    found = await cluster.ok("master", "domain/query", {"domain_id": "p"})
    assert found["master_domain_id"] == "p"
    wrong = {"domain_id": "q", "role": "", "master_domain_id": "p"}
    text = "master domain role is partner, but current role is "
    assert await cluster.refused("master", "domain/create", wrong) == (11100, text)


@pytest.mark.parametrize(
    ("role", "cert", "method"),
    [("", False, "RSA-GEN"), ("", True, "RSA-GEN"), ("partner", False, "RSA-GEN"), ("partner", True, "UID-RSA-GEN")],
)
async def test_token_method_of_a_new_domain(cluster: Cluster, role: str, cert: bool, method: str) -> None:
    """As recorded, and for a partner without a certificate by Kuscia facts 16.6."""
    text = credentials.cert_pem(credentials.ca_certificate(credentials.new_key(), "p")) if cert else ""
    await cluster.ok("master", "domain/create", {"domain_id": "p", "role": role, "cert": text})
    found = await cluster.ok("master", "domain/query", {"domain_id": "p"})
    assert found["auth_center"] == {"authentication_type": "Token", "token_gen_method": method}


async def test_issues_certificates_for_requested_duration(cluster: Cluster) -> None:
    answer = await cluster.ask(ALICE, "certificate/generate", {"common_name": "x", "duration_sec": 60, "country": "CN"})
    leaf, root = (x509.load_pem_x509_certificate(base64.b64decode(c)) for c in answer["cert_chain"])
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == datetime.timedelta(seconds=60)
    leaf.verify_directly_issued_by(root)
    code, text = await cluster.refused(ALICE, "certificate/generate", {"key_type": "x"})
    assert (code, text) == (2000, "common name must not be empty;key tye must be [PKCS#1, PKCS#8]")
    code, text = await cluster.refused(ALICE, "certificate/generate", {"common_name": 5})
    assert text.endswith("Go struct field GenerateKeyCertsRequest.common_name of type string")
    pkcs8 = await cluster.ask(ALICE, "certificate/generate", {"common_name": "x", "key_type": "PKCS#8"})
    assert b"BEGIN PRIVATE KEY" in base64.b64decode(pkcs8["key"])
