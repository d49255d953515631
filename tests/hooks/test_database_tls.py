"""TLS to the database server, up to its answer to the login: the CAs that are trusted."""

from pathlib import Path

import pytest

from kuscia_hooks.core import trust
from kuscia_hooks.core.config.datastore import Database
from kuscia_hooks.kuscia import datastore
from tests.hooks.failing import fails
from tests.hooks.fakes.certificates import Authority
from tests.hooks.fakes.databases import server

VERIFYING = {"mysql": {"tls": True}, "postgres": {"sslmode": "verify-full"}}
UNVERIFIED = {"mysql": {"tls": "skip-verify"}, "postgres": {"sslmode": "require"}}


def database(kind: str, port: int, params: dict[str, str | bool]) -> Database:
    fields = {"host": "127.0.0.1", "port": port, "database": "kine", "user": "kuscia", "params": params}
    return Database.model_validate({"type": kind, "passwordSecret": {"name": "p", "key": "password"}, **fields})


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture(params=["mysql", "postgres"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv(trust.CA_BUNDLE, raising=False)
    return str(request.param)


def trust_also(authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    monkeypatch.setenv(trust.CA_BUNDLE, str(tmp_path / "ca.crt"))


def test_trusts_the_bundle(kind: str, authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A denied login shows that the step sent one: TLS was complete."""
    trust_also(authority, monkeypatch, tmp_path)
    with server(kind, authority.server_context("127.0.0.1")) as port, fails("database-login"):
        datastore.check_database(database(kind, port, VERIFYING[kind]), "secret")


def test_reports_unknown_ca(kind: str, authority: Authority) -> None:
    with (
        server(kind, authority.server_context("127.0.0.1")) as port,
        fails("database-certificate-not-trusted") as error,
    ):
        datastore.check_database(database(kind, port, VERIFYING[kind]), "secret")
    assert error.value.retryable
    assert "global.kuscia.caBundle" in error.value.fix


def test_verifies_the_host(kind: str, authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trust_also(authority, monkeypatch, tmp_path)
    with (
        server(kind, authority.server_context("db.example.com")) as port,
        fails("database-certificate-not-trusted") as error,
    ):
        datastore.check_database(database(kind, port, VERIFYING[kind]), "secret")
    assert "global.kuscia.caBundle" not in error.value.fix


def test_verifies_nothing_if_the_params_say_so(kind: str, authority: Authority) -> None:
    with server(kind, authority.server_context("db.example.com")) as port, fails("database-login"):
        datastore.check_database(database(kind, port, UNVERIFIED[kind]), "secret")
