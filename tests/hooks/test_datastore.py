import contextlib
import hashlib
import re
import socket
import socketserver
import sqlite3
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core import hosts
from kuscia_hooks.core.config.common import SecretKey
from kuscia_hooks.core.config.datastore import Database, Sqlite
from kuscia_hooks.core.errors import StepWarning
from kuscia_hooks.core.log import logger
from kuscia_hooks.kuscia import datastore
from tests.hooks.failing import fails
from tests.hooks.fakes.dns import FakeDns
from tests.hooks.recordings import DSN_ROWS


def database(kind: str = "mysql", **fields: Any) -> Database:
    given = {"host": "db", "port": 3306, "database": "kine", "user": "root", **fields}
    return Database.model_validate({"type": kind, "passwordSecret": {"name": "p", "key": "password"}, **given})


PASSWORDS = sorted({row["password"] for row in DSN_ROWS})


@pytest.mark.parametrize("row", DSN_ROWS, ids=lambda row: row["dsn"])
def test_mysql_driver_reads_what_was_given(row: dict[str, Any]) -> None:
    store = database(**{"host": "db.example.com", **row["given"]})
    assert datastore.endpoint(store, row["password"]) == f"mysql://{row['dsn']}"
    address = f"{store.host}:{store.port}"
    assert (row["user"], row["net"], row["addr"], row["db"]) == (store.user, "tcp", address, store.database)


@pytest.mark.parametrize("password", PASSWORDS)
def test_postgres_address_carries_every_password(password: str) -> None:
    address = datastore.endpoint(database("postgres", port=5432, user="a@b", params={"sslmode": "disable"}), password)
    parts = urlsplit(address)
    assert (parts.scheme, parts.hostname, parts.port, parts.path, parts.query) == (
        "postgres",
        "db",
        5432,
        "/kine",
        "sslmode=disable",
    )
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == ("a@b", password)


def test_masks_address_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    address = datastore.endpoint(database(), "hunter2")
    logger.info("starting with %s", address)
    assert "hunter2" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "raw",
    [b"hunter2\n", b"sec\tret", b"sec\x00ret", "sec\x85ret".encode()],
)
def test_rejects_password_that_an_address_cannot_contain(kube: Kube, raw: bytes) -> None:
    kube.create_secret("ns", "p", {"password": raw}, {})
    with fails("invalid-database-password") as error:
        datastore.read_password(database(), "ns", kube)
    assert error.value.retryable
    assert "ns/p" in error.value.message
    assert raw.decode().strip() not in str(error.value)


def test_rejects_password_that_is_not_text(kube: Kube) -> None:
    kube.create_secret("ns", "p", {"password": b"\xff\xfe"}, {})
    with fails("secret-not-text"):
        datastore.read_password(database(), "ns", kube)


