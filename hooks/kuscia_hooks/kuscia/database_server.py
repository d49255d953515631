"""What the checks of MySQL and PostgreSQL share: errors, rights, and messages."""

from collections.abc import Callable
from typing import Any

from kuscia_hooks.core.config import Database
from kuscia_hooks.core.errors import RetryableError

TIMEOUT = 5
TABLE = "kine"
# Rights are asked for without writing: no row fulfils the condition, and a server looks at rights before it
# looks for the table.
RIGHTS = {
    "SELECT": f"SELECT 1 FROM {TABLE} WHERE 1=0",  # noqa: S608
    "INSERT": f"INSERT INTO {TABLE} (name) SELECT 'x' WHERE 1=0",
    "UPDATE": f"UPDATE {TABLE} SET name = 'x' WHERE 1=0",  # noqa: S608
    "DELETE": f"DELETE FROM {TABLE} WHERE 1=0",  # noqa: S608
}
# Codes of the servers: access to the table denied, no such table.
_DENIED = ("1142", "1143", "1370", "42501")
NO_TABLE = ("1146", "42P01")
_LOGIN = "user and password are not the server's; once the Secret or the server is corrected, this goes on"
_HINTS = {
    "1044": "the database is not there, or user {user} may not use it; GRANT ALL ON `{database}`.*",
    "1045": _LOGIN,
    "1049": "make it: CREATE DATABASE `{database}` CHARACTER SET utf8mb4",
    "28P01": _LOGIN,
    "28000": _LOGIN,
    "3D000": 'make it: CREATE DATABASE "{database}" OWNER "{user}"',
    "42501": "grant user {user} the right",
}


class ServerError(RetryableError):
    """The server was not reached, or refused. `code` is its error code, "" where it sent none."""

    def __init__(self, database: Database, error: Exception) -> None:
        self.code, text = _code_and_text(error)
        hint = _HINTS.get(self.code, "").format(database=database.database, user=database.user)
        super().__init__(
            "unclassified-retryable",
            f"{describe(database)}: {text}" + (f" ({hint})" if hint else ""),
            see=client_command(database),
        )


Execute = Callable[[str], list[Any]]


def describe(database: Database) -> str:
    return f"{database.type} {database.user}@{database.host}:{database.port}/{database.database}"


def missing_rights(execute: Execute, statements: dict[str, str]) -> list[str]:
    """The rights whose statement the server denies."""
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
    if not missing:
        return
    needed = "on table" if there else "to make table"
    instead = ", or make it with Kuscia's hack/k8s/kine.sql" if database.type == "mysql" and not there else ""
    raise RetryableError(
        "unclassified-retryable",
        f"{describe(database)}: login works, but user {database.user} lacks rights {needed} {TABLE}: "
        f"{', '.join(missing)}; grant them{instead}",
        see=client_command(database),
    )


def _code_and_text(error: Exception) -> tuple[str, str]:
    """Of a driver's error: PyMySQL's (code, text), pg8000's fields of the server's message, or a network's."""
    if error.args and isinstance(error.args[0], dict):
        fields = error.args[0]
        code = str(fields.get("C", ""))
        return code, f"{fields.get('M', fields)} ({code})"
    text = " ".join(str(part) for part in error.args) or type(error).__name__
    return (str(error.args[0]) if len(error.args) > 1 else ""), text


def client_command(database: Database) -> str:
    if database.type == "mysql":
        return f"mysql -h {database.host} -P {database.port} -u {database.user} -p {database.database}"
    return f"psql -h {database.host} -p {database.port} -U {database.user} {database.database}"
