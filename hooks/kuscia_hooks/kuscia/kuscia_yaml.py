"""kuscia.yaml: its parts, what they are merged to, and which keys are rejected."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from kuscia_hooks.core.config import Prepare
from kuscia_hooks.core.errors import ConfigError

SECRET_KEYS = ("domainKeyData", "datastoreEndpoint", "liteDeployToken")


def load_base(path: str, config: Prepare) -> dict[str, Any]:
    """The part of kuscia.yaml that is not secret.

    Raises:
        ConfigError: unreadable, or it contradicts `config`.
    """
    try:
        base = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError("invalid-config", f"cannot read {path}: {error}") from error
    if not isinstance(base, dict):
        raise ConfigError("invalid-config", f"{path} holds no mapping")
    errors = [f"{key} is a secret and does not belong there" for key in SECRET_KEYS if base.get(key)]
    for key, wanted in (("mode", config.mode), ("domainID", config.domain_id)):
        if base.get(key) != wanted:
            errors.append(f"{key} is {base.get(key)!r}, but prepare is configured for {wanted!r}")
    if errors:
        raise ConfigError(
            "invalid-config", "\n".join([f"{path} has {len(errors)} errors:", *(f"  {error}" for error in errors)])
        )
    return base


def render(
    base: dict[str, Any],
    key: bytes,
    datastore_endpoint: str | None,
    token: str | None,
    dns_servers: list[str],
) -> str:
    """kuscia.yaml, complete.

    Args:
        key: the domain key, PEM.
        datastore_endpoint: None for sqlite and for a lite.
        token: a lite's deploy token; None on a master.
        dns_servers: for engine pods; used where the base names none.
    """
    result = dict(base)
    result["domainKeyData"] = base64.b64encode(key).decode()
    if datastore_endpoint is not None:
        result["datastoreEndpoint"] = datastore_endpoint
    if token is not None:
        result["liteDeployToken"] = token
    runk = result.get("runk")
    if dns_servers and isinstance(runk, dict) and not runk.get("dnsServers"):
        result["runk"] = {**runk, "dnsServers": dns_servers}
    return yaml.safe_dump(result, sort_keys=False, allow_unicode=True, width=10_000)


def merged_config(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `extra` over it: blocks are merged, lists and all else replaced."""
    result = dict(base)
    for key, value in extra.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = merged_config(below, value)
        result[key] = value
    return result


def refused_keys(extra: Mapping[str, Any], refused: Mapping[str, str]) -> list[str]:
    """A line for each key of `extra` that `refused` names, with the reason; values are not repeated.

    Not as `key: …`: the log masks the lines of a Secret, and the line that begins a block is `key:`.
    """
    return [f"{path} ({reason})" for path, reason in refused.items() if _has(extra, path.split("."))]


def _has(block: Any, keys: list[str]) -> bool:
    if not isinstance(block, Mapping) or keys[0] not in block:
        return False
    return len(keys) == 1 or _has(block[keys[0]], keys[1:])
