"""Registration of a lite at its master (Kuscia facts 5.4; recordings/gateway-transcript.jsonl)."""

import base64
import binascii
import hashlib
import time
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.x509.oid import NameOID

from kuscia_sim import credentials
from kuscia_sim.log import Log
from kuscia_sim.node.config import first_illegal_base64
from kuscia_sim.state.objects import mutate
from kuscia_sim.state.store import NotFound, Object, Store, now_rfc3339
from kuscia_sim.transport.protojson import INT64, STR, DecodeError, message, parse_go

TOKEN_EXTENSION = x509.ObjectIdentifier("1.2.3.4")
JWT_LIFETIME = 300
REQUEST = message("RegisterRequest", "handshake", domain_id=STR, csr=STR, request_time=INT64)
# Algorithms that Go accepts with an RSA key, and those it knows for other keys.
RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
OTHER_ALGORITHMS = ("HS256", "HS384", "HS512", "ES256", "ES384", "ES512", "EdDSA")

log = Log(__name__)


class GoPanic(Exception):
    """Kuscia's handler dereferences nil here: the connection ends without an answer."""


class Refused(Exception):
    """The master rejects the registration; `status` is the HTTP status, str() the text of the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def request(domain_id: str, deploy_token: str, key: RSAPrivateKey) -> tuple[dict[str, Any], str]:
    """Return what a lite sends: the JSON body and the `jwt-token` header."""
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(credentials.go_name([(NameOID.COMMON_NAME, domain_id)]))
        .add_extension(x509.UnrecognizedExtension(TOKEN_EXTENSION, deploy_token.encode()), critical=False)
        .sign(key, hashes.SHA256())
    )
    body = {
        "domain_id": domain_id,
        "csr": base64.b64encode(csr.public_bytes(serialization.Encoding.PEM)).decode(),
        "request_time": time.time_ns() % 1_000_000_000,
    }
    now = int(time.time())
    claims = {
        "iss": domain_id,
        "sub": domain_id,
        "iat": now,
        "exp": now + JWT_LIFETIME,
        "req_hash": _request_hash(body),
    }
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return body, jwt.encode(claims, pem, algorithm="RS256")


async def register(
    store: Store, master_id: str, master_key: RSAPrivateKey, body: bytes, jwt_token: str
) -> dict[str, str]:
    """Check a registration at the master and store the lite's certificate.

    Raises:
        Refused: the registration is invalid, with the text and HTTP status of Kuscia's answer.
        GoPanic: Kuscia gives no answer.
    """
    asked = _decode(body)
    csr = _certificate_request(asked["csr"])
    public_key = _check_identity(asked, csr, jwt_token)
    domain_id = asked["domain_id"]
    certificate = credentials.lite_certificate(master_key, master_id, domain_id, public_key)
    certificate_b64 = credentials.b64(credentials.cert_pem(certificate))
    try:
        domain = await store.get("domains", "", domain_id)
    except NotFound as err:
        raise Refused(500, f"domain [{domain_id}] not found") from err
    if not domain.get("status"):
        raise Refused(500, "deploytokenstatus of domain is empty")

    if not same_identity(domain["spec"].get("cert", ""), certificate):
        token = _deploy_token(csr)

        def admit(current: Object) -> None:
            entry = _unused_token(domain_id, token, current["status"].get("deployTokenStatuses", []))
            entry["state"] = "used"
            entry["lastTransitionTime"] = now_rfc3339()
            current["spec"]["cert"] = certificate_b64

        domain = await mutate(store, "domains", "", domain_id, admit)
        log.info("controller/register_node.go:195", f"Domain {domain_id} register success, set domain cert")
    method = (domain["spec"].get("authCenter") or {}).get("tokenGenMethod")
    public_pem = master_key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1)
    log.info("controller/register_node.go:211", f"Domain register {domain_id} handle success")
    return {
        "cert": certificate_b64,
        "master_pubkey": "" if method == "UID-RSA-GEN" else base64.b64encode(public_pem).decode(),
    }


def same_identity(stored: str, certificate: x509.Certificate) -> bool:
    """Tell whether a Domain's `spec.cert` has the same public key and subject, regardless of dates and issuer."""
    if not stored:
        return False
    try:
        known = x509.load_pem_x509_certificate(base64.b64decode(stored))
    except (ValueError, binascii.Error):
        return False
    return known.public_key() == certificate.public_key() and known.subject == certificate.subject


