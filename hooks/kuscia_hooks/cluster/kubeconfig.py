"""Check of a kubeconfig that is carried to another container."""

from typing import Annotated, Any

import yaml
from pydantic import BaseModel, Field, ValidationError


def parse_kubeconfig(text: str) -> dict[str, Any]:
    """A kubeconfig that works wherever it is carried to.

    Raises:
        ValueError: it is none, or it names files or programs of the machine it was made on.
    """
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError("it is not YAML") from error
    if not isinstance(found, dict) or not found.get("clusters") or not found.get("current-context"):
        raise ValueError("it has no clusters or no current-context")
    _check_shape(found)
    for kind, key in (("clusters", "cluster"), ("users", "user")):
        for entry in found.get(kind) or []:
            for name in _NOT_CARRIED & (entry.get(key) or {}).keys():
                raise ValueError(
                    f"{kind}.{entry.get('name')} has {name}, which names a file or program that is not in Kuscia's "
                    "container; use …-data, token, or `kubectl config view --flatten`"
                )
    return found


class _Cluster(BaseModel):
    # Without one the client would ask localhost.
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
    """What the client takes for granted of a kubeconfig; all else it looks at itself."""

    clusters: list[_NamedCluster]
    users: list[_NamedUser] | None = None
    contexts: list[_NamedContext]
    current_context: str = Field(alias="current-context")


def _check_shape(found: dict[Any, Any]) -> None:
    try:
        parsed = _Kubeconfig.model_validate(found)
    except ValidationError as error:
        # Only where and what, since the values are secrets.
        wrong = (f"{'.'.join(map(str, one['loc']))} ({one['msg']})" for one in error.errors(include_input=False))
        raise ValueError(f"it has not the shape of one at {', '.join(wrong)}") from None
    users = {entry.name for entry in parsed.users or []}
    for entry in parsed.contexts:
        if entry.name == parsed.current_context and entry.context.user and entry.context.user not in users:
            raise ValueError(f"its users lack {entry.context.user}, whom contexts.{entry.name} names")


_NOT_CARRIED = {"certificate-authority", "client-certificate", "client-key", "tokenFile", "exec", "auth-provider"}
