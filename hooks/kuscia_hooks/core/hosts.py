"""Host names as Kuscia and its engines resolve them: absolute, without the search list of the pod.

Kuscia replaces the resolver of its pod, and its own has no search list (Kuscia facts 0.2). A short name such as
`mysql.db` would therefore work in a step and fail in Kuscia.
"""

import ipaddress
import re
import socket
from pathlib import Path

HOSTS = Path("/etc/hosts")
RESOLV_CONF = Path("/etc/resolv.conf")
_CLUSTER_DOMAIN = "cluster.local"


def absolute(host: str) -> str:
    """Return the name for which the C library does not use the search list.

    An address stays as it is, and so does a name in /etc/hosts, where the C library does not find a name with a
    trailing dot (glibc 2.36). Kuscia reads that file too (`hostAliases`).
    """
    if not host or host.endswith(".") or _is_address(host) or host.lower() in _in_hosts_file():
        return host
    return f"{host}."


def connect(host: str, port: int, timeout: float) -> socket.socket:
    """Return a TCP connection to the absolute name. Raises OSError; see `unresolved` for gaierror."""
    return socket.create_connection((absolute(host), port), timeout)


def unresolved(host: str, error: socket.gaierror) -> tuple[str, str]:
    """Return why a host has no address, and the fix ("" if unknown)."""
    if error.errno == socket.EAI_AGAIN:
        return f"the cluster DNS did not answer for {host}", ""
    full = _from_search_list(host)
    if full:
        seen = f"{host} is a short name: only the search list of the pod completes it, and Kuscia has none"
        return seen, f"write the full name: {full}"
    seen = f"the cluster DNS cannot resolve {host} ({error.strerror})"
    if host.count(".") > 1:
        return seen, ""
    service = host if "." in host else f"{host}.<namespace>"
    return seen, f"for a Service of this cluster, write the full name: {service}.svc.{cluster_domain()}"


def cluster_domain() -> str:
    """Return the DNS domain of the cluster by the search list of the pod; the default one if that does not have it."""
    found = (suffix.removeprefix("svc.") for suffix in _search_list() if suffix.startswith("svc."))
    return next(found, _CLUSTER_DOMAIN)


def _from_search_list(host: str) -> str:
    """Return the full name that the search list makes of a host, "" if none has an address."""
    for suffix in _search_list():
        name = f"{host}.{suffix}"
        try:
            socket.getaddrinfo(f"{name}.", None, type=socket.SOCK_STREAM)
        except OSError:
            continue
        return name
    return ""


def _search_list() -> list[str]:
    """Return the search list of the pod; the last line counts."""
    found: list[str] = []
    for line in _lines(RESOLV_CONF):
        words = line.split()
        if words and words[0] in ("search", "domain"):
            found = [word.strip(".") for word in words[1:]]
    return [word for word in found if word]


def _in_hosts_file() -> set[str]:
    return {name.lower() for line in _lines(HOSTS) for name in line.split("#")[0].split()[1:]} | {"localhost"}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]").split("%")[0])
    except ValueError:
        # Forms that the C library reads as IPv4, such as 127.1.
        return bool(re.fullmatch(r"[0-9.]+", host))
    return True
