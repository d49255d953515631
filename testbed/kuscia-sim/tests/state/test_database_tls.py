"""TLS to a MySQL server: what Go's driver does, against a server that greets and denies the login."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kuscia_sim.node.dns import Names, Resolver
from kuscia_sim.state import database_tls, datastore, datastore_check
from tests.hooks.fakes.certificates import Authority
from tests.hooks.fakes.databases import server


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def port(authority: Authority) -> Iterator[int]:
    with server("mysql", authority.server_context("127.0.0.1")) as port:
        yield port


async def failure(port: int, tls: str) -> str:
    """Return why Kuscia cannot use the server."""
    endpoint = f"mysql://kuscia:secret@tcp(127.0.0.1:{port})/kine?tls={tls}"
    with pytest.raises(datastore_check.DatastoreError) as error:
        await datastore_check.check(endpoint, "", Resolver(Names("alice", "127.0.0.1", frozenset), [], ""))
    return str(error.value)


async def test_verifies_with_the_cas_of_the_system(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    assert "x509: certificate signed by unknown authority" in await failure(port, "true")


async def test_trusts_the_directories_of_ssl_cert_dir(
    port: int, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    monkeypatch.setenv("SSL_CERT_DIR", f"/etc/ssl/certs:{tmp_path}")
    assert "Error 1045" in await failure(port, "true")


async def test_skips_verification(port: int) -> None:
    assert "Error 1045" in await failure(port, "skip-verify")


async def test_uses_no_tls_by_default() -> None:
    assert database_tls.pymysql_arguments("") == {"ssl_disabled": True}
    assert "tls" not in datastore.datastore_url("mysql://u:p@tcp(db:3306)/kine", "").query


def test_rejects_other_values() -> None:
    with pytest.raises(ValueError, match="unknown config name: custom"):
        datastore.datastore_url("mysql://u:p@tcp(db:3306)/kine?tls=custom", "")
