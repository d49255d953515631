"""The forward proxy of a request, by the variables HTTPS_PROXY, HTTP_PROXY and NO_PROXY.

Only downloads of tables and requests to object stores use a proxy. All other clients ignore these variables: those of
the Kubernetes API server, KusciaAPI, gateways and databases.
"""

import ipaddress
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from kuscia_hooks.core import hosts
from kuscia_hooks.core.errors import PermanentError
from kuscia_hooks.core.redaction import hide
from kuscia_hooks.core.text import printable

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Proxy:
    """A forward proxy.

    Args:
        url: with the user and the password, if it has any.
        shown: URL for messages, without them.
    """

    url: str = field(repr=False)
    shown: str


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy for a request to a URL; None if the request goes to the server directly.

    Names and addresses inside the cluster are always direct.

    Raises:
        PermanentError: `invalid-proxy`.
    """
    target = urlsplit(url)
    host = (target.hostname or "").rstrip(".")
    name = f"{target.scheme}_proxy"
    given = _variable(name).strip()
    if not given or _is_internal(host) or _is_excluded(host, target.port or _PORTS.get(target.scheme)):
        return None
    return _proxy(name, given)


def via(url: str) -> str:
    """Return ` (through proxy …)` for the message about a request to a URL; "" if it has no proxy."""
    proxy = proxy_for(url)
    return f" (through proxy {proxy.shown})" if proxy else ""


def rejected(text: str) -> PermanentError:
    """Return the error of a request that the proxy rejected: it requires credentials, or denies the target."""
    return PermanentError(
        "forward-proxy-rejected",
        text,
        fix="correct the credentials in the Secret of global.kuscia.proxy, permit the target there, or name it in "
        "noProxy",
    )


def _variable(name: str) -> str:
    """Return an environment variable. The lower-case form wins, also if it is empty, as with curl and Python."""
    return os.environ.get(name, os.environ.get(name.upper(), ""))


def _proxy(name: str, given: str) -> Proxy:
    url = given if "://" in given else f"http://{given}"
    parts = _split(url)
    if parts is None or parts.scheme not in _PORTS or not _valid_address(parts):
        raise PermanentError(
            "invalid-proxy",
            f"variable {name.upper()}: must have the form http(s)://host:port"
            + ("" if "@" in given else f" (value: {printable(given)})"),
            fix="correct global.kuscia.proxy, its Secret, or extraEnv of the jobs",
        )
    return Proxy(url, printable(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"))


def _split(url: str) -> SplitResult | None:
    """Return the parts of a URL, whose password is masked from now on; None for an invalid one."""
    try:
        parts = urlsplit(url)
    except ValueError:
        # The text of the error quotes the URL.
        return None
    hide(*_credentials(parts))
    return parts


def _credentials(parts: SplitResult) -> Iterator[str]:
    if parts.password:
        yield parts.password
        yield unquote(parts.password)


def _valid_address(parts: SplitResult) -> bool:
    try:
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _is_internal(host: str) -> bool:
    """Return whether a host is the pod itself or inside the cluster. A name without dots is a Service."""
    address = _address(host)
    if address is not None:
        return address.is_loopback or address.is_link_local
    return "." not in host or _is_below(host, "localhost", "svc", hosts.cluster_domain())


def _is_excluded(host: str, port: int | None) -> bool:
    """Return whether NO_PROXY names a host: as a name, the end of names, an address, or a CIDR, or with a port."""
    for entry in _variable("no_proxy").replace(",", " ").lower().split():
        if entry == "*":
            return True
        name, only = _split_port(entry)
        if only not in (None, port):
            continue
        network, address = _network(name), _address(host)
        if network is not None:
            if address is not None and address in network:
                return True
        elif address is None and _is_below(host, name.removeprefix("*").strip(".")):
            return True
    return False


def _split_port(entry: str) -> tuple[str, int | None]:
    """Return host and port of an entry of NO_PROXY; an IPv6 address with a port is in brackets."""
    name, colon, port = entry.rpartition(":")
    if colon and port.isdigit() and (":" not in name or name.endswith("]")):
        return name.strip("[]"), int(port)
    return entry.strip("[]"), None


def _is_below(host: str, *domains: str) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains if domain)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
