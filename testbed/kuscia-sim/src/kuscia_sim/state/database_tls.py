"""TLS to a MySQL server as go-sql-driver does it (Kuscia facts 3)."""

import os
import ssl
from pathlib import Path
from typing import Any

HOSTNAME_MISMATCH = 62
"""Verification result of OpenSSL."""


def pymysql_arguments(mode: str) -> dict[str, Any]:
    """Return the arguments of PyMySQL for the parameter `tls` of a DSN; "" without it.

    Raises:
        ValueError: unknown value.
    """
    match mode.lower():
        case "" | "false" | "0":
            return {"ssl_disabled": True}
        case "preferred":
            return {}
        case "skip-verify":
            return {"ssl": _unverified()}
        case "true" | "1":
            return {"ssl": system_trust()}
    raise ValueError(f"invalid value / unknown config name: {mode}")


def system_trust() -> ssl.SSLContext:
    """Return a context with the CAs that Go trusts: the file of the system, and all files in SSL_CERT_DIR."""
    context = ssl.create_default_context()
    for directory in filter(None, os.environ.get("SSL_CERT_DIR", "").split(":")):
        for path in sorted(Path(directory).glob("*")):
            # Hashed links of the system name certificates that the context has already.
            if path.is_file() and "-----BEGIN CERTIFICATE-----" in path.read_text(errors="replace"):
                context.load_verify_locations(path)
    return context


def go_text(error: ssl.SSLCertVerificationError, host: str) -> str:
    """Return Go's text for a certificate that is not accepted."""
    if error.verify_code == HOSTNAME_MISMATCH:
        return f"tls: failed to verify certificate: x509: certificate is not valid for {host}"
    return "tls: failed to verify certificate: x509: certificate signed by unknown authority"


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