def test_checks_that_the_volume_is_mounted_and_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datastore.check_sqlite(Sqlite(type="sqlite", path=str(tmp_path)))
    assert list(tmp_path.iterdir()) == []
    with fails("volume-not-mounted"):
        datastore.check_sqlite(Sqlite(type="sqlite", path=str(tmp_path / "absent")))

    def refuse(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(datastore.tempfile, "TemporaryFile", refuse)
    with fails("state-not-writable"):
        datastore.check_sqlite(Sqlite(type="sqlite", path=str(tmp_path)))


def test_reports_sqlite_state_that_is_not_writable(tmp_path: Path) -> None:
    """Root can write to every file, but not to a directory."""
    store = Sqlite(type="sqlite", path=str(tmp_path))
    state = tmp_path / "server/db/state.db"
    state.parent.mkdir(parents=True)
    state.write_bytes(b"state")
    datastore.check_sqlite(store)
    assert state.read_bytes() == b"state"

    state.unlink()
    state.mkdir()
    with fails("state-not-writable") as error:
        datastore.check_sqlite(store)
    assert str(state) in error.value.message


class Server:
    """Answers statements by their beginning; an exception is raised."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {"SELECT VERSION()": [("8.0.36",)], "SHOW TABLES": [("kine",)], **answers}
        self.statements: list[str] = []

    def execute(self, statement: str) -> list[Any]:
        self.statements.append(statement)
        for begin, answer in self.answers.items():
            if statement.startswith(begin):
                if isinstance(answer, Exception):
                    raise answer
                return answer
        return []

    @contextmanager
    def connect(self, *_: Any) -> Iterator[Any]:
        yield self.execute


def refused(code: int | str) -> datastore.ServerError:
    """An error of a server, as PyMySQL and pg8000 raise it."""
    error = Exception({"C": code, "M": "refused"}) if isinstance(code, str) else Exception(code, "refused")
    return datastore.ServerError(database(), error)


def check_mysql(monkeypatch: pytest.MonkeyPatch, server: Server) -> list[StepWarning]:
    monkeypatch.setattr(datastore, "connect_mysql", server.connect)
    return datastore.check_database(database(), "secret")


@pytest.mark.parametrize("there", [True, False])
def test_mysql_check_writes_nothing(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    server = Server(**({} if there else {"SHOW TABLES": []}))
    assert check_mysql(monkeypatch, server) == []
    writing = [s for s in server.statements if s.split()[0] in ("INSERT", "UPDATE", "DELETE")]
    assert len(writing) == 3
    assert all(statement.endswith("WHERE 1=0") for statement in writing)
    assert "INSERT INTO kine (name) SELECT 'x' FROM DUAL WHERE 1=0" in writing, "MySQL 5.7 takes no WHERE without FROM"
    assert any(statement.startswith("CREATE TABLE") for statement in server.statements) is not there


@pytest.mark.parametrize(
    ("answers", "error_id", "missing"),
    [
        ({"SELECT 1": refused(1142)}, "database-permission-denied", "SELECT"),
        ({"INSERT": refused(1142), "DELETE": refused(1143)}, "database-permission-denied", "INSERT, DELETE"),
        ({"UPDATE": refused(2013)}, "database-unreachable", "2013"),
        (
            {"SHOW TABLES": [], "INSERT": refused(1146), "CREATE TABLE": refused(1142), "CREATE INDEX": refused(1142)},
            "database-permission-denied",
            "CREATE, INDEX",
        ),
        ({"SHOW TABLES": [], "CREATE TABLE": refused(2013)}, "database-unreachable", "2013"),
    ],
)
def test_mysql_reports_missing_permissions(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any], error_id: str, missing: str
) -> None:
    with fails(error_id) as error:
        check_mysql(monkeypatch, Server(**answers))
    assert re.search(rf" {missing}( |$)", error.value.message)
    assert ("kine.sql" in error.value.fix) == (missing == "CREATE, INDEX")
    assert error.value.see.startswith("mysql -h db")


def test_mysql_without_a_table_has_all_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = dict.fromkeys(("SELECT 1", "INSERT", "UPDATE", "DELETE", "CREATE"), refused(1146))
    assert check_mysql(monkeypatch, Server(**{"SHOW TABLES": [], **missing})) == []


@pytest.mark.parametrize(
    ("version", "variables", "warned"),
    [
        ("8.0.20", {"optimizer_switch": "derived_merge=on"}, ["database-version", "database-setting"]),
        ("8.0.20", {"optimizer_switch": "derived_merge=off"}, ["database-version"]),
        ("5.7.44-log", {}, ["database-version"]),
        ("8.0.23", {"optimizer_switch": "derived_merge=on"}, []),
        ("8.4.2", {}, []),
        ("10.11.6-MariaDB-0+deb12u1", {}, []),
        ("5.5.5-10.11.6-MariaDB", {"innodb_snapshot_isolation": "OFF"}, []),
        ("10.3.39-MariaDB", {}, ["database-version"]),
        ("11.8.2-MariaDB-ubu2404", {"innodb_snapshot_isolation": "ON"}, ["database-setting"]),
        ("11.8.2-MariaDB-ubu2404", {"innodb_snapshot_isolation": "OFF"}, []),
        ("8.4.2", {"auto_increment_increment": "1"}, []),
        ("8.4.2", {"auto_increment_increment": "2"}, ["database-auto-increment"]),
        ("10.11.6-MariaDB-log", {"auto_increment_increment": "3"}, ["database-auto-increment"]),
        ("5.7.44", {"auto_increment_increment": "2"}, ["database-auto-increment", "database-version"]),
    ],
)
def test_warns_about_version_and_settings_of_mysql(
    monkeypatch: pytest.MonkeyPatch, version: str, variables: dict[str, str], warned: list[str]
) -> None:
    answers = {f"SHOW GLOBAL VARIABLES LIKE '{name}'": [(name, value)] for name, value in variables.items()}
    found = check_mysql(monkeypatch, Server(**{"SELECT VERSION()": [(version,)]}, **answers))
    assert [warning.id for warning in found] == warned
    assert all(warning.fix for warning in found)
    named = [version, *variables.values()]
    assert all(any(value in warning.message for value in named) for warning in found)


@pytest.mark.parametrize(("kind", "code"), [("mysql", 1146), ("postgres", "42P01")])
def test_database_has_state_once_kine_has_rows(monkeypatch: pytest.MonkeyPatch, kind: str, code: int | str) -> None:
    for answer, state in ((refused(code), False), ([(0,)], False), ([(7,)], True)):
        monkeypatch.setattr(datastore, f"connect_{kind}", Server(**{"SELECT COUNT": answer}).connect)
        assert datastore.has_state(database(kind), "secret") is state
    monkeypatch.setattr(datastore, f"connect_{kind}", Server(**{"SELECT COUNT": refused(2013)}).connect)
    with fails("database-unreachable"):
        datastore.has_state(database(kind), "secret")


def test_sqlite_has_state_once_its_file_exists(tmp_path: Path) -> None:
    store = Sqlite(type="sqlite", path=str(tmp_path))
    assert not datastore.has_state(store, None)
    (tmp_path / "server/db").mkdir(parents=True)
    (tmp_path / datastore.SQLITE_STATE).touch()
    assert datastore.has_state(store, None)


SEQUENCE = {"SELECT pg_get_serial_sequence": [("public.kine_id_seq",)]}


def check_postgres(
    monkeypatch: pytest.MonkeyPatch, table: str | None, create: bool, **answers: Any
) -> list[StepWarning]:
    known = {"SELECT to_regclass": [(table,)], "SELECT has_schema_privilege": [(create,)], **SEQUENCE}
    known |= {"SELECT has_sequence_privilege": [(True,)], "SELECT pg_has_role": [(True,)]}
    monkeypatch.setattr(datastore, "connect_postgres", Server(**known | answers).connect)
    return datastore.check_database(database("postgres"), "secret")


def test_postgres_accepts_sufficient_permissions(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_postgres(monkeypatch, None, True) == []
    assert check_postgres(monkeypatch, "kine", True) == []


@pytest.mark.parametrize(
    ("table", "answers", "error_id", "missing"),
    [
        (None, {}, "database-permission-denied", ": CREATE on the schema"),
        (
            "kine",
            {"UPDATE": refused("42501"), "SELECT has_sequence_privilege": [(False,)]},
            "database-permission-denied",
            ": UPDATE, USAGE on sequence public.kine_id_seq, CREATE on the schema",
        ),
        ("kine", {"DELETE": refused("57P01")}, "database-error", "(57P01)"),
    ],
)
def test_postgres_reports_missing_permissions(
    monkeypatch: pytest.MonkeyPatch, table: str | None, answers: dict[str, Any], error_id: str, missing: str
) -> None:
    with fails(error_id) as error:
        check_postgres(monkeypatch, table, False, **answers)
    assert error.value.message.endswith(missing)


@pytest.mark.parametrize(
    ("create", "owner", "missing"),
    [
        (False, True, ": CREATE on the schema"),
        (True, False, ': OWNER (ALTER TABLE kine OWNER TO "root")'),
    ],
)
def test_postgres_requires_owner_and_create(
    monkeypatch: pytest.MonkeyPatch, create: bool, owner: bool, missing: str
) -> None:
    """kine runs CREATE … IF NOT EXISTS at every start; the server checks permissions before existence."""
    with fails("database-permission-denied") as error:
        check_postgres(monkeypatch, "kine", create, **{"SELECT pg_has_role": [(owner,)]})
    assert error.value.message.endswith(missing)


@pytest.mark.parametrize("kind", ["mysql", "postgres"])
def test_reports_unreachable_server(kind: str) -> None:
    with fails("database-unreachable") as error:
        datastore.check_database(database(kind, host="127.0.0.1", port=9), "hunter2")
    assert f"{kind} root@127.0.0.1:9/kine" in error.value.message
    assert "hunter2" not in str(error.value)
    assert "127.0.0.1" in error.value.see


def test_warns_about_dash_in_database_name() -> None:
    (warning,) = datastore.warnings(database(database="my-kine"))
    assert warning.id == "database-name-unsupported"
    assert "my-kine" in warning.message
    assert datastore.warnings(database()) == []


TOKEN = "a-token"
OWN, OTHER, EMPTY = (f"/bootstrap/{hashlib.sha256(token.encode()).hexdigest()[:12]}" for token in (TOKEN, "other", ""))


@pytest.mark.parametrize("kind", ["mysql", "postgres"])
@pytest.mark.parametrize(
    ("rows", "token", "readable"),
    [
        ([], TOKEN, True),
        ([(OWN, 0)], TOKEN, True),
        ([(OTHER, 0)], TOKEN, False),
        ([(OTHER, 0), (OTHER, 1), (OWN, 0)], TOKEN, True),
        ([(OWN, 0), (OWN, 1), (OTHER, 0)], TOKEN, False),
        ([(OTHER, 0), (OTHER, 1)], TOKEN, True),
        # K3s re-encrypts it.
        ([(EMPTY, 0)], TOKEN, True),
        ([("/bootstrap/of-something-else", 0)], TOKEN, True),
        # K3s uses only a part of these.
        ([(OTHER, 0)], "K10::server:a-token", True),
        ([(OTHER, 0)], "abcdef.0123456789abcdef", True),
    ],
)
def test_reports_state_of_another_domain(
    monkeypatch: pytest.MonkeyPatch, kind: str, rows: list[tuple[str, int]], token: str, readable: bool
) -> None:
    """The clusterToken changed, or the database belongs to the master of a different domain."""
    answers = {
        "SELECT name, deleted": rows,
        "SELECT to_regclass": [("kine",)],
        "SELECT has_schema_privilege": [(True,)],
    }
    answers |= {"SELECT pg_get_serial_sequence": [(None,)], "SELECT pg_has_role": [(True,)]}
    monkeypatch.setattr(datastore, f"connect_{kind}", Server(**answers).connect)
    if readable:
        assert datastore.check_database(database(kind), "secret", token) == []
        return
    with fails("state-of-another-domain") as error:
        datastore.check_database(database(kind), "secret", token)
    assert "clusterToken" in error.value.fix
    assert error.value.see.endswith(" kine")
    assert token not in str(error.value)


@pytest.mark.parametrize(("kind", "code"), [("mysql", 1146), ("postgres", "42P01")])
def test_accepts_missing_state(monkeypatch: pytest.MonkeyPatch, kind: str, code: int | str) -> None:
    answers = {"SHOW TABLES": [], "SELECT to_regclass": [(None,)], "SELECT has_schema_privilege": [(True,)]}
    server = Server(**answers, **{"SELECT name, deleted": refused(code)})
    monkeypatch.setattr(datastore, f"connect_{kind}", server.connect)
    assert datastore.check_database(database(kind), "secret", TOKEN) == []


def test_cluster_token() -> None:
    """Without one it is the MD5 of the domain ID, in hex."""
    assert datastore.cluster_token({"domainID": "kuscia-system", "clusterToken": TOKEN}) == TOKEN
    assert datastore.cluster_token({"domainID": "alice"}) == "6384e2b2184bcbf58eccf10ca7a6563c"


@pytest.mark.parametrize("kind", ["mysql", "postgres"])
def test_counts_the_rows_of_kine(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    with closing(sqlite3.connect(":memory:")) as state:
        state.execute("CREATE TABLE kine (name TEXT)")
        state.executemany("INSERT INTO kine VALUES (?)", [("a",), ("b",), ("c",)])

        def connect(*_: Any) -> AbstractContextManager[Any]:
            return nullcontext(lambda statement: state.execute(statement).fetchall())

        monkeypatch.setattr(datastore, f"connect_{kind}", connect)
        assert datastore.count_rows(database(kind), "secret") == 3


def test_password_secret_has_name_and_key() -> None:
    assert database().password_secret == SecretKey(name="p", key="password")


def test_mysql_password_is_sent_in_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyMySQL encodes str as Latin-1, and fails for other characters."""
    import pymysql

    seen: dict[str, Any] = {}

    def connect(**given: Any) -> None:
        seen.update(given)
        raise pymysql.OperationalError(1045, "Access denied")

    monkeypatch.setattr(pymysql, "connect", connect)
    with fails("database-login"):
        datastore.check_database(database(), "пароль")
    assert seen["password"] == "пароль".encode()
    assert seen["connect_timeout"] == 5


@pytest.mark.parametrize(
    ("code", "error_id"),
    [(1044, "database-access-denied"), (1049, "database-not-found")],
)
def test_reports_missing_database(monkeypatch: pytest.MonkeyPatch, code: int, error_id: str) -> None:
    """MySQL returns 1049 to users who may see the database, and 1044 to all others."""
    import pymysql

    def connect(**_: Any) -> None:
        raise pymysql.OperationalError(code, "Access denied for user to database 'kine'")

    monkeypatch.setattr(pymysql, "connect", connect)
    with fails(error_id) as error:
        datastore.check_database(database(), "secret")
    assert "CREATE DATABASE `kine`" in error.value.fix


@pytest.mark.parametrize(
    ("code", "error_id"),
    [
        (1040, "too-many-connections"),
        ("53300", "too-many-connections"),
        ("28P01", "database-login"),
        ("28000", "database-login"),
        ("3D000", "database-not-found"),
        ("42501", "database-permission-denied"),
        (3159, "database-tls"),
        (2003, "database-unreachable"),
        ("57P03", "database-error"),
    ],
)
def test_error_id_follows_code_of_the_server(code: int | str, error_id: str) -> None:
    assert refused(code).id == error_id


def test_network_error_is_not_a_server_error() -> None:
    assert datastore.ServerError(database(), ConnectionRefusedError(111, "refused")).id == "database-unreachable"


def test_client_command_quotes_names() -> None:
    assert "-u 'a b'" in refused_as("a b").see


def refused_as(user: str) -> datastore.ServerError:
    return datastore.ServerError(database(user=user), Exception(1045, "denied"))


@pytest.mark.parametrize(
    ("tls", "wanted"),
    [
        (None, {"ssl_disabled": True}),
        (False, {"ssl_disabled": True}),
        ("false", {"ssl_disabled": True}),
        ("preferred", {}),
        ("skip-verify", {"ssl": (False, ssl.CERT_NONE)}),
        (True, {"ssl": (True, ssl.CERT_REQUIRED)}),
        ("true", {"ssl": (True, ssl.CERT_REQUIRED)}),
    ],
)
def test_mysql_tls_matches_driver_of_kuscia(
    monkeypatch: pytest.MonkeyPatch, tls: str | bool | None, wanted: dict[str, Any]
) -> None:
    """By default PyMySQL uses TLS if the server supports it, and go-sql-driver does not use TLS."""
    import pymysql

    seen: dict[str, Any] = {}

    def connect(**given: Any) -> None:
        seen.update(given)
        raise pymysql.OperationalError(3159, "Connections using insecure transport are prohibited")

    monkeypatch.setattr(pymysql, "connect", connect)
    with fails("database-tls"):
        datastore.check_database(database(params={} if tls is None else {"tls": tls}), "secret")
    given = {name: value for name, value in seen.items() if name.startswith("ssl")}
    if isinstance(given.get("ssl"), ssl.SSLContext):
        given["ssl"] = given["ssl"].check_hostname, given["ssl"].verify_mode
    assert given == wanted


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        (None, None),
        ("prefer", None),
        ("allow", None),
        ("disable", False),
        ("require", (False, ssl.CERT_NONE)),
        ("verify-ca", (False, ssl.CERT_REQUIRED)),
        ("verify-full", (True, ssl.CERT_REQUIRED)),
    ],
)
def test_postgres_tls(monkeypatch: pytest.MonkeyPatch, mode: str | None, wanted: Any) -> None:
    import pg8000.native

    seen: dict[str, Any] = {}

    def connect(_user: str, **given: Any) -> None:
        seen.update(given)
        raise pg8000.native.InterfaceError("Server refuses SSL")

    monkeypatch.setattr(pg8000.native, "Connection", connect)
    monkeypatch.setattr(hosts, "connect", lambda *_: socket.socket())
    with fails("database-tls"):
        datastore.check_database(database("postgres", params={"sslmode": mode} if mode else {}), "secret")
    given = seen["ssl_context"]
    if isinstance(given, ssl.SSLContext):
        given = given.check_hostname, given.verify_mode
    assert given == wanted


