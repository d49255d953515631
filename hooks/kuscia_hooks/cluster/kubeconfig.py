"""Validation of a kubeconfig that will be used in a different container."""

from typing import Annotated, Any

import yaml
from pydantic import BaseModel, Field, ValidationError

# Fields that refer to files or programs of the machine on which the kubeconfig was created.
_EXTERNAL_FIELDS = {"certificate-authority", "client-certificate", "client-key", "tokenFile", "exec", "auth-provider"}


def parse_kubeconfig(text: str) -> dict[str, Any]:
    """Parse a kubeconfig and check that it is self-contained.

    Raises:
        ValueError: it is not a kubeconfig, or it refers to files or programs outside of it. The message has no values,
            which are secrets.
    """
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError("not YAML") from error
    if not isinstance(found, dict) or not found.get("clusters") or not found.get("current-context"):
        raise ValueError("clusters or current-context is missing")
    _check_shape(found)
    for kind, key in (("clusters", "cluster"), ("users", "user")):
        for entry in found.get(kind) or []:
            for name in _EXTERNAL_FIELDS & (entry.get(key) or {}).keys():
                raise ValueError(
                    f"{kind}.{entry.get('name')}.{name} refers to a file or program that the Kuscia container does not "
                    "have; use a token or the …-data fields (kubectl config view --flatten --minify --raw)"
                )
    return found


class _Cluster(BaseModel):
    # Without a server, the client would connect to localhost.
    server: Annotated[str, Field(pattern=r"^https?://[^/]")]
    certificate_authority_data: str | None = Field(None, alias="certificate-authority-data")


class _NamedCluster(BaseModel):
    name: str
    cluster: _Cluster


class _User(BaseModel):
    token: str | None = None
    client_certificate_data: str | None = Field(None, alias="client-certificate-data")
    client_key_data: str | None = Field(None, alias="client-key-data")


class _NamedUser(BaseModel):
    name: str
    user: _User | None


class _Context(BaseModel):
    cluster: str
    user: str | None = None


class _NamedContext(BaseModel):
    name: str
    context: _Context


class _Kubeconfig(BaseModel):
    """The fields that the Kubernetes client reads without checking them."""

    clusters: list[_NamedCluster]
    users: list[_NamedUser] | None = None
    contexts: list[_NamedContext]
    current_context: str = Field(alias="current-context")


def _check_shape(found: dict[Any, Any]) -> None:
    try:
        parsed = _Kubeconfig.model_validate(found)
    except ValidationError as error:
        # Only path and rule: the values are secrets.
        wrong = (f"{'.'.join(map(str, one['loc']))} ({one['msg']})" for one in error.errors(include_input=False))
        raise ValueError(f"malformed at {', '.join(wrong)}") from None
    users = {entry.name for entry in parsed.users or []}
    for entry in parsed.contexts:
        if entry.name == parsed.current_context and entry.context.user and entry.context.user not in users:
            raise ValueError(f"contexts.{entry.name} refers to user {entry.context.user}, which is not defined")
