"""Datastore of the master: its address in kuscia.yaml, and a check that Kuscia will be able to use it."""

import hashlib
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config.datastore import Database, Sqlite, param_text
from kuscia_hooks.core.errors import ConfigError, RetryableError, StepWarning
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.redaction import hide
from kuscia_hooks.kuscia.database_server import NO_TABLE, TABLE, Execute, ServerError, client_command, describe
from kuscia_hooks.kuscia.mysql import check_mysql, connect_mysql
from kuscia_hooks.kuscia.postgres import check_postgres, connect_postgres

SQLITE_STATE = "server/db/state.db"
"""Path of the SQLite file below the directory of K3s (Kuscia facts 3)."""

# NUL ends a command-line argument; YAML folds or drops some of the others.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# K3s stores its keys in one row that is encrypted with its token and named after it (pkg/cluster/encrypt.go of K3s).
# With a different token K3s does not start, and Kuscia only reports that etc/kubeconfig is missing.
_BOOTSTRAP = re.compile(r"/bootstrap/([0-9a-f]{12})")
# Forms of a token of which K3s uses only a part, or nothing (pkg/clientaccess/token.go of K3s).
_PARSED_TOKEN = re.compile(r"K10.*|[a-z0-9]{6}\.[a-z0-9]{16}")


_CHOWN = "set the owner of the volume and its files to the user of the container (fsGroup, or chown on the volume)"


def read_password(database: Database, namespace: str, kube: Kube) -> str:
    """Read the password from its Secret.

    Raises:
        RetryableError: the value is missing, or a database address cannot contain it (`invalid-database-password`).
    """
    secret = database.password_secret
    where = f"Secret {namespace}/{secret.name}: the password under key {secret.key}"
    password = kube.secret_text(namespace, secret.name, secret.key)
    if password.endswith("\n"):
        raise RetryableError(
            "invalid-database-password",
            f"{where} ends with a newline",
            fix="write it without a newline: kubectl create secret generic … --from-literal, or printf %s into a file",
        )
    if _CONTROL.search(password):
        raise RetryableError(
            "invalid-database-password",
            f"{where} has a control character, which a database address cannot contain",
            fix="change the password",
        )
    return password


def endpoint(database: Database, password: str) -> str:
    """Return `datastoreEndpoint` of kuscia.yaml (Kuscia facts chapter 3).

    PostgreSQL: a URL. MySQL: a scheme and a DSN of go-sql-driver. In a DSN the last '/' before the parameters ends the
    address, the last '@' before it ends the password, and the first ':' ends the user. Only parameter values are
    unescaped, so the password is written unescaped.
    """
    # go-sql-driver splits `charset` at commas before unescaping.
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
    """Check that the volume and the state file, which may have been restored for a different user, are writable.

    Raises:
        ConfigError: `volume-not-mounted`.
        RetryableError: `state-not-writable`.
    """
    path = Path(store.path)
    if not path.is_dir():
        raise ConfigError("volume-not-mounted", f"{path} not found: the volume for the master state is not mounted")
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise RetryableError(
            "state-not-writable",
            f"cannot write to {path} (volume for the master state): {error.strerror}",
            fix=_CHOWN,
        ) from error
    state = path / SQLITE_STATE
    try:
        if state.exists():
            with state.open("ab"):
                pass
    except OSError as error:
        raise RetryableError(
            "state-not-writable", f"cannot write to {state} (master state): {error.strerror}", fix=_CHOWN
        ) from error


def check_database(database: Database, password: str, token: str | None = None) -> list[StepWarning]:
    """Check that Kuscia can log in and store its state.

    Args:
        token: the token that K3s will use (see `cluster_token`); None if unknown.

    Returns:
        Warnings about version and settings of the server.

    Raises:
        RetryableError: the login failed, permissions are missing, or the state belongs to a different domain.
    """
    connect, check = (connect_mysql, check_mysql) if database.type == "mysql" else (connect_postgres, check_postgres)
    with connect(database, password) as execute:
        found = check(execute, database)
        if token is not None:
            _check_owner(execute, database, token)
    logger.info("%s: login OK; table %s is usable", describe(database), TABLE)
    return found


def cluster_token(kuscia_yaml: Mapping[str, Any]) -> str:
    """Return the token that K3s will use for the datastore (cmd/kuscia/modules/k3s.go of Kuscia).

    Args:
        kuscia_yaml: the whole configuration, including `clusterToken`.
    """
    given = str(kuscia_yaml.get("clusterToken") or "")
    return given or hashlib.md5(str(kuscia_yaml["domainID"]).encode(), usedforsecurity=False).hexdigest()


def count_rows(database: Database, password: str) -> int:
    """Return the number of rows in the table of Kuscia.

    Raises:
        RetryableError: the login failed, or the table does not exist.
    """
    connect = connect_mysql if database.type == "mysql" else connect_postgres
    with connect(database, password) as execute:
        return int(execute(f"SELECT COUNT(*) FROM {TABLE}")[0][0])  # noqa: S608


def has_state(store: Database | Sqlite, password: str | None) -> bool:
    """Return whether the datastore holds the state of a cluster.

    Args:
        password: of a database.

    Raises:
        RetryableError: the database cannot be read.
    """
    if isinstance(store, Sqlite):
        return (Path(store.path) / SQLITE_STATE).exists()
    try:
        return count_rows(store, password or "") > 0
    except ServerError as error:
        if error.code in NO_TABLE:
            return False
        raise


def warnings(database: Database | Sqlite) -> list[StepWarning]:
    """Return warnings about the configuration of the datastore."""
    if isinstance(database, Database) and "-" in database.database:
        message = f"the database name {database.database} contains '-', which Kuscia before 1.0 does not support"
        return [StepWarning("database-name-unsupported", message, fix="use Kuscia 1.0 or later, or another database")]
    return []


def _check_owner(execute: Execute, database: Database, token: str) -> None:
    """Raise RetryableError (`state-of-another-domain`) if the state was created with a different token."""
    if _PARSED_TOKEN.fullmatch(token):
        return
    try:
        rows = execute(f"SELECT name, deleted FROM {TABLE} WHERE name LIKE '/bootstrap/%' ORDER BY id")  # noqa: S608
    except ServerError as error:
        if error.code in NO_TABLE:
            return
        raise
    # The last row of a name counts. K3s re-encrypts a state that was stored without a token.
    last = {str(name): not int(deleted) for name, deleted in rows}
    present = {match[1] for name, there in last.items() if there and (match := _BOOTSTRAP.fullmatch(name))}
    if present and not present & {_mark(token), _mark("")}:
        raise RetryableError(
            "state-of-another-domain",
            f"{describe(database)}: table {TABLE} was created for a different domainId or clusterToken and cannot be "
            "read. Neither can be changed later, and every master requires a separate database",
            fix="set a separate database. If this database belonged to this master before, restore the previous "
            "domainId and clusterToken (key clusterToken of the kuscia.yaml in master.extraConfigSecret; by default it "
            "is derived from domainId)",
            see=client_command(database),
        )


def _mark(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:12]
