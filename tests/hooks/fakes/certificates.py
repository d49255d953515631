"""Certificates for tests."""

import datetime
import ipaddress
import ssl
import tempfile
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from kuscia_hooks.kuscia import domain_key

PEM = serialization.Encoding.PEM
_DAY = datetime.timedelta(days=1)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class Authority:
    """Issues certificates; `pem` is its own one.

    Args:
        age: days since its certificates expired.
        name: CN of its own certificate.
    """

    def __init__(self, age: int = -1, name: str = "test CA") -> None:
        self._name = name
        self._end = datetime.datetime.now(datetime.UTC) - age * _DAY
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.pem = self._issue(name, self._key.public_key(), x509.BasicConstraints(ca=True, path_length=0))

    def _issue(self, name: str, key: ec.EllipticCurvePublicKey, extension: x509.ExtensionType) -> bytes:
        builder = x509.CertificateBuilder().subject_name(_name(name)).issuer_name(_name(self._name)).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(self._end - 2 * _DAY).not_valid_after(self._end)
        return builder.add_extension(extension, False).sign(self._key, hashes.SHA256()).public_bytes(PEM)

    def certificate(self, name: str, *hosts: str) -> tuple[bytes, bytes]:
        """Return a certificate and its key; `name` is the CN, `hosts` the names or addresses of a server."""
        key = ec.generate_private_key(ec.SECP256R1())
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        certificate = self._issue(
            name, key.public_key(), x509.SubjectAlternativeName(list(map(_alternative, hosts or (name,))))
        )
        return certificate, key.private_bytes(PEM, *form)

    def server_context(self, host: str) -> ssl.SSLContext:
        """Return TLS settings for a server that asks for client certificates of this authority, and requires none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"".join(self.certificate("server", host)))
            file.flush()
            context.load_cert_chain(file.name)
        context.load_verify_locations(cadata=self.pem.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        return context


def certificate_of(key: Any, domain_id: str = "alice", not_after: str = "2066-01-01") -> str:
    """Return a self-signed certificate of a key of any kind, as PEM."""
    name = domain_key.distinguished_name(domain_id)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime(1970, 1, 1))
        .not_valid_after(datetime.datetime.fromisoformat(not_after))
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    return made.public_bytes(PEM).decode()
