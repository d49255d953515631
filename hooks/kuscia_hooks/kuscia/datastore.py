"""The master's datastore: composing the address that Kuscia takes, and asking whether Kuscia will be able to
use it.
"""

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Database, Sqlite, param_text
from kuscia_hooks.core.errors import ConfigError, NotYet
from kuscia_hooks.core.log import hide, logger

TIMEOUT = 5
TABLE = "kine"
SQLITE_STATE = "server/db/state.db"
"""Where K3s keeps it below its directory (Kuscia facts 3)."""
# Rights are asked for without writing: no row fulfils the condition, and a server looks at rights before it
# looks for the table.
_RIGHTS = {
    "SELECT": f"SELECT 1 FROM {TABLE} WHERE 1=0",  # noqa: S608
    "INSERT": f"INSERT INTO {TABLE} (name) SELECT 'x' WHERE 1=0",
    "UPDATE": f"UPDATE {TABLE} SET name = 'x' WHERE 1=0",  # noqa: S608
    "DELETE": f"DELETE FROM {TABLE} WHERE 1=0",  # noqa: S608
}
# MySQL before 8.0 takes no WHERE without FROM; PostgreSQL has no DUAL.
_MYSQL_RIGHTS = _RIGHTS | {"INSERT": f"INSERT INTO {TABLE} (name) SELECT 'x' FROM DUAL WHERE 1=0"}  # noqa: S608
# To make the table, on top of the rights to use it. Neither makes anything: there is no such table.
_MYSQL_MAKE = {
    "CREATE": f"CREATE TABLE {TABLE}_is_not_here LIKE {TABLE}",
    "INDEX": f"CREATE INDEX {TABLE}_is_not_here ON {TABLE} (name)",
}
# NUL ends a command line's argument; YAML folds or drops others of these.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
MYSQL_MINIMUM = (8, 0, 23)
# The oldest that K3s, which keeps the state, names as tested.
MARIADB_MINIMUM = (10, 6, 8)
# K3s keeps its keys in one row, encrypted with its token and named after it (K3s' pkg/cluster/encrypt.go). With another
# token it refuses to start, and Kuscia says no more than that etc/kubeconfig is not there.
_BOOTSTRAP = re.compile(r"/bootstrap/([0-9a-f]{12})")
# Forms of a token of which K3s uses a part only, or nothing (K3s' pkg/clientaccess/token.go).
_PARSED_TOKEN = re.compile(r"K10.*|[a-z0-9]{6}\.[a-z0-9]{16}")
# Codes of the servers: access to the table denied, no such table.
_DENIED = ("1142", "1143", "1370", "42501")
_NO_TABLE = ("1146", "42P01")
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


class ServerError(NotYet):
    """The server was not reached, or refused. `code` is its error code, "" where it sent none."""

    def __init__(self, database: Database, error: Exception) -> None:
        self.code, text = _code_and_text(error)
        hint = _HINTS.get(self.code, "").format(database=database.database, user=database.user)
        super().__init__(f"{_where(database)}: {text}" + (f" ({hint})" if hint else ""), _show(database))


def read_password(database: Database, namespace: str, kube: Kube) -> str:
    """The password from its Secret, as Kuscia can take it.

    Raises:
        NotYet: it is missing, or no driver address can carry it; it heals when the Secret is corrected.
    """
    secret = database.password_secret
    where = f"Secret {namespace}/{secret.name}, key {secret.key}"
    password = kube.secret_text(namespace, secret.name, secret.key)
    if password.endswith("\n"):
        raise NotYet(
            f"the password in {where} ends with a newline; write it with --from-literal, or with printf into a file"
        )
    if _CONTROL.search(password):
        raise NotYet(f"the password in {where} holds a control character, which Kuscia's database address cannot carry")
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
        raise ConfigError(f"{path} is not there: the volume for the master's state is not mounted")
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise NotYet(f"{path}, the volume for the master's state, cannot be written to: {error.strerror}") from error
    state = path / SQLITE_STATE
    try:
        if state.exists():
            with state.open("ab"):
                pass
    except OSError as error:
        raise NotYet(f"{state}, the master's state, cannot be written to: {error.strerror}") from error


