"""The master's datastore: composing the address that Kuscia takes, and asking whether Kuscia will be able to
use it.
"""

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kuscia_hooks.config import Database, Sqlite
from kuscia_hooks.errors import ConfigError, NotYet
from kuscia_hooks.log import hide, logger

TIMEOUT = 5
TABLE = "kine"
# Writing rights are asked for without writing: no row fulfils the condition.
_RIGHTS = {
    "SELECT": f"SELECT 1 FROM {TABLE} WHERE 1=0",  # noqa: S608
    "INSERT": f"INSERT INTO {TABLE} (name) SELECT name FROM {TABLE} WHERE 1=0",  # noqa: S608
    "UPDATE": f"UPDATE {TABLE} SET name = name WHERE 1=0",  # noqa: S608
    "DELETE": f"DELETE FROM {TABLE} WHERE 1=0",  # noqa: S608
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
MYSQL_MINIMUM = (8, 0, 23)
_NO_DATABASE_CODES = (1044, 1049)
_NO_DATABASE = ". Make the database, and give the user all rights to it: Kuscia makes tables only"


def decode_password(raw: bytes, where: str) -> str:
    """A password as Kuscia can take it.

    Raises:
        NotYet: no driver address can carry it; it heals when the Secret is corrected.
    """
    try:
        password = raw.decode()
    except UnicodeDecodeError as error:
        raise NotYet(f"the password in {where} is not UTF-8") from error
    if password.endswith("\n"):
        raise NotYet(
            f"the password in {where} ends with a newline; write it with --from-literal, or with printf into "
            "a file"
        )
    if _CONTROL.search(password):
        raise NotYet(
            f"the password in {where} holds a control character, which Kuscia's database address cannot carry"
        )
    return password


def endpoint(database: Database, password: str) -> str:
    """`datastoreEndpoint` of kuscia.yaml (Kuscia facts chapter 3).

    MySQL: what follows the scheme is a DSN of go-sql-driver. It takes the last '/' before the parameters as
    the end of the address, the last '@' before that as the end of the password and the first ':' as the end
    of the user, and unescapes nothing but parameter values; so a password is written as it is. PostgreSQL: a
    URL.
    """
    params = "&".join(f"{name}={quote(_param(value), safe='')}" for name, value in database.params.items())
    query = f"?{params}" if params else ""
    if database.type == "mysql":
        address = f"tcp({database.host}:{database.port})"
        result = f"mysql://{database.user}:{password}@{address}/{database.database}{query}"
    else:
        user, secret = quote(database.user, safe=""), quote(password, safe="")
        result = f"postgres://{user}:{secret}@{database.host}:{database.port}/{database.database}{query}"
    hide(result)
    return result


def _param(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def check_sqlite(store: Sqlite) -> None:
    """Raise unless the volume can be written to."""
    path = Path(store.path)
    if not path.is_dir():
        raise ConfigError(f"{path} is not there: the volume for the master's state is not mounted")
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise NotYet(
            f"{path}, the volume for the master's state, cannot be written to: {error.strerror}"
        ) from error


def check_database(database: Database, password: str) -> None:
    """Raise NotYet, saying what is missing, unless Kuscia will be able to log in and keep its state."""
    if database.type == "mysql":
        with _mysql(database, password) as execute:
            _mysql_version(execute)
            if execute(f"SHOW TABLES LIKE '{TABLE}'"):
                _check_rights(execute, database)
            else:
                _mysql_may_create(execute, database)
    else:
        with _postgres(database, password) as execute:
            if execute(f"SELECT to_regclass('{TABLE}')")[0][0]:
                _check_rights(execute, database)
            elif not execute("SELECT has_schema_privilege(current_user, current_schema(), 'CREATE')")[0][0]:
                raise NotYet(_no_table(database, "CREATE on the schema"))


def count_rows(database: Database, password: str) -> int:
    """Rows in Kuscia's table.

    Raises:
        NotYet: no login, or no such table.
    """
    connect = _mysql if database.type == "mysql" else _postgres
    with connect(database, password) as execute:
        return int(execute(f"SELECT COUNT(*) FROM {TABLE}")[0][0])  # noqa: S608


def warnings(database: Database) -> list[str]:
    """What works but is unwise."""
    if "-" in database.database:
        return [f"the database name {database.database} holds a '-', which Kuscia before 1.0 does not take"]
    return []


Execute = Callable[[str], list[Any]]


def _where(database: Database) -> str:
    return f"{database.type} {database.user}@{database.host}:{database.port}/{database.database}"


def _check_rights(execute: Execute, database: Database) -> None:
    for right, statement in _RIGHTS.items():
        try:
            execute(statement)
        except NotYet as error:
            raise NotYet(
                f"{error.message} (needed on table {TABLE}: {', '.join(_RIGHTS)}; missing: {right})"
            ) from error
    logger.info("%s: login works, table %s is there", _where(database), TABLE)


def _no_table(database: Database, right: str) -> str:
    return (
        f"{_where(database)} has no table {TABLE}, and user {database.user} may not make it: {right} is "
        "missing. Grant that right, or make the table with Kuscia's hack/k8s/kine.sql"
    )


@contextmanager
def _mysql(database: Database, password: str) -> Iterator[Execute]:
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
            ssl=_mysql_tls(database),
        )
    except (pymysql.MySQLError, OSError) as error:
        hint = _NO_DATABASE if error.args and error.args[0] in _NO_DATABASE_CODES else ""
        raise NotYet(f"{_where(database)}: {_text(error)}{hint}", _show(database)) from error

    def execute(statement: str) -> list[Any]:
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall())
        except pymysql.MySQLError as error:
            raise NotYet(f"{_where(database)}: {_text(error)}", _show(database)) from error

    try:
        yield execute
    finally:
        connection.close()


