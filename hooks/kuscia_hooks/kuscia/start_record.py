"""Record of the Secrets and DNS servers that a Kuscia pod was started with."""

from collections.abc import Iterable
from typing import Any

from kuscia_hooks.core.config.common import SecretKey
from kuscia_hooks.kuscia import domain_key


def start_record(key: bytes, values: Iterable[tuple[SecretKey, bytes]], dns_servers: list[str]) -> dict[str, Any]:
    """Return the record, without secrets; `doctor` compares it with the current values.

    The deploy token is omitted: Kuscia ignores it once the domain is registered (Kuscia facts 0.12).

    Args:
        key: the domain key, PEM; the key of all fingerprints.
        values: the values and their Secrets, including the domain key.
        dns_servers: of engine pods.
    """
    secrets = {f"{secret.name}/{secret.key}": domain_key.fingerprint(key, value) for secret, value in values}
    return {"secrets": secrets, "dnsServers": dns_servers}
