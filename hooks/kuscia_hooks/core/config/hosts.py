"""Rules for the names of hosts that Kuscia connects to; the chart has the same (kuscia.hostProblem)."""

import re
from urllib.parse import urlsplit

from kuscia_hooks.core.config.rules import HIDDEN, RuleError, broken, check_rule
from kuscia_hooks.core.errors import Problem

# Top-level domains with two letters are country codes; the chart has the same pattern.
COUNTRY = (
    "a[c-gilmoq-uwxz]|b[abd-jl-oq-tvwyz]|c[acdf-ik-oru-z]|d[ejkmoz]|e[ceghr-u]|f[i-kmor]|"
    "g[abd-il-np-uwy]|h[kmnrtu]|i[del-oq-t]|j[emop]|k[eg-imnprwyz]|l[a-cikr-vy]|m[ac-hk-z]|"
    "n[ace-gilopruz]|om|p[ae-hk-nr-twy]|qa|r[eosuw]|s[a-eg-or-vx-z]|t[cdf-hj-ortvwz]|u[agkmsyz]|"
    "v[aceginu]|w[fs]|y[et]|z[amw]"
)

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def valid_host(value: str) -> str:
    """Return `value` if it is a host name without a port that Kuscia can resolve. Raises RuleError otherwise."""
    if re.search(r"[@/()?=\s]", value):
        rule = "must be a host name only, not a URL or DSN; port, user, password and database have separate values"
        raise RuleError(Problem("host-is-an-address", "", rule, HIDDEN))
    if re.fullmatch(r"[^:]*:[0-9]*", value):
        raise broken("host-with-port", "must be a host name without a port; the port has a separate value")
    check_host(value)
    return value


def check_host(host: str) -> None:
    """Raise RuleError if Kuscia's resolver, which has no search list, cannot resolve a host (Kuscia facts 0.1, 0.2)."""
    if ":" in host:
        raise broken("ipv6-not-supported", "must be a host name or an IPv4 address; Kuscia does not support IPv6")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        rule = "must be a valid host name: parts of 1 to 63 letters, digits or '-', separated by single dots"
        raise broken("invalid-host", rule)
    if host.endswith(".svc"):
        raise broken("host-ends-in-svc", "must not end in '.svc', which Kuscia resolves to itself")
    if is_service_in_namespace(host):
        rule = f"must be a fully qualified host name (for a Service: {host}.svc.cluster.local)"
        raise broken("host-not-fully-qualified", rule)
    if host.rpartition(".")[2].isdecimal():
        check_rule("ipv4", host)


def check_endpoint_host(endpoint: str) -> None:
    """Raise RuleError if Kuscia cannot resolve the host of a URL; see `check_host`."""
    check_host(urlsplit(endpoint).hostname or "")


def is_service_in_namespace(host: str) -> bool:
    """Return whether a name of two labels is `<service>.<namespace>`, since the second cannot be a top-level domain.

    A top-level domain has letters only, except for `xn--…`; one with two letters is a country code.
    """
    labels = host.lower().split(".")
    if len(labels) != 2 or labels[1].startswith("xn--"):
        return False
    last = labels[1]
    return (
        last == "default"
        or not re.fullmatch(r"[a-z]{2,}", last)
        or (len(last) == 2 and not re.fullmatch(COUNTRY, last))
    )
