from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from kuscia_hooks import datastore
from kuscia_hooks.config import Database, SecretKey, Sqlite
from kuscia_hooks.errors import ConfigError, NotYet
from kuscia_hooks.log import logger


def database(kind: str = "mysql", **fields: Any) -> Database:
    given = {"host": "db", "port": 3306, "database": "kine", "user": "root", **fields}
    return Database.model_validate(
        {"type": kind, "passwordSecret": {"name": "p", "key": "password"}, **given}
    )


def go_parse(dsn: str) -> dict[str, Any]:
    """What go-sql-driver's ParseDSN reads: last '/', last '@' before it, first ':' before that."""
    rest, _, tail = dsn.rpartition("/")
    name, _, query = tail.partition("?")
    login, _, net = rest.rpartition("@")
    user, _, password = login.partition(":")
    protocol, _, address = net.partition("(")
    assert address.endswith(")")
    return {
        "user": user,
        "password": password,
        "net": protocol,
        "addr": address[:-1],
        "db": unquote(name),
        "params": dict(parse_qsl(query)),
    }


PASSWORDS = [
    "simple",
    "p@ss",
    "a@b@c",
    "a:b:c",
    "a/b/c",
    "a?b=c&d",
    "a#b",
    "a b",
    "100%",
    "%41",
    "tcp(evil:1)/x",
    ")(",
    "@/",
    "/@",
    "пароль",
    "密码🔑",
    '"quoted"',
    "back\\slash",
    "$HOME`id`",
    "{}",
    "'",
]


@pytest.mark.parametrize("password", PASSWORDS)
def test_mysql_address_carries_every_password(password: str) -> None:
    address = datastore.endpoint(
        database(params={"charset": "utf8mb4", "parseTime": True, "loc": "Asia/Shanghai"}), password
    )
    scheme, _, dsn = address.partition("://")
    assert scheme == "mysql"
    assert go_parse(dsn) == {
        "user": "root",
        "password": password,
        "net": "tcp",
        "addr": "db:3306",
        "db": "kine",
        "params": {"charset": "utf8mb4", "parseTime": "true", "loc": "Asia/Shanghai"},
    }


@pytest.mark.parametrize("password", PASSWORDS)
def test_postgres_address_carries_every_password(password: str) -> None:
    address = datastore.endpoint(
        database("postgres", port=5432, user="a@b", params={"sslmode": "disable"}), password
    )
    parts = urlsplit(address)
    assert (parts.scheme, parts.hostname, parts.port, parts.path, parts.query) == (
        "postgres",
        "db",
        5432,
        "/kine",
        "sslmode=disable",
    )
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == ("a@b", password)


def test_the_address_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    address = datastore.endpoint(database(), "hunter2")
    logger.info("starting with %s", address)
    assert "hunter2" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"secret\n", "ends with a newline"),
        (b"sec\tret", "control character"),
        (b"sec\x00ret", "control character"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_passwords_that_cannot_be_carried(raw: bytes, says: str) -> None:
    with pytest.raises(NotYet, match=says) as error:
        datastore.decode_password(raw, "Secret ns/p, key password")
    assert "Secret ns/p, key password" in str(error.value)


def test_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datastore.check_sqlite(Sqlite(type="sqlite", path=str(tmp_path)))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="not mounted"):
        datastore.check_sqlite(Sqlite(type="sqlite", path=str(tmp_path / "absent")))

    def refuse(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(datastore.tempfile, "TemporaryFile", refuse)
    with pytest.raises(NotYet, match="cannot be written to: Permission denied"):
        datastore.check_sqlite(Sqlite(type="sqlite", path=str(tmp_path)))


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


def check_mysql(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setattr(datastore, "_mysql", server.connect)
    datastore.check_database(database(), "secret")


def test_mysql_with_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    check_mysql(monkeypatch, server)
    writing = [s for s in server.statements if s.split()[0] in ("INSERT", "UPDATE", "DELETE")]
    assert len(writing) == 3
    assert all(statement.endswith("WHERE 1=0") for statement in writing)


@pytest.mark.parametrize("right", ["SELECT 1", "INSERT", "UPDATE", "DELETE"])
def test_mysql_missing_right(monkeypatch: pytest.MonkeyPatch, right: str) -> None:
    denied = NotYet(f"mysql: 1142 {right} command denied to user 'root'")
    with pytest.raises(NotYet, match=f"missing: {right.split()[0]}"):
        check_mysql(monkeypatch, Server(**{right: denied}))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (NotYet("1146 Table 'kine_is_not_here' doesn't exist"), ""),
        (NotYet("1142 CREATE command denied to user"), "may not make it: CREATE is missing"),
        (NotYet("2013 Lost connection"), "Lost connection"),
    ],
)
def test_mysql_without_a_table(monkeypatch: pytest.MonkeyPatch, answer: NotYet, says: str) -> None:
    server = Server(**{"SHOW TABLES": [], "CREATE TABLE": answer})
    if not says:
        check_mysql(monkeypatch, server)
        return
    with pytest.raises(NotYet, match=says):
        check_mysql(monkeypatch, server)