def check_database(database: Database, password: str, token: str | None = None) -> list[str]:
    """Whether Kuscia will be able to log in and to keep its state; returns what is unwise about the server.

    Args:
        token: with which K3s will open the state (`cluster_token`); None where that is not known.

    Raises:
        NotYet: it will not; the message says what is missing.
    """
    connect, check = (_mysql, _check_mysql) if database.type == "mysql" else (_postgres, _check_postgres)
    with connect(database, password) as execute:
        unwise = check(execute, database)
        if token is not None:
            _check_owner(execute, database, token)
    logger.info("%s: login works, and so will table %s", _where(database), TABLE)
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
        NotYet: no login, or no such table.
    """
    connect = _mysql if database.type == "mysql" else _postgres
    with connect(database, password) as execute:
        return int(execute(f"SELECT COUNT(*) FROM {TABLE}")[0][0])  # noqa: S608


def warnings(database: Database | Sqlite) -> list[str]:
    """What is unwise about the configuration."""
    if isinstance(database, Database) and "-" in database.database:
        return [f"the database name {database.database} holds a '-', which Kuscia before 1.0 does not take"]
    return []


Execute = Callable[[str], list[Any]]


def _where(database: Database) -> str:
    return f"{database.type} {database.user}@{database.host}:{database.port}/{database.database}"


def _missing(execute: Execute, statements: dict[str, str]) -> list[str]:
    """The rights whose statement the server denies."""
    missing = []
    for right, statement in statements.items():
        try:
            execute(statement)
        except ServerError as error:
            if error.code in _DENIED:
                missing.append(right)
            elif error.code not in _NO_TABLE:
                raise
    return missing


def _need(database: Database, missing: list[str], there: bool) -> None:
    if not missing:
        return
    needed = "on table" if there else "to make table"
    instead = ", or make it with Kuscia's hack/k8s/kine.sql" if database.type == "mysql" and not there else ""
    raise NotYet(
        f"{_where(database)}: login works, but user {database.user} lacks rights {needed} {TABLE}: "
        f"{', '.join(missing)}; grant them{instead}",
        _show(database),
    )


def _check_owner(execute: Execute, database: Database, token: str) -> None:
    """Raise NotYet when the state was made with another token: by another domain's master, or before it was changed."""
    if _PARSED_TOKEN.fullmatch(token):
        return
    try:
        rows = execute(f"SELECT name, deleted FROM {TABLE} WHERE name LIKE '/bootstrap/%' ORDER BY id")  # noqa: S608
    except ServerError as error:
        if error.code in _NO_TABLE:
            return
        raise
    # A name's last row counts; K3s itself takes over what was kept without a token.
    last = {str(name): not int(deleted) for name, deleted in rows}
    present = {match[1] for name, there in last.items() if there and (match := _BOOTSTRAP.fullmatch(name))}
    if present and not present & {_mark(token), _mark("")}:
        raise NotYet(
            f"{_where(database)}: table {TABLE} was made for another domainId or with another clusterToken and "
            "cannot be read. Every master needs a database of its own. Was this one its own before, give back the "
            "former domainId and clusterToken (a key of the kuscia.yaml in master.extraConfigSecret; without one it "
            "follows from domainId): neither can be changed later",
            _show(database),
        )


def _mark(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:12]


def _check_mysql(execute: Execute, database: Database) -> list[str]:
    # A user with no right at all to a table does not see it; then the rights to make it are missed.
    there = bool(execute(f"SHOW TABLES LIKE '{TABLE}'"))
    missing = _missing(execute, _MYSQL_RIGHTS)
    if not there:
        # Without SELECT nothing can be said about CREATE: the statement needs both.
        missing += _missing(execute, _MYSQL_MAKE)
    _need(database, missing, there)
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


