"""The datastore of a master: forms of `datastoreEndpoint` and the `kine` table (Kuscia facts 3)."""

from typing import Any
from urllib.parse import parse_qsl

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from kuscia_sim.state import database_tls

SHARED_DATASTORE = (
    "error building kubernetes client config from token, detail-> "
    "stat /home/kuscia/etc/kubeconfig: no such file or directory"
)
CONNECT_TIMEOUT = 5
_BOOLEANS = {
    "allowAllFiles",
    "allowNativePasswords",
    "clientFoundRows",
    "interpolateParams",
    "multiStatements",
    "parseTime",
}
_BOOLEAN_WORDS = ("1", "true", "TRUE", "True", "0", "false", "FALSE", "False")
_NAME = sa.String(630).with_variant(mysql.VARCHAR(630, charset="ascii"), "mysql")
_BLOB = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql")
_INT = sa.Integer()

kine = sa.Table(
    "kine",
    sa.MetaData(),
    sa.Column("id", _INT, primary_key=True, autoincrement=True),
    sa.Column("name", _NAME),
    sa.Column("created", _INT),
    sa.Column("deleted", _INT),
    sa.Column("create_revision", _INT),
    sa.Column("prev_revision", _INT),
    sa.Column("lease", _INT),
    sa.Column("value", _BLOB),
    sa.Column("old_value", _BLOB),
    sa.Index("kine_name_prev_revision_uindex", "name", "prev_revision", unique=True),
    sa.Index("kine_name_index", "name"),
    sa.Index("kine_name_id_index", "name", "id"),
    sa.Index("kine_id_deleted_index", "id", "deleted"),
    sa.Index("kine_prev_revision_index", "prev_revision"),
    sqlite_autoincrement=True,  # a revision must never be used twice
    mysql_engine="InnoDB",
    mysql_charset="utf8mb4",
)


class UnsupportedDriver(ValueError):
    """The scheme of datastoreEndpoint is not supported by Kuscia."""


def datastore_url(endpoint: str, sqlite_path: str) -> sa.URL:
    """Return the SQLAlchemy URL for a `datastoreEndpoint`; that of the file `sqlite_path` if it is empty.

    Raises:
        UnsupportedDriver: the scheme is not supported.
        ValueError: a MySQL DSN cannot be parsed.
    """
    if not endpoint:
        return sa.URL.create("sqlite", database=sqlite_path)
    scheme, _, rest = endpoint.partition("://")
    if scheme == "mysql":
        return _mysql_url(rest)
    if scheme in ("postgres", "postgresql"):
        return sa.make_url(f"postgresql+psycopg://{rest}")
    raise UnsupportedDriver(f"Driver Name is '{scheme}' Not supported")


def _mysql_url(dsn: str) -> sa.URL:
    """Convert a Go MySQL DSN, [user[:password]@][net[(address)]]/database[?params], as go-sql-driver's ParseDSN does.

    The last slash ends the address, the last @ before it the password, the first colon the user; only the values of
    parameters are URL-escaped.
    """
    head, slash, tail = dsn.rpartition("/")
    if dsn and not slash:
        raise ValueError("invalid DSN: missing the slash separating the database name")
    login, _, network = head.rpartition("@")
    user, _, password = login.partition(":")
    net, opened, address = network.partition("(")
    if opened and not address.endswith(")"):
        raise ValueError(
            "invalid DSN: did you forget to escape a param value?"
            if ")" in address
            else "invalid DSN: network address not terminated (missing closing brace)"
        )
    if net not in ("", "tcp"):
        raise ValueError(f"default addr for network '{net}' unknown")
    database, _, query = tail.partition("?")
    params = dict(parse_qsl(query))
    for name in _BOOLEANS & params.keys():
        if params[name] not in _BOOLEAN_WORDS:
            raise ValueError(f"invalid bool value: {params[name]}")
    host, _, port = (address.removesuffix(")") or "127.0.0.1:3306").rpartition(":")
    if not host:
        host, port = port, "3306"
    charset = params.get("charset", "utf8mb4").split(",")[0]
    options = {"charset": charset}
    if "tls" in params:
        database_tls.pymysql_arguments(params["tls"])
        options["tls"] = params["tls"]
    return sa.URL.create("mysql+pymysql", user or None, password, host, int(port), database, options)


def create_engine(url: sa.URL) -> sa.Engine:
    """Return an engine whose connections commit durably and reconnect after the server was unavailable."""
    args: dict[str, Any] = {} if url.drivername == "sqlite" else {"connect_timeout": CONNECT_TIMEOUT}
    if url.password and url.drivername.startswith("mysql"):
        # Bytes, as Go sends it; PyMySQL encodes a str as Latin-1.
        args["password"] = url.password.encode()
    if url.drivername.startswith("mysql"):
        args |= database_tls.pymysql_arguments(str(url.query.get("tls", "")))
        url = url.difference_update_query(["tls"])
    engine = sa.create_engine(url, pool_pre_ping=True, pool_size=1, max_overflow=0, connect_args=args)
    if url.drivername == "sqlite":
        sa.event.listen(engine, "connect", _configure_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=30000")


def ping(url: sa.URL) -> None:
    """Connect and send one query.

    Raises SQLAlchemy's error on failure.
    """
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
    finally:
        engine.dispose()
