"""TLS settings for connections of the steps."""

import os
import ssl


def trusting(pem: str | None) -> ssl.SSLContext:
    """Return a context that verifies servers against these CA certificates; against those of the system without any.

    Raises:
        ssl.SSLError: the text has no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if pem is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cadata=pem)
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
