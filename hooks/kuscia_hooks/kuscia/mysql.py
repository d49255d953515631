"""MySQL and MariaDB as a datastore: connection, rights, and version."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kuscia_hooks.core.config import Database
from kuscia_hooks.kuscia.database_server import (
    RIGHTS,
    TABLE,
    TIMEOUT,
    Execute,
    ServerError,
    missing_rights,
    require_rights,
)

# MySQL before 8.0 takes no WHERE without FROM; PostgreSQL has no DUAL.
_MYSQL_RIGHTS = RIGHTS | {"INSERT": f"INSERT INTO {TABLE} (name) SELECT 'x' FROM DUAL WHERE 1=0"}  # noqa: S608
# To make the table, on top of the rights to use it. Neither makes anything: there is no such table.
_MYSQL_MAKE = {
    "CREATE": f"CREATE TABLE {TABLE}_is_not_here LIKE {TABLE}",
    "INDEX": f"CREATE INDEX {TABLE}_is_not_here ON {TABLE} (name)",
}
MYSQL_MINIMUM = (8, 0, 23)
# The oldest that K3s, which keeps the state, names as tested.
MARIADB_MINIMUM = (10, 6, 8)


def check_mysql(execute: Execute, database: Database) -> list[str]:
    # A user with no right at all to a table does not see it; then the rights to make it are missed.
    there = bool(execute(f"SHOW TABLES LIKE '{TABLE}'"))
    missing = missing_rights(execute, _MYSQL_RIGHTS)
    if not there:
        # Without SELECT nothing can be said about CREATE: the statement needs both.
        missing += missing_rights(execute, _MYSQL_MAKE)
    require_rights(database, missing, there)
    return _mysql_unwise(execute)


def _mysql_unwise(execute: Execute) -> list[str]:
    text = str(execute("SELECT VERSION()")[0][0])
    match = re.search(r"(\d+)\.(\d+)\.(\d+)", text.removeprefix("5.5.5-"))
    version = tuple(map(int, match.groups())) if match else ()
    unwise = []
    if "mariadb" in text.lower():
        if version < MARIADB_MINIMUM:
            unwise.append(f"MariaDB is {text}; {_dotted(MARIADB_MINIMUM)} is the oldest tested with K3s")
        # kine's compaction then fails for good with error 1020; the default since 11.8 (k3s-io/kine#721).
        if _variable(execute, "innodb_snapshot_isolation") in ("ON", "1"):
            unwise.append(
                f"MariaDB {text} has innodb_snapshot_isolation=ON, with which table {TABLE} grows for ever; "
                "SET GLOBAL innodb_snapshot_isolation=OFF"
            )
        return unwise
    if version < MYSQL_MINIMUM:
        advice = ""
        if "derived_merge=on" in _variable(execute, "optimizer_switch"):
            advice = "; until then optimizer_switch='derived_merge=off' avoids crashes of the server"
        unwise.append(f"MySQL is {text}; Kuscia asks for {_dotted(MYSQL_MINIMUM)} or newer{advice}")
    return unwise


def _variable(execute: Execute, name: str) -> str:
    rows = execute(f"SHOW GLOBAL VARIABLES LIKE '{name}'")
    return str(rows[0][1]) if rows else ""


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


@contextmanager
def connect_mysql(database: Database, password: str) -> Iterator[Execute]:
    import pymysql

    try:
        connection = pymysql.connect(
            host=database.host,
            port=database.port,
            user=database.user,
            # PyMySQL would send a text in Latin-1, Kuscia's driver sends UTF-8.
            password=password.encode(),
            database=database.database,
            charset="utf8mb4",
            connect_timeout=TIMEOUT,
            read_timeout=TIMEOUT,
            write_timeout=TIMEOUT,
            **_mysql_tls(database),
        )
    except (pymysql.MySQLError, OSError) as error:
        raise ServerError(database, error) from error

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
    """go-sql-driver's parameter `tls` as PyMySQL's arguments.

    Kuscia's driver uses no TLS unless told to; PyMySQL uses it wherever the server can, which is `preferred` there.
    """
    import ssl

    if database.tls in ("", "false"):
        return {"ssl_disabled": True}
    if database.tls == "preferred":
        return {}
    context = ssl.create_default_context()
    if database.tls == "skip-verify":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}
