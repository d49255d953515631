"""TLS settings for connections of the steps."""

import os
import re
import ssl

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[\x00-\x7f]*?-----END CERTIFICATE-----")


def certificates(text: bytes) -> str:
    """Return the PEM certificates of a text without what is between them, such as comments in any encoding."""
    return "".join(f"{found.decode()}\n" for found in _CERTIFICATE.findall(text))


def trusting(pem: str | None) -> ssl.SSLContext:
    """Return a context that verifies servers against these CA certificates; against those of the system without any.

    Raises:
        ValueError: the text has no certificate, or one that cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if pem is None:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(cadata=certificates(pem.encode()))
    except ssl.SSLError as error:
        raise ValueError(str(error)) from error
    return context


def unverified() -> ssl.SSLContext:
    """Return a context that verifies nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def load_client_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load a client certificate from memory: `load_cert_chain` accepts file names only.

    Raises:
        ssl.SSLError: not PEM, or the key does not belong to the certificate.
    """
    handle = os.memfd_create("client", os.MFD_CLOEXEC)
    try:
        os.write(handle, certificate.rstrip() + b"\n" + key)
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
