"""The configuration of `data` and `seed`: data source, tables, and grants."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from kuscia_hooks.core.config.common import (
    ConfigModel,
    DomainId,
    Endpoint,
    KusciaId,
    Name,
    Url,
    WritingStep,
    split_endpoint,
)


class Credentials(ConfigModel):
    name: Name
    access_key_id_key: Name = "access_key_id"
    access_key_secret_key: Name = "access_key_secret"  # noqa: S105


class Oss(ConfigModel):
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


class LocalFs(ConfigModel):
    """A directory of the lite's own volume; only RunP and RunC engines see it."""

    id: KusciaId
    type: Literal["localfs"]
    path: Name
    access_directly: bool = True


Source = Annotated[Oss | LocalFs, Field(discriminator="type")]


class Column(ConfigModel):
    name: Name
    type: Name
    comment: str = ""


class UrlCredentials(ConfigModel):
    """A Secret in the step's namespace: `token`, or `username` and `password`, or `query` of a signed URL."""

    name: Name


class Table(ConfigModel):
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


class Grant(ConfigModel):
    """`domain` may use `table`."""

    table: Name
    domain: DomainId


class Data(WritingStep):
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


class Seed(ConfigModel):
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
