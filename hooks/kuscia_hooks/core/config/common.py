"""Types and models that several configuration files share."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from kuscia_hooks.core.config.hosts import check_endpoint_host
from kuscia_hooks.core.config.rules import RuleError, broken, check_rule, matching, shown
from kuscia_hooks.core.errors import Problem

# Parameters of a query that are credentials. The chart has the same list (_validate-lite.tpl).
_CREDENTIAL = re.compile(
    r"[?&](x-amz-(signature|credential|security-token)|x-(oss|goog|obs|cos)-signature|q-signature|signature|sig"
    r"|(access_?|auth_?|private_?|id_?|security-)?token|api_?-?key|password|passwd|pwd|secret)=",
    re.IGNORECASE,
)


def valid_domain_id(value: str) -> str:
    """Return `value` if it is a domain ID (Kuscia facts 2.5). Raises RuleError otherwise."""
    return check_rule("unreservedDomainId", check_rule("domainIdForm", value))


def split_endpoint(value: str) -> SplitResult:
    """Return the parts of the address of a gateway or an API.

    Raises:
        RuleError: it does not have the form `http(s)://host[:port][/path]`.
    """
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https"):
        raise broken("endpoint-without-scheme", "must start with http:// or https://")
    if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise broken(
            "invalid-endpoint", "must have the form http(s)://host[:port][/path], without user, query or fragment"
        )
    if not _valid_port(parts):
        raise broken("invalid-port", "must have a port from 1 to 65535")
    return parts


def _valid_port(parts: SplitResult) -> bool:
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


def valid_endpoint(value: str) -> str:
    """Return `value` without a trailing slash if it is an endpoint. Raises RuleError; see `split_endpoint`."""
    split_endpoint(value)
    return value.rstrip("/")


def valid_remote_endpoint(value: str) -> str:
    """Return `value` as `valid_endpoint`, if Kuscia can resolve its host. Raises RuleError otherwise."""
    endpoint = valid_endpoint(value)
    check_endpoint_host(endpoint)
    return endpoint


def valid_url(value: str) -> str:
    parts = urlsplit(value)
    if "@" in parts.netloc:
        raise broken("url-with-credentials", "must not have a user or password; use a Secret")
    if _CREDENTIAL.search(f"?{parts.query}"):
        raise broken("signed-url", "must not have a signature or token, which are credentials; use a Secret")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment or not _valid_port(parts):
        raise broken("invalid-url", "must have the form http(s)://host[:port]/path, without fragment")
    return value


def valid_directory(value: str) -> str:
    if not value.startswith("/"):
        raise broken("invalid-path", "must be an absolute path")
    return value


DomainId = Annotated[str, AfterValidator(valid_domain_id)]
Endpoint = Annotated[str, AfterValidator(valid_endpoint)]
RemoteEndpoint = Annotated[str, AfterValidator(valid_remote_endpoint)]
"""The endpoint of a server that Kuscia or its engines connect to."""
Name = Annotated[str, Field(min_length=1)]
KusciaId = Annotated[str, matching("kusciaId")]
"""The ID of a table, data source, grant or job that KusciaAPI accepts (Kuscia facts 7.4)."""
ObjectName = Annotated[str, matching("objectName")]
"""The name of a Secret, ConfigMap or another Kubernetes object."""
DataKey = Annotated[str, matching("secretKey")]
"""A key of a Secret or ConfigMap."""
Namespace = Annotated[str, matching("namespace")]
Url = Annotated[str, AfterValidator(valid_url)]
Directory = Annotated[str, AfterValidator(valid_directory)]


class ConfigModel(BaseModel):
    """A part of a configuration file, in camelCase there. An unknown key is an error: it would have no effect."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, frozen=True, defer_build=True)


class SecretKey(ConfigModel):
    """One value of a Secret in the namespace of the step."""

    name: ObjectName
    key: DataKey


class TokenSecret(SecretKey):
    """One value of a Secret in a named namespace."""

    namespace: Namespace


class Api(ConfigModel):
    """KusciaAPI of the node that the step belongs to."""

    endpoint: Endpoint
    protocol: Literal["TLS", "NOTLS", "MTLS"]

    @model_validator(mode="after")
    def _scheme(self) -> "Api":
        scheme = "http" if self.protocol == "NOTLS" else "https"
        if not self.endpoint.startswith(f"{scheme}://"):
            rule = f"must start with {scheme}:// because protocol is {self.protocol}"
            raise RuleError(Problem("endpoint-protocol-mismatch", "endpoint", rule, shown(self.endpoint)))
        return self


class CaBundle(ConfigModel):
    """CA certificates in the namespace of the step."""

    kind: Literal["ConfigMap", "Secret"]
    name: ObjectName
    key: DataKey


class Master(ConfigModel):
    endpoint: RemoteEndpoint
    ca_bundle: CaBundle | None = None


class ApiStep(ConfigModel):
    """The configuration of a step that calls KusciaAPI."""

    domain_id: DomainId
    namespace: Namespace
    key_secret: SecretKey
    api: Api


class WritingStep(ApiStep):
    ledger: ObjectName
    labels: dict[str, str] = {}


class Owner(ConfigModel):
    """The Service that the Secrets with deploy tokens are deleted with."""

    service: ObjectName


class NullableModel(ConfigModel):
    """A model whose members may be null, which is the same as leaving them out, as in a values file."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data
