"""A client of DataMesh: tables and data sources of this party (Kuscia facts 16.4)."""

import json
import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import urllib3

from psi_engine import EngineError
from psi_engine.retry import Transient, until_deadline

URL = "https://datamesh:8070"
CERTIFICATES = ("CLIENT_CERT_FILE", "CLIENT_PRIVATE_KEY_FILE", "TRUSTED_CA_FILE")
NOT_FOUND = 12201  # of domaindata/query


@dataclass(frozen=True)
class Table:
    """A domaindata: where it lies and its columns as (name, type); a table unless `kind` says otherwise."""

    id: str
    author: str
    uri: str
    source: str
    columns: tuple[tuple[str, str], ...] = ()
    kind: str = "table"


@dataclass(frozen=True)
class Source:
    """A data source: `kind` is `oss` or `localfs`, `info` its settings. Holds credentials: never log it."""

    id: str
    kind: str
    info: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"Source({self.id}, {self.kind})"


def ssl_context(environment: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Return a TLS configuration with the certificates that Kuscia mounts into the engine container.

    Raises:
        EngineError: an environment variable or a file is missing, or a file is not a certificate.
    """
    missing = [name for name in CERTIFICATES if not environment.get(name)]
    if missing:
        raise EngineError(f"no {', '.join(missing)} in the environment; Kuscia sets them in an engine's container")
    certificate, key, ca = (environment[name] for name in CERTIFICATES)
    try:
        context = ssl.create_default_context(cafile=ca)
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise EngineError(f"certificates {certificate}, {key}, {ca}: {error}") from error
    # DataMesh's certificate has neither the name that it is called by nor a key identifier.
    context.check_hostname = False
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


class DataMesh:
    """Client of one party's DataMesh."""

    def __init__(self, url: str, context: ssl.SSLContext) -> None:
        self.url = url.rstrip("/")
        self.http = urllib3.PoolManager(
            ssl_context=context, assert_hostname=False, timeout=urllib3.Timeout(10), retries=False
        )

    def table(self, domaindata_id: str) -> Table | None:
        """Return the table with an ID, own or granted by the peer; None if it does not exist."""
        status, data = self._call("domaindata/query", {"domaindata_id": domaindata_id})
        if status["code"] == NOT_FOUND:
            return None
        self._expect_success(f"domaindata {domaindata_id}", status)
        columns = tuple((column["name"], column["type"]) for column in data["columns"] or [])
        return Table(domaindata_id, data["author"], data["relative_uri"], data["datasource_id"], columns)

    def source(self, datasource_id: str) -> Source:
        """Return the data source with an ID, with its settings in plain text.

        Raises:
            EngineError: it does not exist.
        """
        status, data = self._call("domaindatasource/query", {"datasource_id": datasource_id})
        self._expect_success(f"data source {datasource_id}", status)
        return Source(datasource_id, data["type"], data["info"].get(data["type"]) or {})

    def register(self, table: Table) -> None:
        """Register a result; one with the same ID is replaced, except for fields that are empty here."""
        columns = [{"name": name, "type": kind} for name, kind in table.columns]
        wanted = {
            "domaindata_id": table.id, "name": table.id, "type": table.kind, "relative_uri": table.uri,
            "datasource_id": table.source, "columns": columns, "vendor": "psi-engine",
        }  # fmt: skip
        status, _ = self._call("domaindata/create", wanted)
        self._expect_success(f"registering {table.id}", status)

    def _call(self, path: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        return until_deadline(f"DataMesh {path}", lambda: self._call_once(path, body))

    def _call_once(self, path: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        url = f"{self.url}/api/v1/datamesh/{path}"
        try:
            answer = self.http.request("POST", url, json=body)
        except urllib3.exceptions.HTTPError as error:
            raise Transient(f"POST {url}: {error}") from error
        if answer.status >= 500:
            raise Transient(f"POST {url}: HTTP {answer.status} {answer.data[:200]!r}")
        if answer.status != 200:
            raise EngineError(f"POST {url}: HTTP {answer.status} {answer.data[:200]!r}")
        content = json.loads(answer.data)
        # Errors in the request itself have no `status` around them.
        return content.get("status") or content, content.get("data")

    @staticmethod
    def _expect_success(what: str, status: Mapping[str, Any]) -> None:
        if status.get("code", 0) != 0:
            raise EngineError(f"DataMesh, {what}: {status['code']} {status.get('message')}")


def own_input(party: str, tables: Sequence[Table | None], ids: Sequence[str]) -> tuple[int, Table]:
    """Which of the inputs is `party`'s own, and its table. A granted table has its owner as author.

    Raises:
        EngineError: none is, or both are.
    """
    own = [(index, table) for index, table in enumerate(tables) if table and table.author == party]
    if len(own) == 1:
        return own[0]
    seen = ", ".join(f"{id_}: {f'of {table.author}' if table else 'not known here'}"
                     for id_, table in zip(ids, tables, strict=True))  # fmt: skip
    raise EngineError(f"exactly one of the input tables must be {party}'s own; DataMesh says {seen}")
