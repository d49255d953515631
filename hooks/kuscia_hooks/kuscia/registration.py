"""Registering a lite at its master ahead of its start, so that a wrong token is seen while it can still be
mended.

A lite reads its deploy token once, from a file that nothing renews, and exits when the master refuses it.
`prepare` therefore sends the lite's own registration (Kuscia facts 5.4) with the lite's own key. The master
then knows that key, and does not look at the token of the lite itself, which registers again at its start
(Kuscia facts 0.12). Repeating it changes nothing.
"""

import base64
import hashlib
import re
import time
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.log import hide, logger
from kuscia_hooks.kuscia.gateway import AS_ENVOY, error_text, open_client

_TOKEN_EXTENSION = x509.ObjectIdentifier("1.2.3.4")
_JWT_SECONDS = 300
_REFUSED = re.compile(r"deploy token mismatch|deploytokenstatus of domain is empty|domain \[.*\] not found")
_AWAY = {502, 503, 504}


def request(domain_id: str, token: str, key: rsa.RSAPrivateKey) -> tuple[dict[str, Any], str]:
    """A registration: its JSON body, and the value of the header `jwt-token`."""
    import jwt

    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain_id)]))
        .add_extension(x509.UnrecognizedExtension(_TOKEN_EXTENSION, token.encode()), critical=False)
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
    hide(encoded)
    return body, jwt.encode(claims, key, algorithm="RS256")


def register(
    endpoint: str,
    domain_id: str,
    token: str,
    key: rsa.RSAPrivateKey,
    transport: httpx.BaseTransport | None = None,
) -> None:
    """Register the lite, if the master takes its key or its token.

    Raises:
        RetryableError: the master refuses the token and does not know the key, is not ready for it, or not reached.
    """
    body, signature = request(domain_id, token, key)
    headers = {
        "Kuscia-Host": "kuscia-handshake.master.svc",
        "Kuscia-Source": domain_id,
        "jwt-token": signature,
    }
    with open_client(transport) as client:
        try:
            response = client.post(f"{endpoint}/register", json=body, headers=headers, extensions=AS_ENVOY)
        except httpx.TransportError as error:
            raise RetryableError(
                "unclassified-retryable", f"{endpoint}/register is not reached: {error_text(error)}"
            ) from error
    if response.status_code == 200:
        return
    if _REFUSED.search(response.text):
        raise RetryableError(
            "unclassified-retryable", f"the master refuses domain {domain_id}: {response.text.strip()}"
        )
    if response.status_code in _AWAY:
        raise RetryableError(
            "unclassified-retryable",
            f"{endpoint}/register answers HTTP {response.status_code}: the master is not behind it now",
        )
    # Whatever this is, the lite asks again itself and reports it.
    answer = response.text.strip()[:200]
    logger.warning("the master answers a registration with HTTP %d: %s", response.status_code, answer)
