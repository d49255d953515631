"""Registration of a lite at its master before Kuscia starts.

A lite reads its deploy token once, from a file that is never updated, and exits if the master rejects the token.
`prepare` therefore sends the registration of the lite (Kuscia facts 5.4) with the key of the lite, and retries until
the token is fixed. The master then has the key and ignores the token when the lite registers again at its start
(Kuscia facts 0.12). The registration is idempotent.
"""

import base64
import hashlib
import re
import time
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from kuscia_hooks.core.answers import decoded
from kuscia_hooks.core.config.common import split_endpoint
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.core.redaction import hide
from kuscia_hooks.kuscia.domain_key import distinguished_name
from kuscia_hooks.kuscia.gateway import AS_ENVOY, connection_error, handshake_headers, open_client, request_problem
from kuscia_hooks.kuscia.gateway_answer import excerpt, from_kuscia, json_object

_EXTENSION_ID = "1.2.3.4"
"""Object ID of the certificate extension with the deploy token."""
_JWT_SECONDS = 300
_REJECTIONS = (
    ("deploy-token-mismatch", re.compile(r"deploy token mismatch")),
    ("deploy-token-pending", re.compile(r"deploytokenstatus of domain is empty")),
    ("unknown-domain", re.compile(r"domain \[.*\] not found")),
)
"""Error IDs by the answer of the master (Kuscia facts 5.4)."""
_REFUSED = {400, 405}
"""The master found the request itself invalid; repeating it does not help."""


def admission_fix(domain_id: str) -> str:
    """Return what the operator of the master has to set to admit a domain."""
    return f"set master.domains.{domain_id} in the values of the master release"


def request(domain_id: str, token: str, key: rsa.RSAPrivateKey) -> tuple[dict[str, Any], str]:
    """Return the JSON body of a registration and the value of its `jwt-token` header (Kuscia facts 5.4)."""
    import jwt
    from cryptography import x509

    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(_EXTENSION_ID), token.encode())
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(distinguished_name(domain_id))
        .add_extension(extension, critical=False)
        .sign(key, hashes.SHA256())
    )
    encoded = base64.b64encode(csr.public_bytes(serialization.Encoding.PEM)).decode()
    now = time.time_ns()
    body = {"domain_id": domain_id, "csr": encoded, "request_time": now % 1_000_000_000}
    text = f"{domain_id}_{encoded}_{body['request_time']}"
    claims = {
        "iss": domain_id,
        "sub": domain_id,
        "iat": now // 1_000_000_000,
        "exp": now // 1_000_000_000 + _JWT_SECONDS,
        "req_hash": list(hashlib.sha256(text.encode()).digest()),
    }
    signature = jwt.encode(claims, key, algorithm="RS256")
    hide(encoded, signature)
    return body, signature


def register(
    endpoint: str,
    domain_id: str,
    token: str,
    key: rsa.RSAPrivateKey,
    transport: httpx.BaseTransport | None = None,
) -> None:
    """Register a lite at its master.

    Args:
        endpoint: of the master's gateway.
        token: the deploy token.
        key: the domain key of the lite.
        transport: replaces the network in tests.

    Raises:
        RetryableError: the master rejects the token and does not have the key, is not ready, or cannot be reached, or
            something else answers.
        PermanentError: `registration-rejected`, `master-access-denied` or `proxy-limits-requests`.
    """
    body, signature = request(domain_id, token, key)
    headers = {**handshake_headers(domain_id), "jwt-token": signature}
    url = f"{endpoint}/register"
    with open_client(transport) as client:
        try:
            response = client.post(url, json=body, headers=headers, extensions=AS_ENVOY)
        except httpx.RequestError as error:
            raise connection_error(url, error) from error
    if not _admitted(response):
        raise _error(url, domain_id, response)


def _admitted(response: httpx.Response) -> bool:
    """Return whether the master registered the domain: it then returns the certificate (Kuscia facts 5.4)."""
    certificate = json_object(response).get("cert")
    return response.status_code == 200 and isinstance(certificate, str) and bool(certificate)


def _error(url: str, domain_id: str, response: httpx.Response) -> StepError:
    answer = excerpt(response)
    for error_id, pattern in _REJECTIONS:
        if pattern.search(decoded(response)):
            fix = admission_fix(domain_id) if error_id == "unknown-domain" else ""
            return RetryableError(error_id, f"the master rejected domain {domain_id}: {answer}", fix=fix)
    if response.status_code in _REFUSED and from_kuscia(response):
        return PermanentError(
            "registration-rejected",
            f"the master rejected the registration of domain {domain_id} with HTTP {response.status_code}: {answer}",
            fix="check that the clocks of both clusters agree, that no proxy changes the request, and that the domain "
            "key belongs to the domain ID",
        )
    found = request_problem(response, split_endpoint(url).path.removesuffix("/register"))
    return found.error(f"{url} did not answer as a master: {found.seen}")
