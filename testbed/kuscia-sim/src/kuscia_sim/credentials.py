"""Keys, tokens and certificates as Kuscia creates them (Kuscia facts 0.7, 0.8, 0.9, 1.7)."""

import base64
import datetime
import hashlib
import ipaddress
import re
import secrets
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

YEARS_10 = datetime.timedelta(days=10 * 365)
KEY_BITS = 2048
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,\-./:=?]*")


def load_key(data: str) -> rsa.RSAPrivateKey:
    """Load a domainKeyData: base64 of a PEM RSA key, PKCS#1 or PKCS#8.

    Raises:
        ValueError: the data is not a valid key.
    """
    pem = base64.b64decode(data, validate=False)
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("not an RSA private key")
    return key


def api_token(key: rsa.RSAPrivateKey, domain_id: str) -> str:
    """Return the KusciaAPI token: the first 32 characters of base64(RSA-SHA256 signature of the domain ID)."""
    signature = key.sign(domain_id.encode(), padding.PKCS1v15(), hashes.SHA256())
    return base64.b64encode(signature).decode()[:32]


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)


def key_pem(key: rsa.RSAPrivateKey, pkcs8: bool = False) -> str:
    form = serialization.PrivateFormat.PKCS8 if pkcs8 else serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def cert_pem(cert: x509.Certificate) -> str:
    return cert.public_bytes(serialization.Encoding.PEM).decode()


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def public_key_b64(cert_b64: str) -> str:
    """Return base64 of the PKCS#1 PEM of the public key in a Domain's `spec.cert`.

    Raises:
        ValueError: the certificate is invalid or has no RSA key.
    """
    cert = x509.load_pem_x509_certificate(base64.b64decode(cert_b64))
    key = cert.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("not an RSA public key")
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1)
    return base64.b64encode(pem).decode()


def go_name(attributes: Sequence[tuple[x509.ObjectIdentifier, str]]) -> x509.Name:
    """Return a name encoded as Go encodes it: PrintableString where the characters allow it, else UTF8String.

    Go compares encoded names, so the encoding decides whether it finds a certificate's issuer (Kuscia facts 16.6).
    """
    return x509.Name(
        x509.NameAttribute(
            oid,
            value,
            _ASN1Type.PrintableString if _PRINTABLE.fullmatch(value) else _ASN1Type.UTF8String,
            _validate=False,
        )
        for oid, value in attributes
    )


def _name(common_name: str) -> x509.Name:
    return go_name([(NameOID.COMMON_NAME, common_name)])


def _key_usage(cert_sign: bool, key_encipherment: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def ca_certificate(key: rsa.RSAPrivateKey, domain_id: str) -> x509.Certificate:
    """Return the self-signed certificate of a domain key (ca.crt and domain.crt): serial 1, 50 years, a CA.

    Like Go's, it has a subject key identifier (SHA-1 of the public key).
    """
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    name = _name(domain_id)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now.replace(year=now.year + 50, day=min(now.day, 28)))
        .add_extension(_key_usage(cert_sign=True, key_encipherment=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _issue(
    ca_key: rsa.RSAPrivateKey,
    ca_name: x509.Name,
    public_key: rsa.RSAPublicKey,
    subject: x509.Name,
    duration: datetime.timedelta,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ca_name)
        .public_key(public_key)
        .serial_number(secrets.randbits(32) or 1)
        .not_valid_before(now)
        .not_valid_after(now + duration)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )


def server_certificate(
    ca_key: rsa.RSAPrivateKey,
    ca_name: str,
    public_key: rsa.RSAPublicKey,
    common_name: str,
    sans: list[str],
) -> x509.Certificate:
    """Return a server certificate of the node's CA; `sans` contains DNS names and IP addresses."""
    names: list[x509.GeneralName] = []
    for san in dict.fromkeys(sans):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(san)))
        except ValueError:
            names.append(x509.DNSName(san))
    builder = _issue(ca_key, _name(ca_name), public_key, _name(common_name), YEARS_10)
    builder = builder.add_extension(_key_usage(cert_sign=False, key_encipherment=True), critical=True)
    builder = builder.add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
        critical=False,
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(ca_key, hashes.SHA256())


def client_certificate(
    ca_key: rsa.RSAPrivateKey, ca_name: str, public_key: rsa.RSAPublicKey, common_name: str
) -> x509.Certificate:
    """Return a client certificate of the node's CA (for engines at DataMesh and for users of KusciaAPI under MTLS)."""
    builder = _issue(ca_key, _name(ca_name), public_key, _name(common_name), YEARS_10)
    builder = builder.add_extension(_key_usage(cert_sign=False, key_encipherment=True), critical=True)
    builder = builder.add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
        critical=False,
    )
    return builder.sign(ca_key, hashes.SHA256())


def user_certificate(
    ca_key: rsa.RSAPrivateKey,
    issuer: x509.Certificate,
    public_key: rsa.RSAPublicKey,
    subject: x509.Name,
    seconds: int,
) -> x509.Certificate:
    """Return a certificate as certificate/generate issues it: key usage only, valid from now for `seconds`.

    As with Go, it names the issuer's key only if the issuer's certificate does.
    """
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject)
        .public_key(public_key)
        .serial_number(secrets.randbits(32) or 1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(seconds=seconds))
        .add_extension(_key_usage(cert_sign=False, key_encipherment=True), critical=True)
    )
    try:
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return builder.sign(ca_key, hashes.SHA256())
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    return builder.add_extension(authority, critical=False).sign(ca_key, hashes.SHA256())


def lite_certificate(
    master_key: rsa.RSAPrivateKey, master_id: str, domain_id: str, public_key: rsa.RSAPublicKey
) -> x509.Certificate:
    """Return the certificate that a master stores for a registered lite, valid from 1970 to 1980 (Kuscia facts 5.4)."""
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(domain_id))
        .issuer_name(_name(master_id))
        .public_key(public_key)
        .serial_number(1)
        .not_valid_before(epoch)
        .not_valid_after(epoch.replace(year=1980))
        .add_extension(_key_usage(cert_sign=True, key_encipherment=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(master_key.public_key()), critical=False)
        .sign(master_key, hashes.SHA256())
    )


_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


def encrypt(public_key: rsa.RSAPublicKey, plain: bytes) -> str:
    """Encrypt with RSA-OAEP-SHA256 in chunks; return base64 (Kuscia facts 8: only the owner's key can decrypt it)."""
    size = public_key.key_size // 8 - 2 * hashes.SHA256.digest_size - 2
    chunks = [plain[i : i + size] for i in range(0, len(plain), size)] or [b""]
    return base64.b64encode(b"".join(public_key.encrypt(chunk, _OAEP) for chunk in chunks)).decode()


def decrypt(key: rsa.RSAPrivateKey, text: str) -> bytes:
    """Decrypt what `encrypt` returned.

    Raises:
        ValueError: it was encrypted for a different key.
    """
    data = base64.b64decode(text)
    size = key.key_size // 8
    return b"".join(key.decrypt(data[i : i + size], _OAEP) for i in range(0, len(data), size))


def random_token() -> str:
    """Return a deploy token: 32 letters and digits."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return "".join(secrets.choice(alphabet) for _ in range(32))


def generated_id(prefix: str) -> str:
    """Return `<prefix>-<32 hex>`, as Kuscia generates IDs."""
    return f"{prefix}-{hashlib.md5(secrets.token_bytes(32), usedforsecurity=False).hexdigest()}"
