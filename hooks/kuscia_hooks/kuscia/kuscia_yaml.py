"""kuscia.yaml: merging of its parts, and rejected keys."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kuscia_hooks.core import yaml_text
from kuscia_hooks.core.config.prepare import Prepare
from kuscia_hooks.core.errors import ConfigError

SECRET_KEYS = ("domainKeyData", "datastoreEndpoint", "liteDeployToken")


def load_base(path: str, config: Prepare) -> dict[str, Any]:
    """Read the part of kuscia.yaml that has no secrets.

    Raises:
        ConfigError: the file cannot be read, or contradicts `config`.
    """
    try:
        base = yaml_text.read(Path(path).read_text())
    except (OSError, yaml_text.YAMLError) as error:
        raise ConfigError("invalid-config", f"cannot read {path}: {error}") from error
    if not isinstance(base, dict):
        raise ConfigError("invalid-config", f"{path}: not a mapping")
    errors = [f"{key}: must not be set here, because it is a secret" for key in SECRET_KEYS if base.get(key)]
    for key, wanted in (("mode", config.mode), ("domainID", config.domain_id)):
        if base.get(key) != wanted:
            errors.append(f"{key}: {base.get(key)!r} must equal {wanted!r}, as prepare is configured")
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
    """Return the complete kuscia.yaml.

    Args:
        base: the part without secrets.
        key: the domain key, PEM.
        datastore_endpoint: None for SQLite and for a lite.
        token: the deploy token of a lite; None for a master.
        dns_servers: for engine pods; used unless `base` sets them.
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
    return yaml_text.write(result)


def merged_config(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` overridden by `extra`: mappings are merged, lists and scalars replaced."""
    result = dict(base)
    for key, value in extra.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = merged_config(below, value)
        result[key] = value
    return result


def refused_keys(extra: Mapping[str, Any], refused: Mapping[str, str]) -> list[str]:
    """Return one line for each key of `extra` that `refused` lists, with the reason and without the value.

    The lines are not of the form `key: …`: the log masks the lines of a Secret, and a block starts with `key:`.
    """
    return [f"{path} ({reason})" for path, reason in refused.items() if _has(extra, path.split("."))]


def _has(block: Any, keys: list[str]) -> bool:
    if not isinstance(block, Mapping) or keys[0] not in block:
        return False
    return len(keys) == 1 or _has(block[keys[0]], keys[1:])
