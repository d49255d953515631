"""Everything that follows from a domain's RSA key.

The domain key is also the key of that node's certificate authority (Kuscia facts 0.8), so whoever holds it
can prove to be that domain's operator and can tell that domain's node from any other. Nothing is ever read
out of a pod.
"""

import base64
import datetime
import hmac
import os
import ssl

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import SecretKey
from kuscia_hooks.core.errors import RetryableError

KEY_BITS = 2048
_YEARS_50 = datetime.timedelta(days=50 * 365)
_DAY = datetime.timedelta(days=1)


class InvalidKey(ValueError):
    """The text is not a key that Kuscia takes; the message says why."""


def new_key() -> bytes:
    """A new RSA key of 2048 bits as PKCS#1 PEM, the form that Kuscia's own generators write (Kuscia facts
    2.1).
    """
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
        raise InvalidKey("it is empty")
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise InvalidKey("it is encrypted with a passphrase; Kuscia needs it in clear") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidKey("it is not a PEM private key (-----BEGIN RSA PRIVATE KEY-----)") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise InvalidKey("it is not an RSA key")
    if key.key_size < KEY_BITS:
        raise InvalidKey(f"it has {key.key_size} bits; at least {KEY_BITS} are needed")
    return key


def read_key(kube: Kube, namespace: str, secret: SecretKey) -> tuple[bytes, rsa.RSAPrivateKey]:
    """Return the domain key in a Secret, as its PEM text and parsed.

    Raises:
        RetryableError: the Secret or its key is missing, or the value is not a domain key.
    """
    pem = kube.secret_value(namespace, secret.name, secret.key)
    try:
        return pem, load_key(pem)
    except InvalidKey as error:
        raise RetryableError(
            "unclassified-retryable",
            f"{secret.key} of Secret {namespace}/{secret.name} is no domain key: {error}",
            see=f"kubectl describe secret {secret.name} -n {namespace}",
        ) from error


def api_token(key: rsa.RSAPrivateKey, domain_id: str) -> str:
    """The token of that domain's KusciaAPI (Kuscia facts 0.7)."""
    signature = key.sign(domain_id.encode(), padding.PKCS1v15(), hashes.SHA256())
    return base64.b64encode(signature).decode()[:32]


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate(
    key: rsa.RSAPrivateKey, issuer: str, subject: str, public_key: rsa.RSAPublicKey, ca: bool
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
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
    """The domain's own certificate, PEM: self-signed, CN = domain ID, as the node makes it at every start.

    It has no subject key identifier: implementations compute that differently, and a different one would make
    OpenSSL reject a chain whose key and name are right.
    """
    certificate = _certificate(key, domain_id, domain_id, key.public_key(), ca=True)
    return certificate.public_bytes(serialization.Encoding.PEM)


def client_certificate(key: rsa.RSAPrivateKey, domain_id: str) -> tuple[bytes, bytes]:
    """A client certificate and its key, PEM, that the domain's KusciaAPI accepts under MTLS (Kuscia facts
    16.2).
    """
    client_key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    certificate = _certificate(key, domain_id, "kuscia-hooks", client_key.public_key(), ca=False)
    return certificate.public_bytes(serialization.Encoding.PEM), client_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def fingerprint(pem: bytes, value: bytes) -> str:
    """A short mark of a secret value that nobody without the domain key can guess the value from.

    Args:
        pem: the domain key as its Secret holds it.
    """
    return hmac.new(pem, value, "sha256").hexdigest()[:16]


def public_der(key: rsa.RSAPrivateKey) -> bytes:
    """The public half, for comparisons."""
    return _der(key.public_key())


def certificate_public_der(pem: bytes) -> bytes:
    """The public key of a PEM certificate. Its dates say nothing: Kuscia issues some that expired in 1980
    (5.4).

    Raises:
        ValueError: not a PEM certificate.
    """
    public = x509.load_pem_x509_certificate(pem).public_key()
    if not isinstance(public, rsa.RSAPublicKey):
        raise ValueError("its key is not RSA")
    return _der(public)


def certificate_common_name(pem: bytes) -> str:
    """The CN of a PEM certificate's subject; "" when it has none."""
    names = x509.load_pem_x509_certificate(pem).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def _der(public: rsa.RSAPublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def ssl_context(key: rsa.RSAPrivateKey, domain_id: str, mutual: bool) -> ssl.SSLContext:
    """TLS to that domain's own node: only a server whose certificate that key signed is believed.

    The host name is not compared: the key proves the identity, and Kuscia before 1.1 cannot put a Service's
    name into its certificate (Kuscia facts 0.9).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=ca_certificate(key, domain_id).decode())
    if mutual:
        _load_client_certificate(context, *client_certificate(key, domain_id))
    return context


def _load_client_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """OpenSSL's binding takes a file name only; the key stays in memory all the same."""
    handle = os.memfd_create("client", os.MFD_CLOEXEC)
    try:
        os.write(handle, certificate + key)
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
