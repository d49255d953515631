"""The configuration of `data` and `seed`: data source, tables, and grants."""

import posixpath
import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from kuscia_hooks.core.config.common import (
    ConfigModel,
    DataKey,
    Directory,
    DomainId,
    KusciaId,
    Name,
    ObjectName,
    RemoteEndpoint,
    Url,
    WritingStep,
    split_endpoint,
)
from kuscia_hooks.core.config.rules import RuleError, broken, matching, shown
from kuscia_hooks.core.errors import Problem

# Alibaba Cloud, Tencent Cloud, Huawei Cloud, Volcengine. The chart has the same list (_validate-lite.tpl).
_VIRTUALHOST_ONLY = re.compile(r"(^|\.)(aliyuncs\.com|myqcloud\.com|myhuaweicloud\.(com|eu)|volces\.com)$")


class Credentials(ConfigModel):
    name: ObjectName
    access_key_id_key: DataKey = "access_key_id"
    access_key_secret_key: DataKey = "access_key_secret"  # noqa: S105


class Oss(ConfigModel):
    """A bucket of an S3-compatible store."""

    id: KusciaId
    type: Literal["oss"]
    endpoint: RemoteEndpoint
    bucket: Annotated[Name, matching("bucketName")]
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
            rule = "must not have a path; set bucket and prefix instead"
            raise RuleError(Problem("store-endpoint-with-path", "endpoint", rule, shown(self.endpoint)))
        return self

    @model_validator(mode="after")
    def _one_addressing_style(self) -> "Oss":
        """The steps and the engines address the bucket in the same style, which the store must support."""
        host = split_endpoint(self.endpoint).hostname or ""
        if not self.virtualhost and _VIRTUALHOST_ONLY.search(host):
            rule = f"must be true for {host}, which rejects requests with the bucket in the path"
            raise RuleError(Problem("store-requires-virtualhost", "virtualhost", rule, shown(self.virtualhost)))
        if self.virtualhost and (re.fullmatch(r"[0-9.]+", host) or "." in self.bucket):
            rule = "must be false for an IP address and for a bucket with dots in its name"
            raise RuleError(Problem("virtualhost-not-possible", "virtualhost", rule, shown(self.virtualhost)))
        return self


class LocalFs(ConfigModel):
    """A directory on the volume of the lite; only RunP and RunC engines can read it."""

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
    """A Secret in the step's namespace with `token`, `username` and `password`, or `query` of a signed URL."""

    name: ObjectName


class Table(ConfigModel):
    """A table to declare. Its content is an example table, at a URL, in a file, or already in the bucket.

    Args:
        url_credentials_secret: credentials for the server of the URL.
        file: a path in the step's pod.
        sha256: checksum of the content in hex; checked before the content is used.
        size: size of the content in bytes; checked before the content is used.
        columns: columns that the content must have.
        column_types: types by column name, `*` for all other columns; instead of `columns`, to declare every column
            of the CSV header.
    """

    id: KusciaId
    name: Name
    relative_uri: Name
    type: Literal["table", "model", "rule", "report", "unknown"] = "table"
    example: Literal["alice", "bob"] | None = None
    url: Url | None = None
    url_credentials_secret: UrlCredentials | None = None
    file: str | None = None
    sha256: Annotated[str, matching("sha256")] | None = None
    size: Annotated[int, Field(ge=0)] | None = None
    columns: list[Column] = []
    column_types: dict[Name, Name] = {}
    attributes: dict[str, str] = {}

    @model_validator(mode="after")
    def _one_content(self) -> "Table":
        given = [name for name in ("example", "url", "file") if getattr(self, name)]
        if len(given) > 1:
            raise broken("several-content-sources", f"must set only one of {', '.join(given)}")
        if given and self.relative_uri.rpartition("/")[2] in ("", "."):
            rule = "must be the path of a file if the table has content"
            raise RuleError(Problem("invalid-relative-uri", "relativeUri", rule, shown(self.relative_uri)))
        if self.url_credentials_secret and not self.url:
            raise broken("url-secret-without-url", "must set url if urlCredentialsSecret is set")
        if (self.sha256 or self.size is not None) and not (self.url or self.file):
            raise broken("nothing-to-verify", "must set url or file if sha256 or size is set")
        if self.columns and self.column_types:
            raise broken("columns-and-column-types", "must set only one of columns, columnTypes")
        return self


class Grant(ConfigModel):
    """Permission for `domain` to use `table`."""

    table: KusciaId
    domain: DomainId

    def __str__(self) -> str:
        return f"{self.table} to {self.domain}"


def _file_of(table: Table) -> str:
    """Return the path of a table's file in a canonical form."""
    return posixpath.normpath("/" + table.relative_uri.lstrip("/"))


def _duplicate_files(tables: list[Table]) -> list[Problem]:
    """Return the tables with content that would overwrite the file of an earlier one."""
    problems, files = [], set()
    for index, table in enumerate(tables):
        if not (table.example or table.url or table.file):
            continue
        if _file_of(table) in files:
            rule = "must be unique among the tables with content; another table would overwrite the file"
            path = f"tables[{index}].relativeUri"
            problems.append(Problem("duplicate-relative-uri", path, rule, shown(table.relative_uri)))
        files.add(_file_of(table))
    return problems


class Data(WritingStep):
    """The file data.yaml.

    Args:
        adopt: take over a data source, tables, grants and objects in the bucket that exist with different content and
            were not created by this release.
        prune: delete from Kuscia the data source, tables and grants that this release created and that are no longer
            in the values. Objects in the bucket are kept.
    """

    source: Source
    tables: list[Table]
    grants: list[Grant] = []
    adopt: bool = False
    prune: bool = False

    @model_validator(mode="after")
    def _known(self) -> "Data":
        ids = {table.id for table in self.tables}
        problems = _duplicate_files(self.tables)
        granted: dict[str, Grant] = {}
        for index, grant in enumerate(self.grants):
            other = granted.setdefault(f"{grant.table}-{grant.domain}", grant)
            if other != grant:
                rule = f"must not have the same ID as the grant of {other}"
                problems.append(Problem("ambiguous-grants", f"grants[{index}]", rule, shown(str(grant))))
            if grant.table not in ids:
                rule = f"must be the id of a table ({', '.join(sorted(ids))})"
                problems.append(Problem("unknown-table", f"grants[{index}].table", rule, shown(grant.table)))
            if grant.domain == self.domain_id:
                rule = "must be a domain other than this one"
                problems.append(Problem("grant-to-own-domain", f"grants[{index}].domain", rule, shown(grant.domain)))
        if len(ids) != len(self.tables):
            problems.append(Problem("duplicate-table-id", "tables", "must not contain an id twice"))
        if problems:
            raise RuleError(*problems)
        return self


class Seed(ConfigModel):
    """The file seed.yaml.

    Args:
        path: directory of the localfs data source, on a volume.
    """

    path: Directory
    tables: list[Table]

    @model_validator(mode="after")
    def _below(self) -> "Seed":
        problems = [
            Problem(
                "invalid-relative-uri",
                f"tables[{index}].relativeUri",
                f"must be below {self.path}",
                shown(table.relative_uri),
            )
            for index, table in enumerate(self.tables)
            if ".." in table.relative_uri.split("/")
        ]
        problems += _duplicate_files(self.tables)
        if problems:
            raise RuleError(*problems)
        return self
