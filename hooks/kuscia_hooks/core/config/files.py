"""Reading of configuration files."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from kuscia_hooks.core.config.rules import problems_of
from kuscia_hooks.core.errors import ConfigError, invalid

M = TypeVar("M", bound=BaseModel)


def parse(text: str, model: type[M], where: str) -> M:
    """Return a configuration as a model.

    Args:
        where: name of the file, for messages.

    Raises:
        ConfigError: lists every wrong value with its path.
    """
    import yaml

    try:
        data: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError("invalid-config", f"{where} is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError("invalid-config", f"{where} is not a YAML mapping")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise invalid(where, [problem for item in error.errors() for problem in problems_of(item)]) from error


def load(path: str, model: type[M]) -> M:
    """Read a configuration file; see `parse`."""
    try:
        text = Path(path).read_text()
    except OSError as error:
        raise ConfigError("invalid-config", f"cannot read {path}: {error.strerror}") from error
    return parse(text, model, path)
