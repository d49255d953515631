"""The CAs that the steps trust for servers outside the release."""

import ssl
import tempfile
from pathlib import Path

import certifi
import pytest

from kuscia_hooks.core import tls, trust
from tests.hooks.failing import fails
from tests.hooks.fakes.certificates import Authority


def given(monkeypatch: pytest.MonkeyPatch, path: Path, content: bytes) -> Path:
    """Make a file with this content the CA bundle."""
    path.write_bytes(content)
    monkeypatch.setenv(trust.CA_BUNDLE, str(path))
    return path


def public() -> int:
    """Return the number of public CAs."""
    return Path(certifi.where()).read_text(encoding="utf-8").count("-----BEGIN CERTIFICATE-----")


def test_trusts_public_cas_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(trust.CA_BUNDLE, raising=False)
    assert trust.bundle() == ""
    settings = trust.context()
    assert settings.cert_store_stats()["x509"] == public() > 50
    assert settings.check_hostname
    assert settings.verify_mode == ssl.CERT_REQUIRED


def test_trusts_the_bundle_in_addition(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given(monkeypatch, tmp_path / "ca.crt", Authority().pem + Authority().pem)
    assert trust.context().cert_store_stats()["x509"] == public() + 2
    assert Path(trust.file()).read_text().count("BEGIN CERTIFICATE") == public() + 2


def test_reads_the_bundle_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = given(monkeypatch, tmp_path / "ca.crt", Authority().pem)
    before, new = trust.file(), Authority().pem
    path.write_bytes(new)
    assert trust.bundle().encode() == new
    assert trust.file() != before


def test_leaves_no_file_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given(monkeypatch, tmp_path / "ca.crt", Authority().pem)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert trust.file() == trust.file()
    assert [path.name for path in tmp_path.iterdir()] == ["ca.crt"]


def test_accepts_comments_and_windows_line_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Bundles of companies name each CA, in any encoding."""
    pem = Authority().pem.replace(b"\n", b"\r\n")
    given(monkeypatch, tmp_path / "ca.crt", "# 公司根证书\n".encode("gbk") + pem + "# Zürich\n".encode())
    assert trust.context().cert_store_stats()["x509"] == public() + 1


def test_gateway_bundle_accepts_comments() -> None:
    assert tls.trusting("# 公司根证书\n" + Authority().pem.decode()).cert_store_stats()["x509"] == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"secret", b"\x30\x82\x00", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
)
def test_rejects_a_bundle_without_certificate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes) -> None:
    path = given(monkeypatch, tmp_path / "ca.crt", content)
    with fails("invalid-ca-bundle") as error:
        trust.bundle()
    assert str(path) in error.value.message
    assert "secret" not in str(error.value).replace("Secret", "")


def test_rejects_a_private_key_as_bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given(monkeypatch, tmp_path / "ca.crt", Authority().certificate("x")[1])
    with fails("invalid-ca-bundle"):
        trust.bundle()


def test_reports_a_missing_bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "site-ca" / "ca.crt"
    monkeypatch.setenv(trust.CA_BUNDLE, str(path))
    with fails("ca-bundle-not-found") as error:
        trust.context()
    assert str(path) in error.value.message


def test_reports_an_expired_bundle_only_if_no_ca_is_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = Authority(age=3).pem
    given(monkeypatch, tmp_path / "ca.crt", old + Authority().pem)
    trust.bundle()
    given(monkeypatch, tmp_path / "ca.crt", old)
    with fails("ca-bundle-expired"):
        trust.bundle()
