"""Client certificates under MTLS: the issuer's encoding counts, and a rejected client gets an alert."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from kuscia_sim import credentials
from kuscia_sim.transport.listener import Listener
from kuscia_sim.transport.tls import server_context

KEY = credentials.new_key()
OTHER_KEY = credentials.new_key()
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def _write(path: Path, certificate: x509.Certificate) -> str:
    path.write_text(credentials.cert_pem(certificate) + credentials.key_pem(KEY))
    return str(path)


def _with_utf8_issuer(certificate: x509.Certificate, issuer: str) -> x509.Certificate:
    """Return the same certificate, signed again, with the issuer's CN as Python encodes it by default."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)])
    assert name.public_bytes() != certificate.issuer.public_bytes()
    builder = x509.CertificateBuilder(name, certificate.subject, KEY.public_key(), certificate.serial_number)
    builder = builder.not_valid_before(certificate.not_valid_before_utc)
    return builder.not_valid_after(certificate.not_valid_after_utc).sign(KEY, hashes.SHA256())


@pytest.fixture
async def port(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[int]:
    ca = _write(tmp_path / "ca", credentials.ca_certificate(KEY, "alice"))
    server = _write(tmp_path / "server", credentials.server_certificate(KEY, "alice", KEY.public_key(), "x", ["x"]))
    app = web.Application()

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="reached")

    app.router.add_get("/", answer)
    listener = Listener(app, server_context(server, server, ca))
    await listener.start("127.0.0.1", unused_tcp_port)
    yield unused_tcp_port
    await listener.stop()


async def _ask(port: int, version: ssl.TLSVersion, certificate: str | None) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    if certificate:
        context.load_cert_chain(certificate)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_accepts_issuer_encoded_as_the_ca(port: int, version: ssl.TLSVersion, tmp_path: Path) -> None:
    good = _write(tmp_path / "good", credentials.client_certificate(KEY, "alice", KEY.public_key(), "client"))
    assert (await _ask(port, version, good)).endswith(b"reached")


@pytest.mark.parametrize("version", VERSIONS)
async def test_rejects_issuer_encoded_differently(port: int, version: ssl.TLSVersion, tmp_path: Path) -> None:
    right = credentials.client_certificate(KEY, "alice", KEY.public_key(), "client")
    other = _write(tmp_path / "other", _with_utf8_issuer(right, "alice"))
    with pytest.raises(ssl.SSLError, match="TLSV1_ALERT_UNKNOWN_CA"):
        await _ask(port, version, other)


@pytest.mark.parametrize("version", VERSIONS)
async def test_rejects_client_without_certificate(port: int, version: ssl.TLSVersion) -> None:
    with pytest.raises(ssl.SSLError, match=r"ALERT_HANDSHAKE_FAILURE|ALERT_CERTIFICATE_REQUIRED"):
        await _ask(port, version, None)


@pytest.mark.parametrize("version", VERSIONS)
async def test_rejects_certificate_of_another_ca(port: int, version: ssl.TLSVersion, tmp_path: Path) -> None:
    other = _write(tmp_path / "other", credentials.client_certificate(OTHER_KEY, "alice", KEY.public_key(), "client"))
    with pytest.raises(ssl.SSLError, match="ALERT"):
        await _ask(port, version, other)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("alice", _ASN1Type.PrintableString),
        ("a-b.c", _ASN1Type.PrintableString),
        ("alice_ENVOY_EXTERNAL", _ASN1Type.UTF8String),
        ("a*", _ASN1Type.UTF8String),
        ("\u4e2d", _ASN1Type.UTF8String),
    ],
)
def test_encodes_names_as_go(value: str, kind: _ASN1Type) -> None:
    (attribute,) = credentials.go_name([(NameOID.COMMON_NAME, value)])
    assert attribute._type is kind
