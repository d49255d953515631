"""Health probes of the cluster daemons, sent from inside its network."""

import ctypes
import http.client
import os
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from urllib.parse import urlsplit

from .names import Names

CLONE_NEWNET = 0x40000000
SECONDS = 5.0


def get(names: Names, url: str, *, inside: bool = True, admin: bool = False) -> tuple[int, bytes]:
    """Return status and body of GET `url`.

    Args:
        inside: connect from the network namespace of the cluster instead of the machine.
        admin: present the administrator certificate and verify the server; otherwise accept any certificate
            (components have self-signed certificates on loopback).

    Raises:
        OSError: the connection failed.
        http.client.HTTPException: the response is missing or invalid.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    raw = _connect_inside(names, host, port) if inside else socket.create_connection((host, port), SECONDS)
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.sock = (
            _tls(names, admin, _certificates(names)).wrap_socket(raw, server_hostname=host)
            if parts.scheme == "https"
            else raw
        )
        connection.request("GET", f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}")
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
        raw.close()


def unhealthy(names: Names, url: str, *, inside: bool = True, admin: bool = False) -> str | None:
    """None if GET `url` answers 200, else what it did instead."""
    try:
        status, body = get(names, url, inside=inside, admin=admin)
    except (OSError, http.client.HTTPException) as error:
        return f"{url}: {error}"
    return None if status == 200 else f"{url}: {status} {body[:200].decode(errors='replace').strip()}"


def refuses(path: str) -> str | None:
    """None if something accepts connections on the unix socket `path`."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(SECONDS)
        try:
            sock.connect(path)
        except OSError as error:
            return f"{path}: {error.strerror or error}"
    return None


def _connect_inside(names: Names, host: str, port: int) -> socket.socket:
    """A socket belongs to the namespace of the thread that made it; so one thread goes in and makes it."""

    def connect() -> socket.socket:
        descriptor = os.open(names.netns_path, os.O_RDONLY)
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(descriptor, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"cannot enter {names.netns_path}")
        finally:
            os.close(descriptor)
        return socket.create_connection((host, port), SECONDS)

    with ThreadPoolExecutor(1) as one:
        return one.submit(connect).result()


def _certificates(names: Names) -> int:
    """Tells a rebuilt cluster's certificates from those of the one before, within one process."""
    return (names.pki / "ca.crt").stat().st_mtime_ns


@lru_cache
def _tls(names: Names, admin: bool, _generation: int) -> ssl.SSLContext:
    if admin:
        context = ssl.create_default_context(cafile=str(names.pki / "ca.crt"))
        context.load_cert_chain(names.pki / "admin.crt", names.pki / "admin.key")
        return context
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
