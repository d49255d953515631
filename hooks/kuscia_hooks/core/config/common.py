"""Types and models that several configuration files share."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# What KusciaAPI takes for the ID of a table, a data source, a grant, a job (Kuscia facts 7.4).
_ID = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_RESERVED = {"default", "kube-system", "kube-public", "kube-node-lease", "master", "cross-domain"}


def valid_domain_id(value: str) -> str:
    """`value`, where it is a domain ID. Raises ValueError."""
    if not _LABEL.fullmatch(value):
        raise ValueError("a domain ID is 1 to 63 of a-z, 0-9 and '-', not at the ends, for example alice")
    if value in _RESERVED:
        raise ValueError(f"{value} is reserved by Kuscia; take for example {value}-domain")
    return value


def split_endpoint(value: str) -> SplitResult:
    """A gateway's or API's address in parts.

    Raises:
        ValueError: not `http(s)://host[:port][/path]`.
    """
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("an endpoint is http(s)://host[:port][/path], for example https://kuscia.example.com:1080")
    if parts.port is not None and not 0 < parts.port < 65536:
        raise ValueError("a port is 1 to 65535")
    return parts


def valid_endpoint(value: str) -> str:
    """`value` without a slash at its end, where it is an endpoint as `split_endpoint` takes it. Raises ValueError."""
    split_endpoint(value)
    return value.rstrip("/")


def valid_kuscia_id(value: str) -> str:
    if not _ID.fullmatch(value):
        raise ValueError(
            "an ID is 1 to 63 of a-z, 0-9, '.' and '-', with a letter or digit at the ends, for example alice-table"
        )
    return value


def valid_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.fragment:
        raise ValueError(
            "a URL is http(s)://host[:port]/path, without a user, for example https://example.com/alice.csv"
        )
    return value


DomainId = Annotated[str, AfterValidator(valid_domain_id)]
Endpoint = Annotated[str, AfterValidator(valid_endpoint)]
Name = Annotated[str, Field(min_length=1)]
KusciaId = Annotated[str, AfterValidator(valid_kuscia_id)]
Url = Annotated[str, AfterValidator(valid_url)]


class ConfigModel(BaseModel):
    """camelCase in the file; a key that is not known is an error, since it would silently do nothing."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, frozen=True)


class SecretKey(ConfigModel):
    """One value of a Secret in the step's own namespace."""

    name: Name
    key: Name


class TokenSecret(SecretKey):
    """One value of a Secret in a named namespace."""

    namespace: Name


class Api(ConfigModel):
    """The node's own KusciaAPI."""

    endpoint: Endpoint
    protocol: Literal["TLS", "NOTLS", "MTLS"]

    @model_validator(mode="after")
    def _scheme(self) -> "Api":
        scheme = "http" if self.protocol == "NOTLS" else "https"
        if not self.endpoint.startswith(f"{scheme}://"):
            raise ValueError(f"protocol {self.protocol} needs an endpoint that begins with {scheme}://")
        return self


class Master(ConfigModel):
    endpoint: Endpoint


class ApiStep(ConfigModel):
    """What every step that talks to KusciaAPI has."""

    domain_id: DomainId
    namespace: Name
    key_secret: SecretKey
    api: Api


class WritingStep(ApiStep):
    ledger: Name
    labels: dict[str, str] = {}


class NullableModel(ConfigModel):
    """Members may be null, as in a values file, which is as if they were left out."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data
