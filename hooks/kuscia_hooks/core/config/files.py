"""Reading of configuration files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from kuscia_hooks.core.config.domains import Domains
from kuscia_hooks.core.config.register import Register
from kuscia_hooks.core.config.rules import problems_of
from kuscia_hooks.core.errors import ConfigError, invalid

M = TypeVar("M", bound=BaseModel)


def parse(text: str, model: type[M], where: str, read: Callable[[str], str] | None = None) -> M:
    """Return a configuration as a model.

    The key `domainsFile` of a configuration names a second file in the same directory, with the domains and routes of a
    master. Several steps share it, and each takes what its model has. A key of the step's own file takes precedence.

    Args:
        where: name of the file, for messages.
        read: returns the text of another file in the same directory, if there is one.

    Raises:
        ConfigError: lists every wrong value with its path.
    """
    data = _mapping(text, where)
    if read is not None and "domainsFile" in data:
        shared = str(data.pop("domainsFile"))
        domains = dict(_validated(_mapping(read(shared), shared), Domains, shared))
        data = {key: value for key, value in domains.items() if key in model.model_fields} | data
    return _validated(data, model, where)


def load(path: str, model: type[M]) -> M:
    """Read a configuration file; see `parse`."""
    file = Path(path)
    return parse(_text(file), model, path, lambda name: _text(file.with_name(name)))


def load_register(path: str) -> Register:
    """Read register.yaml with the certificates of the domains, which are files next to it.

    Raises:
        ConfigError: see `parse`, and a certificate that the pod does not have.
    """
    config, file = load(path, Register), Path(path)
    domains = {
        domain_id: domain.model_copy(update={"cert": _text(file.with_name(domain.cert_file))})
        if domain.cert_file
        else domain
        for domain_id, domain in config.domains.items()
    }
    return config.model_copy(update={"domains": domains})


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise ConfigError("invalid-config", f"cannot read {path}: {error.strerror}") from error


def _mapping(text: str, where: str) -> dict[str, Any]:
    from kuscia_hooks.core import yaml_text

    try:
        data = yaml_text.read(text)
    except yaml_text.YAMLError as error:
        raise ConfigError("invalid-config", f"{where} is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError("invalid-config", f"{where} is not a YAML mapping")
    return data


def _validated(data: dict[str, Any], model: type[M], where: str) -> M:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise invalid(where, [problem for item in error.errors() for problem in problems_of(item)]) from error