def _mysql_tls(database: Database) -> Any:
    """go-sql-driver's parameter `tls` as PyMySQL's argument."""
    import ssl

    tls = str(database.params.get("tls", "")).lower()
    if tls in ("", "false"):
        return None
    context = ssl.create_default_context()
    if tls in ("skip-verify", "preferred"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _mysql_version(execute: Execute) -> None:
    text = str(execute("SELECT VERSION()")[0][0])
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
    if match and "mariadb" not in text.lower() and tuple(map(int, match.groups())) < MYSQL_MINIMUM:
        logger.warning("MySQL is %s; Kuscia asks for %s or newer", text, ".".join(map(str, MYSQL_MINIMUM)))


def _mysql_may_create(execute: Execute, database: Database) -> None:
    """Copying a table that is not there: rights are looked at first, so nothing is ever made."""
    missing = f"{TABLE}_is_not_here"
    try:
        execute(f"CREATE TABLE {missing}_either LIKE {missing}")
    except NotYet as error:
        if "1142" in error.message or "1044" in error.message:
            raise NotYet(_no_table(database, "CREATE")) from error
        if "1146" not in error.message:
            raise
    logger.info("%s: login works, Kuscia makes table %s", _where(database), TABLE)


@contextmanager
def _postgres(database: Database, password: str) -> Iterator[Execute]:
    import pg8000.native  # type: ignore[import-untyped]
    from pg8000.exceptions import DatabaseError, InterfaceError  # type: ignore[import-untyped]

    try:
        connection = pg8000.native.Connection(
            database.user,
            host=database.host,
            port=database.port,
            database=database.database,
            password=password,
            timeout=TIMEOUT,
            ssl_context=_postgres_tls(database),
        )
    except (DatabaseError, InterfaceError, OSError) as error:
        raise NotYet(f"{_where(database)}: {_text(error)}", _show(database)) from error

    def execute(statement: str) -> list[Any]:
        try:
            return list(connection.run(statement) or [])
        except (DatabaseError, InterfaceError, OSError) as error:
            raise NotYet(f"{_where(database)}: {_text(error)}", _show(database)) from error

    try:
        yield execute
    finally:
        connection.close()


def _postgres_tls(database: Database) -> Any:
    """libpq's parameter `sslmode` as pg8000's argument."""
    import ssl

    mode = str(database.params.get("sslmode", "prefer"))
    if mode == "disable":
        return False
    if mode in ("verify-ca", "verify-full"):
        context = ssl.create_default_context()
        context.check_hostname = mode == "verify-full"
        return context
    if mode == "require":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    return None


def _text(error: Exception) -> str:
    if error.args and isinstance(error.args[0], dict):
        fields = error.args[0]
        return f"{fields.get('M', fields)} ({fields.get('C', '?')})"
    return " ".join(str(part) for part in error.args) or type(error).__name__


def _show(database: Database) -> str:
    if database.type == "mysql":
        return f"mysql -h {database.host} -P {database.port} -u {database.user} -p {database.database}"
    return f"psql -h {database.host} -p {database.port} -U {database.user} {database.database}"
