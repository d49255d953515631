"""The master's datastore: composing the address that Kuscia takes, and asking whether Kuscia will be able to
use it.
"""

import hashlib
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Database, Sqlite, param_text
from kuscia_hooks.core.errors import ConfigError, RetryableError
from kuscia_hooks.core.log import hide, logger
from kuscia_hooks.kuscia.database_server import NO_TABLE, TABLE, Execute, ServerError, client_command, describe
from kuscia_hooks.kuscia.mysql import check_mysql, connect_mysql
from kuscia_hooks.kuscia.postgres import check_postgres, connect_postgres

SQLITE_STATE = "server/db/state.db"
"""Where K3s keeps it below its directory (Kuscia facts 3)."""


# NUL ends a command line's argument; YAML folds or drops others of these.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# K3s keeps its keys in one row, encrypted with its token and named after it (K3s' pkg/cluster/encrypt.go). With another
# token it refuses to start, and Kuscia says no more than that etc/kubeconfig is not there.
_BOOTSTRAP = re.compile(r"/bootstrap/([0-9a-f]{12})")
# Forms of a token of which K3s uses a part only, or nothing (K3s' pkg/clientaccess/token.go).
_PARSED_TOKEN = re.compile(r"K10.*|[a-z0-9]{6}\.[a-z0-9]{16}")


def read_password(database: Database, namespace: str, kube: Kube) -> str:
    """The password from its Secret, as Kuscia can take it.

    Raises:
        RetryableError: it is missing, or no driver address can carry it; it heals when the Secret is corrected.
    """
    secret = database.password_secret
    where = f"Secret {namespace}/{secret.name}, key {secret.key}"
    password = kube.secret_text(namespace, secret.name, secret.key)
    if password.endswith("\n"):
        raise RetryableError(
            "unclassified-retryable",
            f"the password in {where} ends with a newline; write it with --from-literal, or with printf into a file",
        )
    if _CONTROL.search(password):
        raise RetryableError(
            "unclassified-retryable",
            f"the password in {where} holds a control character, which Kuscia's database address cannot carry",
        )
    return password


def endpoint(database: Database, password: str) -> str:
    """`datastoreEndpoint` of kuscia.yaml (Kuscia facts chapter 3).

    MySQL: what follows the scheme is a DSN of go-sql-driver. It takes the last '/' before the parameters as
    the end of the address, the last '@' before that as the end of the password and the first ':' as the end
    of the user, and unescapes nothing but parameter values; so a password is written as it is. PostgreSQL: a
    URL.
    """
    # The MySQL driver splits `charset` at commas without unescaping it.
    params = "&".join(f"{name}={quote(param_text(value), safe=',')}" for name, value in database.params.items())
    query = f"?{params}" if params else ""
    if database.type == "mysql":
        address = f"tcp({database.host}:{database.port})"
        result = f"mysql://{database.user}:{password}@{address}/{database.database}{query}"
    else:
        user, secret = quote(database.user, safe=""), quote(password, safe="")
        result = f"postgres://{user}:{secret}@{database.host}:{database.port}/{database.database}{query}"
    hide(result)
    return result


def check_sqlite(store: Sqlite) -> None:
    """Raise unless the volume can be written to, and the state in it, which may have been restored for another user."""
    path = Path(store.path)
    if not path.is_dir():
        raise ConfigError("invalid-config", f"{path} is not there: the volume for the master's state is not mounted")
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise RetryableError(
            "unclassified-retryable",
            f"{path}, the volume for the master's state, cannot be written to: {error.strerror}",
        ) from error
    state = path / SQLITE_STATE
    try:
        if state.exists():
            with state.open("ab"):
                pass
    except OSError as error:
        raise RetryableError(
            "unclassified-retryable", f"{state}, the master's state, cannot be written to: {error.strerror}"
        ) from error


def check_database(database: Database, password: str, token: str | None = None) -> list[str]:
    """Whether Kuscia will be able to log in and to keep its state; returns what is unwise about the server.

    Args:
        token: with which K3s will open the state (`cluster_token`); None where that is not known.

    Raises:
        RetryableError: it will not; the message says what is missing.
    """
    connect, check = (connect_mysql, check_mysql) if database.type == "mysql" else (connect_postgres, check_postgres)
    with connect(database, password) as execute:
        unwise = check(execute, database)
        if token is not None:
            _check_owner(execute, database, token)
    logger.info("%s: login works, and so will table %s", describe(database), TABLE)
    return unwise


def cluster_token(kuscia_yaml: Mapping[str, Any]) -> str:
    """The token with which K3s will open the datastore (Kuscia's cmd/kuscia/modules/k3s.go).

    Args:
        kuscia_yaml: the whole configuration, its `clusterToken` included.
    """
    given = str(kuscia_yaml.get("clusterToken") or "")
    return given or hashlib.md5(str(kuscia_yaml["domainID"]).encode(), usedforsecurity=False).hexdigest()


def count_rows(database: Database, password: str) -> int:
    """Rows in Kuscia's table.

    Raises:
        RetryableError: no login, or no such table.
    """
    connect = connect_mysql if database.type == "mysql" else connect_postgres
    with connect(database, password) as execute:
        return int(execute(f"SELECT COUNT(*) FROM {TABLE}")[0][0])  # noqa: S608


def warnings(database: Database | Sqlite) -> list[str]:
    """What is unwise about the configuration."""
    if isinstance(database, Database) and "-" in database.database:
        return [f"the database name {database.database} holds a '-', which Kuscia before 1.0 does not take"]
    return []


def _check_owner(execute: Execute, database: Database, token: str) -> None:
    """Raise RetryableError when the state belongs to another token or domain."""
    if _PARSED_TOKEN.fullmatch(token):
        return
    try:
        rows = execute(f"SELECT name, deleted FROM {TABLE} WHERE name LIKE '/bootstrap/%' ORDER BY id")  # noqa: S608
    except ServerError as error:
        if error.code in NO_TABLE:
            return
        raise
    # A name's last row counts; K3s itself takes over what was kept without a token.
    last = {str(name): not int(deleted) for name, deleted in rows}
    present = {match[1] for name, there in last.items() if there and (match := _BOOTSTRAP.fullmatch(name))}
    if present and not present & {_mark(token), _mark("")}:
        raise RetryableError(
            "unclassified-retryable",
            f"{describe(database)}: table {TABLE} was made for another domainId or with another clusterToken and "
            "cannot be read. Every master needs a database of its own. Was this one its own before, give back the "
            "former domainId and clusterToken (a key of the kuscia.yaml in master.extraConfigSecret; without one it "
            "follows from domainId): neither can be changed later",
            see=client_command(database),
        )


def _mark(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:12]