# PostgreSQL uses these unchanged, because SASLprep (RFC 4013) rejects them.
NO_SASLPREP = ["密码🔑", "a\u200eb", "a\ue000b", "אa"]


@contextmanager
def scram_server() -> Iterator[int]:
    """A PostgreSQL server that requests SCRAM and stops there; yields its port."""

    class Ask(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            (length,) = struct.unpack("!I", self.request.recv(4))
            self.request.recv(length - 4)
            asked = struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0"
            self.request.sendall(b"R" + struct.pack("!I", 4 + len(asked)) + asked)
            self.request.recv(1)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Ask) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("use", [datastore.check_database, datastore.count_rows])
@pytest.mark.parametrize("password", NO_SASLPREP)
def test_reports_password_that_the_driver_does_not_support(password: str, use: Any) -> None:
    """The message does not contain characters of the password."""
    with scram_server() as port:
        store = database("postgres", host="127.0.0.1", port=port, params={"sslmode": "disable"})
        with fails("database-password-unsupported") as error:
            use(store, password)
    assert not set(str(error.value)) & {character for character in password if not character.isascii()}


@pytest.mark.parametrize("password", NO_SASLPREP)
def test_mysql_driver_supports_every_password(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    import pymysql

    seen: list[bytes] = []

    def connect(**given: Any) -> None:
        seen.append(given["password"])
        raise pymysql.OperationalError(1045, "Access denied")

    monkeypatch.setattr(pymysql, "connect", connect)
    with fails("database-login"):
        datastore.check_database(database(), password)
    assert seen == [password.encode()]


@pytest.mark.parametrize("kind", ["mysql", "postgres"])
def test_resolves_the_absolute_name_only(dns: FakeDns, kind: str) -> None:
    """Kuscia has no search list (Kuscia facts 0.2)."""
    dns.zone["mysql.storage.svc.cluster.local."] = "127.0.0.1"
    dns.search("lite.svc.cluster.local", "svc.cluster.local")
    with fails("database-host-not-found") as error:
        datastore.check_database(database(kind, host="mysql.storage", port=9), "secret")
    assert error.value.retryable
    assert error.value.fix.endswith(" mysql.storage.svc.cluster.local")
    with fails("database-unreachable"):
        datastore.check_database(database(kind, host="mysql.storage.svc.cluster.local", port=9), "secret")


def test_asks_for_the_database_by_its_absolute_name(dns: FakeDns) -> None:
    dns.zone["db.example.com."] = "127.0.0.1"
    with scram_server() as port:
        store = database("postgres", host="db.example.com", port=port, params={"sslmode": "disable"})
        with fails("database-password-unsupported"):
            datastore.check_database(store, NO_SASLPREP[0])
    assert dns.asked == ["db.example.com."]


@contextmanager
def sending(greeting: bytes) -> Iterator[int]:
    """Serve something other than a database, which sends these bytes to each client; yields the port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(greeting)
            self.request.settimeout(1)
            with contextlib.suppress(OSError):
                while self.request.recv(4096):
                    pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


GREETING = b"\x0a8.0.36\x00\x08\x00\x00\x00abcdefgh\x00\xff\xf7\xff\x02\x00\xff\xdf\x15" + bytes(10)


@pytest.mark.parametrize(
    ("kind", "greeting"),
    [
        ("mysql", b"\x00" * 100),
        ("mysql", b"\x10\x00\x00\x00\x0a" + b"\xfb" * 60),
        ("mysql", b"\x05\x00\x00\x00\x0a5.7\x00"),
        ("mysql", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        ("postgres", b"\x00" * 100),
        ("postgres", b"N\xff\xff\xff\xff" * 20),
        ("postgres", len(GREETING).to_bytes(3, "little") + b"\x00" + GREETING),
        ("postgres", b"NR\x00\x00\x00\x08\x00\x00\x00\x00K\x00\x00\x00\x05\x00" + bytes(40)),
    ],
)
def test_reports_a_server_of_another_protocol(kind: str, greeting: bytes) -> None:
    with sending(greeting) as port, fails("database-unreachable") as error:
        datastore.count_rows(database(kind, host="127.0.0.1", port=port), "hunter2")
    assert f"127.0.0.1:{port}" in error.value.fix
    assert "hunter2" not in str(error.value)
