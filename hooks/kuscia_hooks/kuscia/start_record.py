"""The record of what a Kuscia pod was started with."""

from collections.abc import Iterable
from typing import Any

from kuscia_hooks.core.config import SecretKey
from kuscia_hooks.kuscia import domain_key


def start_record(key: bytes, values: Iterable[tuple[SecretKey, bytes]], dns_servers: list[str]) -> dict[str, Any]:
    """What this start took, for `doctor` to compare with what is there later. Holds no secret.

    A deploy token is left out: once the domain is registered, Kuscia no longer looks at it (Kuscia facts 0.12).

    Args:
        key: the domain key, PEM; all fingerprints are made with it.
        values: what was read of which Secret, that of the domain key among them.
    """
    secrets = {f"{secret.name}/{secret.key}": domain_key.fingerprint(key, value) for secret, value in values}
    return {"secrets": secrets, "dnsServers": dns_servers}