def _decode(body: bytes) -> dict[str, Any]:
    try:
        return parse_go(body, REQUEST)
    except DecodeError as err:
        raise Refused(400, str(err)) from err


def _certificate_request(encoded: str) -> x509.CertificateSigningRequest:
    wrong = first_illegal_base64(encoded)
    if wrong is not None:
        raise Refused(400, f"base64 decode csr error: illegal base64 data at input byte {wrong}")
    pem = base64.b64decode(encoded)
    kind = pem.partition(b"-----BEGIN ")[2].partition(b"-----")[0].decode(errors="replace")
    if not kind:
        raise Refused(400, "pem decode csr error")
    if kind != "CERTIFICATE REQUEST":
        raise Refused(400, f'csr pem data type is {kind}, must be "CERTIFICATE REQUEST"')
    try:
        return x509.load_pem_x509_csr(pem)
    except ValueError as err:
        raise Refused(400, f"csr pem data parse error: {err}") from err


def _check_identity(asked: dict[str, Any], csr: x509.CertificateSigningRequest, token: str) -> RSAPublicKey:
    names = csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    common_name = str(names[0].value) if names else ""
    if common_name != asked["domain_id"]:
        raise Refused(
            400,
            "verify csr failed, detail: the csr subject common name must be domainID: "
            f"{common_name} not {asked['domain_id']}",
        )
    public_key = csr.public_key()
    if not isinstance(public_key, RSAPublicKey):
        raise Refused(400, "verify jwt failed, detail: token signature is invalid: key is of invalid type")
    claims = _claims(token, public_key)
    if "exp" not in claims:
        raise GoPanic
    if claims.get("req_hash") != _request_hash(asked):
        raise Refused(400, _jwt(_jwt("the request content doesn't match the hash")))
    return public_key


def _claims(token: str, public_key: RSAPublicKey) -> dict[str, Any]:
    """Return the claims of a JWT.

    Raises:
        Refused: the JWT is invalid, with the text of golang-jwt v5, which Kuscia uses.
    """
    try:
        if token.count(".") != 2:
            raise Refused(400, _jwt("token is malformed: token contains an invalid number of segments"))
        pem = public_key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        return dict(
            jwt.decode(token, pem, algorithms=RSA_ALGORITHMS, options={"verify_iat": False, "verify_aud": False})
        )
    except jwt.ExpiredSignatureError as err:
        raise Refused(400, _jwt("token has invalid claims: token is expired")) from err
    except jwt.ImmatureSignatureError as err:
        raise Refused(400, _jwt("token has invalid claims: token is not valid yet")) from err
    except jwt.InvalidAlgorithmError as err:
        raise Refused(400, _jwt(_foreign(jwt.get_unverified_header(token).get("alg")))) from err
    except jwt.InvalidSignatureError as err:
        raise Refused(400, _jwt("token signature is invalid: crypto/rsa: verification error")) from err
    except jwt.PyJWTError as err:
        raise Refused(400, _jwt(f"token is malformed: {err}")) from err


def _foreign(algorithm: str | None) -> str:
    if algorithm is None:
        return "token is unverifiable: signing method (alg) is unspecified"
    if algorithm == "none":
        return "token signature is invalid: token is unverifiable: 'none' signature type is not allowed"
    if algorithm in OTHER_ALGORITHMS:
        return "token signature is invalid: key is of invalid type"
    return "token is unverifiable: signing method (alg) is unavailable"


def _jwt(text: str) -> str:
    return f"verify jwt failed, detail: {text}"


def _request_hash(body: dict[str, Any]) -> list[int]:
    text = f"{body['domain_id']}_{body['csr']}_{body['request_time']}"
    return list(hashlib.sha256(text.encode()).digest())


def _deploy_token(csr: x509.CertificateSigningRequest) -> str:
    try:
        extension = csr.extensions.get_extension_for_oid(TOKEN_EXTENSION)
    except x509.ExtensionNotFound:
        return ""
    value = extension.value
    return value.value.decode(errors="replace") if isinstance(value, x509.UnrecognizedExtension) else ""


def _unused_token(domain_id: str, token: str, known: list[Object]) -> Object:
    prefix = f"source domain [{domain_id}] deploy token mismatch, detail -> "
    if not token:
        raise Refused(500, prefix + "token not found in cert request, bad request")
    for entry in known:
        if entry["token"] == token:
            if entry["state"] == "unused":
                return entry
            raise Refused(500, prefix + "deploy token found but used, please use an unused deploy token")
    raise Refused(500, prefix + "deploy token not found, please use a valid unused deploy token")
