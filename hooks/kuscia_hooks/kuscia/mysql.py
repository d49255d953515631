"""MySQL and MariaDB as a datastore: connection, permissions and version."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kuscia_hooks.core import hosts, tls, trust
from kuscia_hooks.core.config.datastore import Database
from kuscia_hooks.core.errors import StepWarning
from kuscia_hooks.core.waiting import current
from kuscia_hooks.kuscia.database_server import (
    RIGHTS,
    TABLE,
    TIMEOUT,
    Execute,
    ServerError,
    missing_rights,
    other_protocol,
    require_rights,
)

# MySQL before 8.0 does not support WHERE without FROM; PostgreSQL has no DUAL.
_MYSQL_RIGHTS = RIGHTS | {"INSERT": f"INSERT INTO {TABLE} (name) SELECT 'x' FROM DUAL WHERE 1=0"}  # noqa: S608
# Permissions to create the table, in addition to those to use it. Both statements fail: the table does not exist.
_MYSQL_CREATE_RIGHTS = {
    "CREATE": f"CREATE TABLE {TABLE}_is_not_here LIKE {TABLE}",
    "INDEX": f"CREATE INDEX {TABLE}_is_not_here ON {TABLE} (name)",
}
MYSQL_MINIMUM = (8, 0, 23)
# The oldest version that K3s, which stores the state, lists as tested.
MARIADB_MINIMUM = (10, 6, 8)


def check_mysql(execute: Execute, database: Database) -> list[StepWarning]:
    """Check the permissions of the user.

    Returns:
        Warnings about version and settings of the server.

    Raises:
        RetryableError: `database-permission-denied`, or the server returned an error.
    """
    # A table is invisible to a user without any permission on it; the permissions to create it are then missing.
    there = bool(execute(f"SHOW TABLES LIKE '{TABLE}'"))
    missing = missing_rights(execute, _MYSQL_RIGHTS)
    if not there:
        # The statement for CREATE also needs SELECT.
        missing += missing_rights(execute, _MYSQL_CREATE_RIGHTS)
    require_rights(database, missing, there)
    return _mysql_warnings(execute)


def _mysql_warnings(execute: Execute) -> list[StepWarning]:
    text = str(execute("SELECT VERSION()")[0][0])
    match = re.search(r"(\d+)\.(\d+)\.(\d+)", text.removeprefix("5.5.5-"))
    version = tuple(map(int, match.groups())) if match else ()
    warnings = _increment_warnings(execute)
    if "mariadb" in text.lower():
        if version < MARIADB_MINIMUM:
            message = f"MariaDB {text} is older than {_dotted(MARIADB_MINIMUM)}, the oldest version tested with K3s"
            warnings.append(StepWarning("database-version", message, fix="upgrade the server"))
        # The compaction of kine then always fails with error 1020; default since 11.8 (k3s-io/kine#721).
        if _variable(execute, "innodb_snapshot_isolation") in ("ON", "1"):
            message = f"MariaDB {text} has innodb_snapshot_isolation=ON: table {TABLE} grows without limit"
            fix = "run: SET GLOBAL innodb_snapshot_isolation=OFF"
            warnings.append(StepWarning("database-setting", message, fix=fix))
        return warnings
    if version < MYSQL_MINIMUM:
        message = f"MySQL {text} is older than {_dotted(MYSQL_MINIMUM)}, the minimum for Kuscia"
        warnings.append(StepWarning("database-version", message, fix="upgrade the server"))
        if "derived_merge=on" in _variable(execute, "optimizer_switch"):
            message = f"MySQL {text} has optimizer_switch derived_merge=on, and can crash"
            fix = "until the upgrade, run: SET GLOBAL optimizer_switch='derived_merge=off'"
            warnings.append(StepWarning("database-setting", message, fix=fix))
    return warnings


def _increment_warnings(execute: Execute) -> list[StepWarning]:
    """Return a warning if row IDs have gaps, as with Galera and with two masters that replicate each other.

    kine relies on consecutive IDs: it waits for each missing one, and fills it with a row (k3s-io/kine#71).
    """
    increment = _variable(execute, "auto_increment_increment") or "1"
    if increment == "1":
        return []
    return [
        StepWarning(
            "database-auto-increment",
            f"auto_increment_increment is {increment}: the server is part of a cluster with several writable nodes, "
            "which K3s does not support. Writes are slow, and can be lost",
            fix="use a server with one writable node: set auto_increment_increment=1 (Galera: also "
            "wsrep_auto_increment_control=OFF), and connect to that node only",
        )
    ]


def _variable(execute: Execute, name: str) -> str:
    rows = execute(f"SHOW GLOBAL VARIABLES LIKE '{name}'")
    return str(rows[0][1]) if rows else ""


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


@contextmanager
def connect_mysql(database: Database, password: str) -> Iterator[Execute]:
    """Yield a function that executes a statement. Both raise ServerError."""
    import pymysql

    seconds, settings = current().bound(TIMEOUT), _mysql_tls(database)
    try:
        connection = pymysql.connect(
            host=database.host,
            port=database.port,
            user=database.user,
            # PyMySQL encodes str as Latin-1; the driver of Kuscia sends UTF-8.
            password=password.encode(),
            database=database.database,
            charset="utf8mb4",
            connect_timeout=seconds,
            read_timeout=seconds,
            write_timeout=seconds,
            defer_connect=True,
            **settings,
        )
        connection.connect(hosts.connect(database.host, database.port, seconds))
    except (pymysql.MySQLError, OSError) as error:
        raise ServerError(database, error) from error
    except Exception as error:
        # The driver reads what another server sends without checking it.
        raise other_protocol(database) from error

    def execute(statement: str) -> list[Any]:
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall())
        except (pymysql.MySQLError, OSError) as error:
            raise ServerError(database, error) from error

    try:
        yield execute
    finally:
        connection.close()


def _mysql_tls(database: Database) -> dict[str, Any]:
    """Return the arguments of PyMySQL for parameter `tls` of go-sql-driver.

    The driver of Kuscia uses TLS only if configured. PyMySQL uses TLS whenever the server supports it, which is
    `preferred` in go-sql-driver.
    """
    if database.tls in ("", "false"):
        return {"ssl_disabled": True}
    if database.tls == "preferred":
        return {}
    return {"ssl": tls.unverified() if database.tls == "skip-verify" else trust.context()}
