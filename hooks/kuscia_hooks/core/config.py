"""The steps' configuration files.

The chart renders them; tests/chart loads every rendered one through these models.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import SplitResult, urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from kuscia_hooks.core.errors import ConfigError

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


def _kuscia_id(value: str) -> str:
    if not _ID.fullmatch(value):
        raise ValueError(
            "an ID is 1 to 63 of a-z, 0-9, '.' and '-', with a letter or digit at the ends, for example alice-table"
        )
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.fragment:
        raise ValueError(
            "a URL is http(s)://host[:port]/path, without a user, for example https://example.com/alice.csv"
        )
    return value


DomainId = Annotated[str, AfterValidator(valid_domain_id)]
Endpoint = Annotated[str, AfterValidator(valid_endpoint)]
Name = Annotated[str, Field(min_length=1)]
KusciaId = Annotated[str, AfterValidator(_kuscia_id)]
Url = Annotated[str, AfterValidator(_url)]


class _Model(BaseModel):
    """camelCase in the file; a key that is not known is an error, since it would silently do nothing."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, frozen=True)


class SecretKey(_Model):
    """One value of a Secret in the step's own namespace."""

    name: Name
    key: Name


class TokenSecret(SecretKey):
    """One value of a Secret in a named namespace."""

    namespace: Name


class Api(_Model):
    """The node's own KusciaAPI."""

    endpoint: Endpoint
    protocol: Literal["TLS", "NOTLS", "MTLS"]

    @model_validator(mode="after")
    def _scheme(self) -> "Api":
        scheme = "http" if self.protocol == "NOTLS" else "https"
        if not self.endpoint.startswith(f"{scheme}://"):
            raise ValueError(f"protocol {self.protocol} needs an endpoint that begins with {scheme}://")
        return self


def param_text(value: str | int | bool) -> str:
    """A parameter of a database's address as it is written there."""
    return str(value).lower() if isinstance(value, bool) else str(value)


class Sqlite(_Model):
    type: Literal["sqlite"]
    path: Name


