"""The CAs that the steps trust for object stores, servers of tables, and databases.

These are the public CAs and, in addition, those of the file that CA_BUNDLE names. KusciaAPI and the Kubernetes API
server have separate CAs (see `kuscia.domain_key` and `cluster.login`), and a gateway that of its values.
"""

import os
import ssl
import time
from functools import cache
from pathlib import Path

import certifi

from kuscia_hooks.core import tls
from kuscia_hooks.core.errors import RetryableError

CA_BUNDLE = "KUSCIA_HOOKS_CA_BUNDLE"
"""Environment variable with the path of a PEM file with further CA certificates."""

_ADVICE = "add the CA of the server to the ConfigMap or Secret of global.kuscia.caBundle"
_CLOCKS = "correct the clock of the server, or that of the node that runs this step"
# What OpenSSL says of a certificate whose CA may be trusted.
_BESIDES_THE_CA = (
    ("not yet valid", _CLOCKS),
    ("has expired", f"renew the certificate of the server; if it is valid, {_CLOCKS}"),
    ("mismatch", "use a name or address that the certificate of the server contains"),
)


def advice(cause: str, ca: str = _ADVICE) -> str:
    """Return what to do about a certificate that is not trusted.

    Args:
        cause: the text of OpenSSL.
        ca: what to do if its CA is not trusted.
    """
    return next((fix for text, fix in _BESIDES_THE_CA if text in cause), ca)


def bundle() -> str:
    """Return the certificates of the CA bundle as PEM, "" without a bundle. The file is read each time.

    Raises:
        RetryableError: `ca-bundle-not-found`, `invalid-ca-bundle` or `ca-bundle-expired`.
    """
    path = os.environ.get(CA_BUNDLE, "")
    if not path:
        return ""
    try:
        found = tls.certificates(Path(path).read_bytes())
    except OSError as error:
        raise RetryableError(
            "ca-bundle-not-found",
            f"cannot read the CA bundle {path}: {error.strerror}",
            fix="create the ConfigMap or Secret of global.kuscia.caBundle with this key, or correct the value",
        ) from error
    try:
        latest = _latest_end(tls.trusting(found))
    except ValueError as error:
        raise RetryableError(
            "invalid-ca-bundle",
            f"the CA bundle {path} has no valid PEM certificate",
            fix="put the PEM certificates of your CAs into the ConfigMap or Secret of global.kuscia.caBundle",
        ) from error
    if latest is not None and latest < time.time():
        end = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(latest))
        raise RetryableError(
            "ca-bundle-expired",
            f"all certificates of the CA bundle {path} have expired, the last one on {end}",
            fix="put the new certificate of your CA into the ConfigMap or Secret of global.kuscia.caBundle",
        )
    return found


def context() -> ssl.SSLContext:
    """Return TLS settings that verify a server by signature and name. Raises as `bundle`."""
    return tls.trusting(_all())


def file() -> str:
    """Return the path of a PEM file with all trusted certificates, for libraries that need one. Raises as `bundle`."""
    return _in_memory(_all())


@cache
def _in_memory(text: str) -> str:
    """Return the path of a file with a text, which exists as long as the process."""
    handle = os.memfd_create("ca", os.MFD_CLOEXEC)
    with os.fdopen(handle, "w", closefd=False) as stream:
        stream.write(text)
    return f"/proc/self/fd/{handle}"


def _all() -> str:
    return tls.certificates(Path(certifi.where()).read_bytes()) + bundle()


def _latest_end(settings: ssl.SSLContext) -> float | None:
    """Return when the last of the CA certificates expires, None without any."""
    ends = [str(found["notAfter"]) for found in settings.get_ca_certs() if "notAfter" in found]
    return max((float(ssl.cert_time_to_seconds(end)) for end in ends), default=None)
