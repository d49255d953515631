"""Reading of configuration files."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from kuscia_hooks.core.errors import ConfigError

M = TypeVar("M", bound=BaseModel)


def parse(text: str, model: type[M], where: str) -> M:
    """Read a configuration.

    Args:
        where: the file's name, for messages.

    Raises:
        ConfigError: lists everything that is wrong, each with its path.
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError("invalid-config", f"{where} is not YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError("invalid-config", f"{where} holds no mapping")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = [f"  {_path(item['loc'])}: {_reason(item)}" for item in error.errors()]
        raise ConfigError("invalid-config", "\n".join([f"{where} has {len(lines)} errors:", *lines])) from error


def load(path: str, model: type[M]) -> M:
    """Read a configuration file; see `parse`."""
    try:
        text = Path(path).read_text()
    except OSError as error:
        raise ConfigError("invalid-config", f"cannot read {path}: {error.strerror}") from error
    return parse(text, model, path)


def _path(location: tuple[str | int, ...]) -> str:
    tags = {"sqlite", "mysql", "postgres", "oss", "localfs", "literal['all']", "[key]"}
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in tags and not part.startswith(("list[", "function-")):
            path += f".{part}" if path else part
    return path or "(the whole file)"


def _reason(item: Any) -> str:
    if item["type"] == "extra_forbidden":
        return "unknown key"
    if item["type"] == "missing":
        return "is missing"
    message = str(item["msg"]).removeprefix("Value error, ")
    value = item["input"]
    return f"{message} (got {value!r})" if isinstance(value, str | int | float | bool) or value is None else message