@pytest.mark.parametrize(
    ("version", "warns"),
    [
        ("8.0.20", True),
        ("5.7.44-log", True),
        ("8.0.23", False),
        ("8.4.2", False),
        ("10.11.6-MariaDB-0+deb12u1", False),
    ],
)
def test_mysql_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], version: str, warns: bool
) -> None:
    check_mysql(monkeypatch, Server(**{"SELECT VERSION()": [(version,)]}))
    assert ("Kuscia asks for 8.0.23" in capsys.readouterr().out) == warns


@pytest.mark.parametrize(
    ("table", "create", "says"),
    [("kine", False, ""), (None, True, ""), (None, False, "CREATE on the schema is missing")],
)
def test_postgres(monkeypatch: pytest.MonkeyPatch, table: str | None, create: bool, says: str) -> None:
    server = Server(**{"SELECT to_regclass": [(table,)], "SELECT has_schema_privilege": [(create,)]})
    monkeypatch.setattr(datastore, "_postgres", server.connect)
    if not says:
        datastore.check_database(database("postgres"), "secret")
        return
    with pytest.raises(NotYet, match=says):
        datastore.check_database(database("postgres"), "secret")


@pytest.mark.parametrize("kind", ["mysql", "postgres"])
def test_no_server(kind: str) -> None:
    with pytest.raises(NotYet, match=rf"{kind} root@127.0.0.1:9/kine") as error:
        datastore.check_database(database(kind, host="127.0.0.1", port=9), "hunter2")
    assert "hunter2" not in str(error.value)
    assert "127.0.0.1" in error.value.show


def test_dash_in_the_name_is_warned_about() -> None:
    assert "my-kine" in datastore.warnings(database(database="my-kine"))[0]
    assert datastore.warnings(database()) == []


def test_count_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datastore, "_mysql", Server(**{"SELECT COUNT(*)": [(42,)]}).connect)
    assert datastore.count_rows(database(), "secret") == 42


def test_secret_key_is_named() -> None:
    assert database().password_secret == SecretKey(name="p", key="password")


def test_mysql_password_is_sent_in_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyMySQL takes a text for Latin-1, and fails on what Latin-1 has not."""
    import pymysql

    seen: dict[str, Any] = {}

    def connect(**given: Any) -> None:
        seen.update(given)
        raise pymysql.OperationalError(1045, "Access denied")

    monkeypatch.setattr(pymysql, "connect", connect)
    with pytest.raises(NotYet, match="1045 Access denied"):
        datastore.check_database(database(), "пароль")
    assert seen["password"] == "пароль".encode()
    assert seen["connect_timeout"] == 5


@pytest.mark.parametrize("code", [1044, 1049])
def test_a_missing_database_is_explained(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """MySQL says 1049 to those who may know, and 1044 to all others."""
    import pymysql

    def connect(**_: Any) -> None:
        raise pymysql.OperationalError(code, "Access denied for user to database 'kine'")

    monkeypatch.setattr(pymysql, "connect", connect)
    with pytest.raises(NotYet, match="Make the database"):
        datastore.check_database(database(), "secret")
