"""TLS of a node's own servers, as Go's crypto/tls does it."""

import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509

_CERTIFICATE = 11
"""Type of the handshake message that carries certificates (RFC 8446, section 4)."""
_HEADER = 4
"""Length of a handshake message's type and length."""


def server_context(certificate: str, key: str, client_ca: str | None) -> ssl.SSLContext:
    """Return the TLS context of a server.

    Args:
        certificate: path of the server's certificate.
        key: path of its key.
        client_ca: path of the CA that must have signed the client's certificate; None to request none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
        context.sslobject_class = _AlertingObject
        _compare_raw_issuers(context, certificate, key, Path(client_ca))
    return context


class _AlertingObject(ssl.SSLObject):
    """A connection whose failed handshake sends its TLS alert.

    asyncio closes the connection on the error and drops the alert. It flushes output when it waits for input, so
    the error is raised at the next call, which the client's answer to the alert triggers.
    """

    _failure: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        if self._failure:
            raise self._failure
        try:
            super().do_handshake()
        except ssl.SSLWantReadError:
            raise
        except ssl.SSLError as err:
            self._failure = err
            raise ssl.SSLWantReadError from err


def _compare_raw_issuers(context: ssl.SSLContext, certificate: str, key: str, client_ca: Path) -> None:
    """Reject client certificates whose issuer is encoded differently from the CA's subject (Kuscia facts 16.6).

    OpenSSL compares canonical names, Go the encoded ones. For such a certificate the connection gets a context that
    trusts no CA, so that OpenSSL itself fails the handshake with the alert that Go sends: unknown_ca.
    """
    trusting_none = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trusting_none.load_cert_chain(certificate, key)
    subject = x509.load_pem_x509_certificate(client_ca.read_bytes()).subject.public_bytes()

    def inspect(
        connection: ssl.SSLObject, direction: str, version: int, _content: int, kind: int, message: bytes
    ) -> None:
        if direction != "read" or kind != _CERTIFICATE:
            return
        try:
            sent = list(_certificates(message, version == ssl.TLSVersion.TLSv1_3))
        except ValueError:
            return  # OpenSSL rejects a malformed certificate itself.
        if sent and not _leads_to(subject, sent):
            connection.context = trusting_none

    # The ssl module offers no hook for verification; this one sees the certificates before they are verified.
    context._msg_callback = inspect  # type: ignore[attr-defined]


def _leads_to(root: bytes, sent: Sequence[x509.Certificate]) -> bool:
    """Return whether encoded issuer names lead from the first certificate to the root's subject.

    Clients also send their own copy of the CA. It never counts as the root, whatever the encoding of its name.
    """
    issuers = {found.subject.public_bytes(): found.issuer.public_bytes() for found in sent[1:]}
    name = sent[0].issuer.public_bytes()
    while name != root and name in issuers:
        name = issuers.pop(name)
    return name == root


def _certificates(message: bytes, tls13: bool) -> Iterator[x509.Certificate]:
    """Yield the certificates of a Certificate message (RFC 5246, section 7.4.2; RFC 8446, section 4.4.2)."""
    position = _HEADER
    if tls13:
        position += 1 + message[position]  # request context
    position += 3  # length of the list
    while position < len(message):
        end = position + 3 + int.from_bytes(message[position : position + 3], "big")
        yield x509.load_der_x509_certificate(message[position + 3 : end])
        position = end
        if tls13:
            position += 2 + int.from_bytes(message[position : position + 2], "big")  # extensions