# What the drivers that Kuscia and its K3s use know (go-sql-driver/mysql, and pgx, which kine has); with another value
# the driver refuses its address, and Kuscia ends.
TLS_PARAM = {
    "mysql": ("tls", ("true", "false", "skip-verify", "preferred")),
    "postgres": ("sslmode", ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")),
}


class Database(_Model):
    """A MySQL or PostgreSQL server that keeps the state; `database` has to exist.

    Args:
        params: of the address; `tls` (MySQL) and `sslmode` (PostgreSQL) are among `TLS_PARAM`.
    """

    type: Literal["mysql", "postgres"]
    host: Name
    port: Annotated[int, Field(ge=1, le=65535)]
    database: Annotated[str, Field(pattern=r"^[A-Za-z0-9_$-]+$")]
    user: Name
    password_secret: SecretKey
    params: dict[str, str | int | bool] = {}

    @model_validator(mode="after")
    def _user(self) -> "Database":
        if self.type == "mysql" and ":" in self.user:
            raise ValueError("Kuscia's MySQL driver cannot take a ':' in a user's name")
        return self

    @model_validator(mode="after")
    def _tls(self) -> "Database":
        name, known = TLS_PARAM[self.type]
        if self.tls and self.tls not in known:
            raise ValueError(f"params.{name} is {self.tls!r}; Kuscia's driver knows {', '.join(known)}")
        return self

    @property
    def tls(self) -> str:
        """`tls` or `sslmode` of the address; "" where it is left to the driver."""
        return param_text(self.params.get(TLS_PARAM[self.type][0], ""))


Datastore = Annotated[Sqlite | Database, Field(discriminator="type")]


class Master(_Model):
    endpoint: Endpoint


class Engines(_Model):
    """Where a RunK lite runs engines.

    Args:
        lite: `<namespace>/<name>` of the lite's Deployment, by which two lites are told apart.
        kubeconfig_secret: instead of the pod's own ServiceAccount.
    """

    namespace: Name
    lite: Name
    kubeconfig_secret: SecretKey | None = None


class CheckedEngines(Engines):
    """`pull_secrets` are those that engine pods need; `dns_service` is the Service that they ask for names."""

    pull_secrets: list[Name] = []
    dns_service: str | None = None


class Prepare(_Model):
    """prepare.yaml

    `extra_config_secret` holds YAML that is merged into kuscia.yaml, `extra_config_refused` the keys, with dots,
    that it may not have, and why.
    """

    mode: Literal["master", "lite"]
    domain_id: DomainId
    namespace: Name
    key_secret: SecretKey
    rootless: bool = False
    extra_config_secret: SecretKey | None = None
    extra_config_refused: dict[str, str] = {}
    datastore: Datastore | None = None
    master: Master | None = None
    deploy_token: TokenSecret | None = None
    dns_service: str | None = None
    engines: Engines | None = None

    @model_validator(mode="after")
    def _parts(self) -> "Prepare":
        if self.mode == "master" and self.datastore is None:
            raise ValueError("datastore is missing, for example {type: sqlite, path: /home/kuscia/var/k3s}")
        if self.mode == "lite" and self.master is None:
            raise ValueError("master.endpoint is missing, for example https://kuscia.example.com:1080")
        return self


class _ApiVerb(_Model):
    """What every step that talks to KusciaAPI has."""

    domain_id: DomainId
    namespace: Name
    key_secret: SecretKey
    api: Api


class _WritingVerb(_ApiVerb):
    ledger: Name
    labels: dict[str, str] = {}


class Owner(_Model):
    service: Name


class Admission(_Model):
    """One lite domain to admit. `cert` is PEM; with it Kuscia asks for no token."""

    token_secret: Name | None = None
    cert: str | None = None
    allow_rekey: bool = False


class Register(_WritingVerb):
    """register.yaml"""

    owner: Owner | None = None
    domains: dict[DomainId, Admission]


class Gateway(_Model):
    """Where others reach a domain; null when nobody does directly."""

    endpoint: Endpoint | None = None


class _Options(_Model):
    """Members may be null, as in a values file, which is as if they were left out."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data


class TokenConfig(_Options):
    """How gateways agree on a token; after `rolling_update_period` seconds they take a new one, 0 is never."""

    token_gen_method: Literal["RSA-GEN", "UID-RSA-GEN"] = "RSA-GEN"  # noqa: S105
    rolling_update_period: Annotated[int, Field(ge=0)] = 86400


class Route(_Options):
    """One direction between two domains. `transit` is the domain that passes the traffic on."""

    source: DomainId
    destination: DomainId
    transit: DomainId | None = None
    body_encryption: Literal["AES", "SM4"] | None = None
    token_config: TokenConfig = TokenConfig()


class Image(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    tag: Name
    id: str = ""
    sign: str = ""


class AppImage(BaseModel):
    """KusciaAPI's own shape (appimage/create), snake_case; templates are passed through."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Image
    config_templates: dict[str, str] = {}
    deploy_templates: Annotated[list[dict[str, Any]], Field(min_length=1)]


class Routes(_WritingVerb):
    """routes.yaml"""

    domains: dict[DomainId, Gateway]
    routes: Literal["all"] | list[Route]
    app_images: dict[Name, AppImage] = {}

    @model_validator(mode="after")
    def _known(self) -> "Routes":
        if isinstance(self.routes, str):
            return self
        errors = []
        for index, route in enumerate(self.routes):
            for field in ("source", "destination", "transit"):
                domain = getattr(route, field)
                if domain is not None and domain not in self.domains:
                    errors.append(f"routes[{index}].{field}: {domain} is not among domains ({', '.join(self.domains)})")
            if route.source == route.destination:
                errors.append(f"routes[{index}]: source and destination are both {route.source}")
            elif route.transit in (route.source, route.destination):
                errors.append(f"routes[{index}].transit: {route.transit} is an end of the route, no third domain")
            elif (
                route.destination in self.domains and not route.transit and not self.domains[route.destination].endpoint
            ):
                errors.append(
                    f"routes[{index}]: domains.{route.destination}.endpoint is missing, "
                    f"for example https://kuscia-lite-{route.destination}.example.com:1080"
                )
        if errors:
            raise ValueError("; ".join(errors))
        return self


class Credentials(_Model):
    name: Name
    access_key_id_key: Name = "access_key_id"
    access_key_secret_key: Name = "access_key_secret"  # noqa: S105


class Oss(_Model):
    """A bucket of an S3-compatible store."""

    id: KusciaId
    type: Literal["oss"]
    endpoint: Endpoint
    bucket: Name
    prefix: str = ""
    virtualhost: bool = False
    version: Literal["s3v2", "s3v4"] = "s3v4"
    storage_type: Literal["", "oss", "minio"] = ""
    create_bucket: bool = False
    access_directly: bool = True
    credentials_secret: Credentials

    @model_validator(mode="after")
    def _no_path(self) -> "Oss":
        if split_endpoint(self.endpoint).path:
            raise ValueError("the endpoint of a store has no path: bucket and prefix are values of their own")
        return self


class LocalFs(_Model):
    """A directory of the lite's own volume; only RunP and RunC engines see it."""

    id: KusciaId
    type: Literal["localfs"]
    path: Name
    access_directly: bool = True


Source = Annotated[Oss | LocalFs, Field(discriminator="type")]


class Column(_Model):
    name: Name
    type: Name
    comment: str = ""


class UrlCredentials(_Model):
    """A Secret in the step's namespace: `token`, or `username` and `password`, or `query` of a signed URL."""

    name: Name


class Table(_Model):
    """A table to declare. Its content is an example, a URL's, a file's, or in the bucket already.

    Args:
        url_credentials_secret: what the URL's server asks for.
        file: a path in the step's pod.
        sha256: of the content, in hex; checked before it is used.
        size: of the content in bytes; checked likewise.
        columns: which the content must have.
        column_types: instead of `columns`, all of the CSV header's: type by name, `*` for those not named.
    """

    id: KusciaId
    name: Name
    relative_uri: Name
    type: Literal["table", "model", "rule", "report", "unknown"] = "table"
    example: Literal["alice", "bob"] | None = None
    url: Url | None = None
    url_credentials_secret: UrlCredentials | None = None
    file: str | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    size: Annotated[int, Field(ge=0)] | None = None
    columns: list[Column] = []
    column_types: dict[Name, Name] = {}
    attributes: dict[str, str] = {}

    @model_validator(mode="after")
    def _one_content(self) -> "Table":
        given = [name for name in ("example", "url", "file") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other")
        if self.url_credentials_secret and not self.url:
            raise ValueError("urlCredentialsSecret is for a url, which is missing")
        if (self.sha256 or self.size is not None) and not (self.url or self.file):
            raise ValueError("sha256 and size are checked of a url or a file, of which none is given")
        if self.columns and self.column_types:
            raise ValueError("columns and columnTypes exclude each other")
        return self


class Grant(_Model):
    """`domain` may use `table`."""

    table: Name
    domain: DomainId


class Data(_WritingVerb):
    """data.yaml

    `prune` takes tables away from Kuscia that this release declared and that are no longer in `tables`; their
    objects stay.
    """

    source: Source
    tables: list[Table]
    grants: list[Grant] = []
    prune: bool = False

    @model_validator(mode="after")
    def _known(self) -> "Data":
        ids = {table.id for table in self.tables}
        errors = [
            f"grants[{index}].table: {grant.table} is not among tables ({', '.join(sorted(ids))})"
            for index, grant in enumerate(self.grants)
            if grant.table not in ids
        ]
        errors += [
            f"grants[{index}].domain: {grant.domain} is this domain itself"
            for index, grant in enumerate(self.grants)
            if grant.domain == self.domain_id
        ]
        if len(ids) != len(self.tables):
            errors.append("tables: an id is given twice")
        if errors:
            raise ValueError("; ".join(errors))
        return self


class Seed(_Model):
    """seed.yaml. `path`: the directory of the localfs data source, on a volume."""

    path: Annotated[str, Field(pattern="^/")]
    tables: list[Table]

    @model_validator(mode="after")
    def _below(self) -> "Seed":
        errors = [
            f"tables[{index}].relativeUri: {table.relative_uri} leads out of {self.path}"
            for index, table in enumerate(self.tables)
            if ".." in table.relative_uri.split("/")
        ]
        if errors:
            raise ValueError("; ".join(errors))
        return self


class Party(_Model):
    domain: DomainId
    table: Name
    keys: Annotated[list[Name], Field(min_length=1)]


class ExampleJob(_Model):
    """The PSI job of `helm test`.

    Args:
        output: what the result's ID begins with in each domain; the run is added to it.
        data_source: ID of the data source in each domain.
        keep: leave the KusciaJob and its result in place.
    """

    app_image: Name
    initiator: DomainId
    parties: Annotated[list[Party], Field(min_length=2, max_length=2)]
    output: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?$")]
    timeout_seconds: Annotated[int, Field(gt=0)] = 600
    data_source: KusciaId
    keep: bool = False


class CheckedSource(_Model):
    """A lite's OSS data source, and the Secret whose keys it has to hold."""

    id: KusciaId
    credentials_secret: Credentials


class Check(_ApiVerb):
    """check.yaml. `volume`: where the lite's data volume is mounted here; None when it is not."""

    mode: Literal["master", "lite"]
    gateway: Endpoint
    volume: Annotated[str, Field(pattern="^/")] | None = None
    domains: list[DomainId] = []
    routes: list[tuple[DomainId, DomainId]] = []
    datastore: Datastore | None = None
    example_job: ExampleJob | None = None
    master: Master | None = None
    source: CheckedSource | None = None
    tables: list[Name] = []
    results: list[Name] = []
    engines: CheckedEngines | None = None


class Neighbour(_Model):
    """A lite as its master's operator knows it: where it is reached, and its namespace where that is known."""

    endpoint: Endpoint | None = None
    namespace: Name | None = None


class LookedAtEngines(_Model):
    """A lite's engines: the namespace of their pods, null where they are no pods of this cluster; and whether the lite
    keeps what they print.
    """

    namespace: Name | None = None
    keeps_logs: bool


class External(_Model):
    """How the gateway is reached from outside the cluster: `url` for an Ingress, else the Service to look at."""

    type: Literal["Ingress", "LoadBalancer", "NodePort"]
    service: Name | None = None
    url: Endpoint | None = None


class Doctor(_ApiVerb):
    """doctor.yaml, of `doctor`, `status`, `logs` and `invite`."""

    mode: Literal["master", "lite"]
    release: Name
    fullname: Name
    gateway: Endpoint
    extra_config_secret: SecretKey | None = None
    domains: dict[DomainId, Neighbour] = {}
    routes: list[tuple[DomainId, DomainId]] = []
    datastore: Datastore | None = None
    external: External | None = None
    master: Master | None = None
    engines: LookedAtEngines | None = None
    partners: list[DomainId] = []


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
        raise ConfigError(f"{where} is not YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{where} holds no mapping")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = [f"  {_path(item['loc'])}: {_reason(item)}" for item in error.errors()]
        raise ConfigError("\n".join([f"{where} has {len(lines)} errors:", *lines])) from error


def load(path: str, model: type[M]) -> M:
    """Read a configuration file; see `parse`."""
    try:
        text = Path(path).read_text()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
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
