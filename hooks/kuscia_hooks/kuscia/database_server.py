"""Errors, permission checks and messages that MySQL and PostgreSQL have in common."""

import socket
import ssl
from collections.abc import Callable
from typing import Any

from kuscia_hooks.core import hosts, trust
from kuscia_hooks.core.config.datastore import Database
from kuscia_hooks.core.errors import RetryableError, cause_of
from kuscia_hooks.core.text import printable, quoted

TIMEOUT = 5
TABLE = "kine"
# Permission checks that write nothing: no row matches the condition. Servers check permissions before they check
# whether the table exists.
RIGHTS = {
    "SELECT": f"SELECT 1 FROM {TABLE} WHERE 1=0",  # noqa: S608
    "INSERT": f"INSERT INTO {TABLE} (name) SELECT 'x' WHERE 1=0",
    "UPDATE": f"UPDATE {TABLE} SET name = 'x' WHERE 1=0",  # noqa: S608
    "DELETE": f"DELETE FROM {TABLE} WHERE 1=0",  # noqa: S608
}
# Codes of the servers: access to the table denied; table not found.
_DENIED = ("1142", "1143", "1370", "42501")
NO_TABLE = ("1146", "42P01")
_DROPPED = ("2003", "2006", "2013")
"""Codes of PyMySQL: no connection, connection lost."""
_CAUSES = {
    "1040": "too-many-connections",
    "53300": "too-many-connections",
    "1044": "database-access-denied",
    "1045": "database-login",
    "28P01": "database-login",
    "28000": "database-login",
    "1049": "database-not-found",
    "3D000": "database-not-found",
    "42501": "database-permission-denied",
    "3159": "database-tls",
}
"""Error IDs by code of the server."""


class ServerError(RetryableError):
    """The server cannot be reached or returned an error. `code` is its error code, "" without one."""

    def __init__(self, database: Database, error: Exception) -> None:
        self.code, text = _code_and_text(error)
        error_id = _error_id(self.code, error)
        fix = _fix(error_id, database, text)
        if isinstance(error, socket.gaierror):
            text, full_name = hosts.unresolved(database.host, error)
            fix = full_name or fix
        super().__init__(error_id, f"{describe(database)}: {text}", fix=fix, see=client_command(database))


def other_protocol(database: Database) -> ServerError:
    """Return the error of a driver that does not understand the server, for example a database of another type."""
    return ServerError(database, OSError(f"the server does not use the protocol of {database.type}"))


def _error_id(code: str, error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "database-host-not-found"
    if code in _CAUSES:
        return _CAUSES[code]
    if cause_of(error, ssl.SSLCertVerificationError):
        return "database-certificate-not-trusted"
    if isinstance(error, ssl.SSLError) or "SSL" in str(error):
        return "database-tls"
    unreachable = isinstance(error, OSError) or not code or code in _DROPPED
    return "database-unreachable" if unreachable else "database-error"


def _fix(error_id: str, database: Database, text: str) -> str:
    """Return the command or setting that fixes an error, or "".

    Args:
        text: of the error.
    """
    mysql = database.type == "mysql"
    name, user = database.database, database.user
    create = create_statement(database)
    fixes = {
        "too-many-connections": "raise max_connections on the server, or close unused connections",
        "database-access-denied": f"create the database ({create}) or GRANT ALL ON `{name}`.* to user {user}",
        "database-login": "correct the password in the Secret, or the user on the server; the step then continues",
        "database-not-found": f"create the database: {create}",
        "database-permission-denied": f"grant the permission to user {user}",
        "database-certificate-not-trusted": trust.advice(text),
        "database-tls": f"set {'tls' if mysql else 'sslmode'} in the datastore params to what the server supports",
        "database-host-not-found": "correct master.datastore.host",
        "database-unreachable": f"check host and port ({database.host}:{database.port}), firewalls and NetworkPolicies",
    }
    return fixes.get(error_id, "")


def create_statement(database: Database) -> str:
    """Return the SQL statement that creates the database."""
    if database.type == "mysql":
        return f"CREATE DATABASE `{database.database}` CHARACTER SET utf8mb4"
    return f'CREATE DATABASE "{database.database}" OWNER "{database.user}"'


Execute = Callable[[str], list[Any]]


def describe(database: Database) -> str:
    """Return type, user and address of a database, without the password."""
    return f"{database.type} {database.user}@{database.host}:{database.port}/{database.database}"


def missing_rights(execute: Execute, statements: dict[str, str]) -> list[str]:
    """Return the permissions whose statement the server denies."""
    missing = []
    for right, statement in statements.items():
        try:
            execute(statement)
        except ServerError as error:
            if error.code in _DENIED:
                missing.append(right)
            elif error.code not in NO_TABLE:
                raise
    return missing


def require_rights(database: Database, missing: list[str], there: bool) -> None:
    """Raise RetryableError (`database-permission-denied`) if permissions are missing.

    Args:
        missing: permissions.
        there: whether the table exists.
    """
    if not missing:
        return
    target = f"on table {TABLE}" if there else f"to create table {TABLE}"
    alternative = (
        ", or create the table with Kuscia's hack/k8s/kine.sql" if database.type == "mysql" and not there else ""
    )
    raise RetryableError(
        "database-permission-denied",
        f"{describe(database)}: login OK, but user {database.user} has no permission {target}: {', '.join(missing)}",
        fix=f"grant the permissions to user {database.user}{alternative}",
        see=client_command(database),
    )


def _code_and_text(error: Exception) -> tuple[str, str]:
    """Return code and text of an error of PyMySQL (code, text), pg8000 (fields of the message) or the network."""
    if error.args and isinstance(error.args[0], dict):
        fields = error.args[0]
        code = str(fields.get("C", ""))
        return code, printable(f"{fields.get('M', fields)} ({code})")
    text = printable(" ".join(str(part) for part in error.args)) or type(error).__name__
    return (str(error.args[0]) if len(error.args) > 1 else ""), text


def client_command(database: Database) -> str:
    """Return the command that opens the database in the client of its server."""
    host, port, user, name = map(quoted, (database.host, database.port, database.user, database.database))
    if database.type == "mysql":
        return f"mysql -h {host} -P {port} -u {user} -p {name}"
    return f"psql -h {host} -p {port} -U {user} {name}"
