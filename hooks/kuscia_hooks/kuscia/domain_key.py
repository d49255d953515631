"""The RSA key of a domain, and the certificates and tokens that are derived from it.

The domain key is also the key of the node's certificate authority (Kuscia facts 0.8). A client with the key can
therefore authenticate as the operator of the domain, and verify the node, without reading anything from a pod.
"""

import base64
import datetime
import hmac
import ssl
import string
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config.common import SecretKey
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.redaction import hide
from kuscia_hooks.core.text import quoted
from kuscia_hooks.core.tls import load_client_certificate

# Certificates are imported where they are made or read: that takes longer than all else here, and many steps need none.
if TYPE_CHECKING:
    from cryptography import x509

KEY_BITS = 2048
_YEARS_50 = datetime.timedelta(days=50 * 365)
_DAY = datetime.timedelta(days=1)
_PRINTABLE = frozenset(string.ascii_letters + string.digits + " '()+,-./:=?")
"""Alphabet of an ASN.1 PrintableString (X.680, 41.4)."""


class InvalidKey(ValueError):
    """Kuscia does not accept the text as a key; the message has the reason."""


class InvalidCertificate(ValueError):
    """The text is not the certificate of a domain key; the message has the reason."""


def new_key() -> bytes:
    """Generate an RSA key of 2048 bits as PKCS#1 PEM, as the generators of Kuscia do (Kuscia facts 2.1)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def load_key(pem: bytes) -> rsa.RSAPrivateKey:
    """Read a domain key.

    Raises:
        InvalidKey: not PEM, encrypted, not RSA, or shorter than 2048 bits.
    """
    if not pem.strip():
        raise InvalidKey("empty")
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise InvalidKey("encrypted with a passphrase; Kuscia requires an unencrypted key") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidKey("not a PEM private key (-----BEGIN RSA PRIVATE KEY-----)") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise InvalidKey("not an RSA key")
    if key.key_size < KEY_BITS:
        raise InvalidKey(f"{key.key_size} bits; must have at least {KEY_BITS}")
    return key


def read_key(kube: Kube, namespace: str, secret: SecretKey) -> tuple[bytes, rsa.RSAPrivateKey]:
    """Return the domain key in a Secret, as its PEM text and parsed.

    Raises:
        RetryableError: `secret-not-found`, `secret-key-missing` or `invalid-domain-key`.
    """
    pem = kube.secret_value(namespace, secret.name, secret.key)
    try:
        return pem, load_key(pem)
    except InvalidKey as error:
        raise RetryableError(
            "invalid-domain-key",
            f"Secret {namespace}/{secret.name}: the value under key {secret.key} is not a valid domain key: {error}",
            fix="restore the key from a backup",
            see=f"kubectl describe secret {quoted(secret.name)} -n {quoted(namespace)}",
        ) from error


def api_token(key: rsa.RSAPrivateKey, domain_id: str) -> str:
    """Return the token for the KusciaAPI of that domain (Kuscia facts 0.7)."""
    signature = key.sign(domain_id.encode(), padding.PKCS1v15(), hashes.SHA256())
    return base64.b64encode(signature).decode()[:32]


def distinguished_name(common_name: str) -> "x509.Name":
    """Return a name that consists of a CN, encoded as Go encodes it.

    Go writes a PrintableString where the alphabet allows it, and otherwise a UTF8String; cryptography always writes a
    UTF8String. Kuscia compares the encoded issuer of a client certificate with its CA (Kuscia facts 16.6). The
    encoding has no public parameter in cryptography.
    """
    from cryptography import x509
    from cryptography.x509.name import _ASN1Type

    kind = _ASN1Type.PrintableString if _PRINTABLE.issuperset(common_name) else _ASN1Type.UTF8String
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name, kind)])


def _certificate(
    key: rsa.RSAPrivateKey, issuer: str, subject: str, public_key: rsa.RSAPublicKey, ca: bool
) -> "x509.Certificate":
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    now = datetime.datetime.now(datetime.UTC)
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    return (
        x509.CertificateBuilder()
        .subject_name(distinguished_name(subject))
        .issuer_name(distinguished_name(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _YEARS_50)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=ca,
                crl_sign=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .sign(key, hashes.SHA256())
    )


def ca_certificate(key: rsa.RSAPrivateKey, domain_id: str) -> bytes:
    """Return the domain certificate as PEM: self-signed, CN = domain ID, as the node creates it at every start.

    It has no subject key identifier. Implementations compute the identifier differently, and OpenSSL rejects a chain
    with a different one even if key and name match.
    """
    certificate = _certificate(key, domain_id, domain_id, key.public_key(), ca=True)
    return certificate.public_bytes(serialization.Encoding.PEM)


def client_certificate(key: rsa.RSAPrivateKey, domain_id: str) -> tuple[bytes, bytes]:
    """Return a client certificate and its key as PEM, for KusciaAPI with protocol MTLS (Kuscia facts 16.2, 16.6)."""
    client_key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    certificate = _certificate(key, domain_id, "kuscia-hooks", client_key.public_key(), ca=False)
    return certificate.public_bytes(serialization.Encoding.PEM), client_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def fingerprint(pem: bytes, value: bytes) -> str:
    """Return a short HMAC of a secret value. The value cannot be guessed from it without the domain key.

    Args:
        pem: the domain key as stored in its Secret.
        value: the secret value.
    """
    return hmac.new(pem, value, "sha256").hexdigest()[:16]


def public_der(key: rsa.RSAPrivateKey) -> bytes:
    """Return the public key as DER, for comparisons."""
    return _der(key.public_key())


def load_certificate(pem: bytes) -> "x509.Certificate":
    """Read the first certificate of a PEM text. Text around it and further certificates are ignored.

    The validity is ignored too: Kuscia issues certificates that expired in 1980 (Kuscia facts 5.4).

    Raises:
        InvalidCertificate: the text has no certificate with an RSA key, or contains a private key.
    """
    if b"PRIVATE KEY" in pem:
        hide(pem)
        raise InvalidCertificate("contains a private key, which must not leave its domain; replace that key")
    if not pem.strip():
        raise InvalidCertificate("empty")
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(pem)
        public = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise InvalidCertificate("not a PEM certificate (-----BEGIN CERTIFICATE-----)") from error
    if not isinstance(public, rsa.RSAPublicKey):
        raise InvalidCertificate("the key is not an RSA key")
    return certificate


def certificate_pem(certificate: "x509.Certificate") -> bytes:
    """Return the certificate as PEM, without the text that surrounded it."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def certificate_public_der(pem: bytes) -> bytes:
    """Return the public key of a PEM certificate as DER. Raises InvalidCertificate; see `load_certificate`."""
    return _der(load_certificate(pem).public_key())


def certificate_common_name(pem: bytes) -> str:
    """Return the CN of a PEM certificate; "" without a CN. Raises InvalidCertificate; see `load_certificate`."""
    from cryptography import x509

    certificate = load_certificate(pem)
    try:
        names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    except ValueError as error:
        raise InvalidCertificate("the subject is not a valid name") from error
    return str(names[0].value) if names else ""


def _der(public: CertificatePublicKeyTypes) -> bytes:
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def ssl_context(key: rsa.RSAPrivateKey, domain_id: str, mutual: bool) -> ssl.SSLContext:
    """Return the TLS settings for the node of that domain.

    The server certificate must be signed with the domain key, and be valid for the server name of the request. For
    KusciaAPI that name is not the host: Kuscia before 1.1 cannot add the name of a Service to its certificate (Kuscia
    facts 0.9).

    Args:
        mutual: whether to present a client certificate (protocol MTLS).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=ca_certificate(key, domain_id).decode())
    if mutual:
        load_client_certificate(context, *client_certificate(key, domain_id))
    return context