def _check_postgres(execute: Execute, database: Database) -> list[str]:
    there = execute(f"SELECT to_regclass('{TABLE}')::text")[0][0] is not None
    may_create = bool(execute("SELECT has_schema_privilege(current_user, current_schema(), 'CREATE')")[0][0])
    if not there:
        _need(database, [] if may_create else ["CREATE on the schema"], there)
        return []
    missing = _missing(execute, _RIGHTS)
    sequence = execute(f"SELECT pg_get_serial_sequence('{TABLE}', 'id')")[0][0]
    if sequence and not execute(f"SELECT has_sequence_privilege(current_user, '{sequence}', 'USAGE')")[0][0]:
        missing.append(f"USAGE on sequence {sequence}")
    # kine asks for its table and indexes again at every start (CREATE … IF NOT EXISTS), which a server refuses to
    # those who could not make them.
    owner = execute(
        f"SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class WHERE oid = '{TABLE}'::regclass"  # noqa: S608
    )[0][0]
    if not owner:
        missing.append(f'OWNER (ALTER TABLE {TABLE} OWNER TO "{database.user}")')
    if not may_create:
        missing.append("CREATE on the schema")
    _need(database, missing, there)
    return []


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


@contextmanager
def _postgres(database: Database, password: str) -> Iterator[Execute]:
    import pg8000.native  # type: ignore[import-untyped]
    from pg8000.exceptions import DatabaseError, InterfaceError  # type: ignore[import-untyped]
    from scramp import ScramException  # type: ignore[import-untyped]

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
    except ScramException as error:
        if _takes(password):
            raise ServerError(database, error) from error
        # Which characters these are is not said: they are part of a secret.
        raise NotYet(
            f"{_where(database)}: the password cannot be checked here ({error}): this driver refuses emoji and other "
            "characters newer than Unicode 3.2, those of private use, invisible ones, and letters of both writing "
            "directions in one password. Set another for the user, and in the Secret",
            _show(database),
        ) from error
    except (DatabaseError, InterfaceError, OSError) as error:
        raise ServerError(database, error) from error

    def execute(statement: str) -> list[Any]:
        try:
            return list(connection.run(statement) or [])
        except (DatabaseError, InterfaceError, OSError) as error:
            raise ServerError(database, error) from error

    try:
        yield execute
    finally:
        connection.close()


def _takes(password: str) -> bool:
    """Whether the driver of PostgreSQL can use it (RFC 4013)."""
    from scramp.utils import ScramException, saslprep  # type: ignore[import-untyped]

    try:
        saslprep(password)
    except ScramException:
        return False
    return True


def _postgres_tls(database: Database) -> Any:
    """`sslmode` as pg8000's argument.

    kine takes it as libpq does: since 0.10 it has pgx, whose default is `prefer`, TLS where the server can, with
    whatever certificate. (Before, it had lib/pq, which insists on TLS when nothing is said.) `allow` is tried in the
    other order there, and comes to the same with a server that takes both.
    """
    import ssl

    mode = database.tls or "prefer"
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


def _code_and_text(error: Exception) -> tuple[str, str]:
    """Of a driver's error: PyMySQL's (code, text), pg8000's fields of the server's message, or a network's."""
    if error.args and isinstance(error.args[0], dict):
        fields = error.args[0]
        code = str(fields.get("C", ""))
        return code, f"{fields.get('M', fields)} ({code})"
    text = " ".join(str(part) for part in error.args) or type(error).__name__
    return (str(error.args[0]) if len(error.args) > 1 else ""), text


def _show(database: Database) -> str:
    if database.type == "mysql":
        return f"mysql -h {database.host} -P {database.port} -u {database.user} -p {database.database}"
    return f"psql -h {database.host} -p {database.port} -U {database.user} {database.database}"
