"""Which requests use a forward proxy."""

import pytest

from kuscia_hooks.core import log, proxies
from tests.hooks.failing import fails
from tests.hooks.fakes.dns import FakeDns

PROXY = "http://proxy.corp:3128"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("HTTP_PROXY", "http://plain.corp:3128")


def used(url: str) -> str | None:
    proxy = proxies.proxy_for(url)
    return proxy.url if proxy else None


def test_uses_no_proxy_by_default() -> None:
    assert used("https://files.example.com/x") is None
    assert proxies.via("https://files.example.com/x") == ""


def test_chooses_proxy_by_scheme(both: None) -> None:
    assert used("https://files.example.com/x") == PROXY
    assert used("http://files.example.com:8080/x") == "http://plain.corp:3128"
    assert proxies.via("https://files.example.com/x").endswith(f" {PROXY})")


def test_lower_case_variable_wins(both: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://other.corp:1")
    assert used("https://files.example.com/") == "http://other.corp:1"
    monkeypatch.setenv("https_proxy", "")
    assert used("https://files.example.com/") is None


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "127.8.8.8",
        "[::1]",
        "169.254.169.254",
        "minio",
        "minio.storage.svc",
        "minio.storage.svc.cluster.local",
        "minio.storage.svc.cluster.local.",
        "MINIO.storage.SVC.cluster.local",
    ],
)
def test_hosts_inside_the_cluster_are_direct(both: None, host: str) -> None:
    assert used(f"https://{host}:9000/x") is None


def test_cluster_domain_is_that_of_the_pod(both: None, dns: FakeDns) -> None:
    dns.search("lite-alice.svc.corp.internal", "svc.corp.internal", "corp.internal")
    assert used("https://minio.storage.svc.corp.internal/") is None
    assert used("https://minio.storage.svc.cluster.local/") == PROXY


@pytest.mark.parametrize(
    ("excluded", "url", "direct"),
    [
        ("*", "https://files.example.com/", True),
        ("files.example.com", "https://files.example.com/", True),
        ("example.com", "https://files.example.com/", True),
        (".example.com", "https://files.example.com/", True),
        ("*.example.com", "https://files.example.com/", True),
        ("Files.Example.COM.", "https://files.example.com/", True),
        ("ample.com", "https://files.example.com/", False),
        ("example.com", "https://example.com.evil.org/", False),
        ("a.org, example.com ,b.org", "https://files.example.com/", True),
        ("a.org example.com", "https://files.example.com/", True),
        ("", "https://files.example.com/", False),
        (",", "https://files.example.com/", False),
        (".", "https://files.example.com/", False),
        ("files.example.com:443", "https://files.example.com/", True),
        ("files.example.com:8443", "https://files.example.com/", False),
        ("files.example.com:8443", "https://files.example.com:8443/", True),
        ("10.0.0.0/8", "http://10.1.2.3:9000/", True),
        ("10.0.0.0/8", "http://11.1.2.3:9000/", False),
        ("10.1.2.3/8", "http://10.9.9.9/", True),
        ("10.1.2.3", "http://10.1.2.3:9000/", True),
        ("10.1.2.3:9000", "http://10.1.2.3:9000/", True),
        ("10.1.2.3:9001", "http://10.1.2.3:9000/", False),
        ("10.0.0.0/8", "http://10.example.com/", False),
        ("fd00::/8", "http://[fd00::1]:9000/", True),
        ("fd00::1", "http://[fd00::1]:9000/", True),
        ("[fd00::1]:9000", "http://[fd00::1]:9000/", True),
        ("[fd00::1]:9001", "http://[fd00::1]:9000/", False),
    ],
)
def test_no_proxy_excludes_hosts(
    both: None, monkeypatch: pytest.MonkeyPatch, excluded: str, url: str, direct: bool
) -> None:
    monkeypatch.setenv("NO_PROXY", excluded)
    assert (used(url) is None) is direct


def test_proxy_without_scheme_is_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.corp:3128")
    assert used("https://files.example.com/") == PROXY


def test_hides_the_credentials_of_a_proxy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hunt%40er2@proxy.corp:3128")
    proxy = proxies.proxy_for("https://files.example.com/")
    assert proxy is not None
    assert proxy.shown == PROXY
    assert "hunt" not in repr(proxy)
    log.logger.info("%s hunt@er2", proxy.url)
    assert "hunt" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "value", ["socks5://proxy.corp:1080", "http://", "http://proxy.corp:port", "http://proxy.corp:99999", "ftp://x:1"]
)
def test_rejects_a_proxy_that_is_not_http(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    with fails("invalid-proxy") as error:
        proxies.proxy_for("https://files.example.com/")
    assert "HTTPS_PROXY" in error.value.message
    assert value in error.value.message


def test_error_has_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://me:hunter2@proxy.corp:1080")
    with fails("invalid-proxy") as error:
        proxies.proxy_for("https://files.example.com/")
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("password", ["hunter／2", "hunter：2", "[hunter2"])
def test_invalid_url_is_an_error_without_credentials(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{password}@proxy.corp:3128")
    with fails("invalid-proxy") as error:
        proxies.proxy_for("https://files.example.com/")
    assert "hunter" not in str(error.value)
    assert error.value.__cause__ is None
