"""Private CAs and forward proxies over real sockets: what uses them, and what must not."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kuscia_hooks.cluster import login
from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core import trust
from kuscia_hooks.kuscia import domain_key, gateway
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.tables import download
from kuscia_hooks.tables.download import Login
from kuscia_hooks.tables.s3 import Location, Store
from kuscia_hooks.tables.source import Content
from testbed.servers import s3
from tests.hooks.failing import fails
from tests.hooks.fakes.api_server import ApiServer
from tests.hooks.fakes.certificates import Authority
from tests.hooks.fakes.forward_proxy import ForwardProxy
from tests.hooks.fakes.kuscia import Kuscia, serve

# No DNS knows these names: only the proxy reaches them.
FILES, STORE = "files.example.com", "s3.example.com"
PASSWORD = "hunter2-proxy"


@contextmanager
def serving(answer: Callable[[str], tuple[int, dict[str, str]]], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Run a web server on loopback and yield its port.

    Args:
        answer: returns status and headers for a path; the body is `id1`.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers = answer(self.path)
            self.send_response(status)
            for name, value in {"Content-Length": "4", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"id1\n")

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_port
        server.shutdown()


def found(_: str) -> tuple[int, dict[str, str]]:
    return 200, {}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy", "SSL_CERT_FILE",
        "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", trust.CA_BUNDLE,
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The CA bundle has the authority of the tests."""
    path = tmp_path / "ca.crt"
    path.write_bytes(authority.pem)
    monkeypatch.setenv(trust.CA_BUNDLE, str(path))


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[ForwardProxy]:
    """A proxy that the variables of the environment name, in both forms."""
    made = ForwardProxy()
    with made.serving() as url:
        for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, url)
        yield made


def fetched(url: str, directory: Path) -> bytes:
    return download.fetch(url, Login(), directory / "downloads").read_bytes()


def store(endpoint: str) -> Store:
    return Store(Location(endpoint, "bkt", "", "alice", "alice-pw", credentials="Secret ns/oss"))


def upload(endpoint: str) -> None:
    one = store(endpoint)
    one.ensure_bucket(create=True)
    one.upload("alice.csv", Content(b"id1\n"))
    assert one.size("alice.csv") == 4


@pytest.fixture
def https_store(authority: Authority, tmp_path: Path) -> Iterator[str]:
    """The URL of an object store with a certificate for STORE and 127.0.0.1."""
    (tmp_path / "s3").mkdir()
    users = {"alice": "alice-pw"}
    with s3.on_loopback(tmp_path / "s3", users, authority.certificate("s3", "127.0.0.1")) as url:
        yield url


def test_download_trusts_the_bundle(authority: Authority, trusted: None, tmp_path: Path) -> None:
    with serving(found, authority.server_context("127.0.0.1")) as port:
        assert fetched(f"https://127.0.0.1:{port}/alice.csv", tmp_path) == b"id1\n"


def test_download_reports_unknown_ca(authority: Authority, tmp_path: Path) -> None:
    with serving(found, authority.server_context("127.0.0.1")) as port, fails("download-certificate-not-trusted") as it:
        fetched(f"https://127.0.0.1:{port}/alice.csv", tmp_path)
    assert "global.kuscia.caBundle" in it.value.fix


def test_download_verifies_the_name(authority: Authority, trusted: None, tmp_path: Path) -> None:
    with serving(found, authority.server_context(FILES)) as port, fails("download-certificate-not-trusted") as it:
        fetched(f"https://127.0.0.1:{port}/alice.csv", tmp_path)
    assert "global.kuscia.caBundle" not in it.value.fix


@pytest.mark.parametrize("age", [3, -5])
def test_fix_of_a_certificate_that_is_not_valid_now_is_not_its_ca(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, age: int
) -> None:
    """It has expired, or the clock of its server is ahead."""
    authority = Authority(age)
    (tmp_path / "ca.crt").write_bytes(authority.pem + Authority(name="another CA").pem)
    monkeypatch.setenv(trust.CA_BUNDLE, str(tmp_path / "ca.crt"))
    context = authority.server_context("127.0.0.1")
    with serving(found, context) as port, fails("download-certificate-not-trusted") as download_error:
        fetched(f"https://127.0.0.1:{port}/alice.csv", tmp_path)
    with serving(found, context) as port, fails("s3-certificate-not-trusted") as store_error:
        upload(f"https://127.0.0.1:{port}")
    for error in (download_error, store_error):
        assert "clock" in error.value.fix
        assert "global.kuscia.caBundle" not in error.value.fix


def test_download_reports_a_missing_bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(trust.CA_BUNDLE, str(tmp_path / "absent"))
    with serving(found) as port, fails("ca-bundle-not-found"):
        fetched(f"http://127.0.0.1:{port}/alice.csv", tmp_path)


def test_store_trusts_the_bundle(https_store: str, trusted: None) -> None:
    upload(https_store)


def test_store_reports_unknown_ca(https_store: str) -> None:
    with fails("s3-certificate-not-trusted") as it:
        upload(https_store)
    assert "global.kuscia.caBundle" in it.value.fix


def test_download_tunnels_https_through_the_proxy(
    proxy: ForwardProxy, authority: Authority, trusted: None, tmp_path: Path
) -> None:
    with serving(found, authority.server_context(FILES)) as port:
        assert fetched(f"https://{FILES}:{port}/alice.csv", tmp_path) == b"id1\n"
    assert proxy.requests == [f"CONNECT {FILES}:{port}"]


def test_download_sends_http_to_the_proxy(proxy: ForwardProxy, tmp_path: Path) -> None:
    with serving(found) as port:
        assert fetched(f"http://{FILES}:{port}/alice.csv", tmp_path) == b"id1\n"
    assert proxy.requests == [f"GET http://{FILES}:{port}/alice.csv"]


def test_each_redirect_chooses_its_own_way(proxy: ForwardProxy, tmp_path: Path) -> None:
    """From outside to a server inside the cluster, which the proxy could not reach."""
    with serving(found) as inside:
        target = {"Location": f"http://127.0.0.1:{inside}/alice.csv"}
        with serving(lambda _: (302, target)) as port:
            assert fetched(f"http://{FILES}:{port}/alice.csv", tmp_path) == b"id1\n"
    assert proxy.hosts == {FILES}


def test_download_honors_no_proxy(proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NO_PROXY", "example.com")
    with fails("download-unreachable") as it:
        fetched(f"https://{FILES}/alice.csv", tmp_path)
    assert proxy.requests == []
    assert "127.0.0.1" not in it.value.message


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_with_credentials(
    proxy: ForwardProxy,
    authority: Authority,
    trusted: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    scheme: str,
) -> None:
    proxy.login = f"me@corp:{PASSWORD}"
    context = authority.server_context(FILES) if scheme == "https" else None
    with proxy.serving() as url, serving(found, context) as port:
        target = f"{scheme}://{FILES}:{port}/alice.csv"
        monkeypatch.setenv(f"{scheme}_proxy", url)
        with fails("forward-proxy-rejected") as it:
            fetched(target, tmp_path)
        assert url in it.value.message
        monkeypatch.setenv(f"{scheme}_proxy", url.replace("://", f"://me%40corp:{PASSWORD}@"))
        assert fetched(target, tmp_path) == b"id1\n"
        monkeypatch.setenv(f"{scheme}_proxy", url.replace("://", "://me:wrong-secret@"))
        with fails("forward-proxy-rejected") as it:
            fetched(target, tmp_path)
        assert url in it.value.message
        assert "wrong-secret" not in str(it.value)


@pytest.mark.parametrize(("status", "error_id"), [(403, "forward-proxy-rejected"), (503, "download-unreachable")])
def test_error_of_a_tunnel_names_the_proxy(proxy: ForwardProxy, tmp_path: Path, status: int, error_id: str) -> None:
    proxy.status = status
    with fails(error_id) as it:
        fetched(f"https://{FILES}/alice.csv", tmp_path)
    assert str(status) in it.value.message
    assert "through proxy http://127.0.0.1:" in it.value.message


def test_error_names_a_proxy_that_is_down(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{PASSWORD}@127.0.0.1:1")
    with fails("download-unreachable") as it:
        fetched(f"https://{FILES}/alice.csv", tmp_path)
    assert "http://127.0.0.1:1" in it.value.message
    assert PASSWORD not in str(it.value)


def test_store_tunnels_https_through_the_proxy(
    proxy: ForwardProxy, authority: Authority, trusted: None, tmp_path: Path
) -> None:
    (tmp_path / "s3").mkdir()
    with s3.on_loopback(tmp_path / "s3", {"alice": "alice-pw"}, authority.certificate("s3", STORE)) as url:
        upload(url.replace("127.0.0.1", STORE))
    assert proxy.hosts == {STORE}
    assert all(request.startswith("CONNECT ") for request in proxy.requests)


def test_store_sends_http_to_the_proxy(proxy: ForwardProxy, tmp_path: Path) -> None:
    (tmp_path / "s3").mkdir()
    with s3.on_loopback(tmp_path / "s3", {"alice": "alice-pw"}) as url:
        upload(url.replace("127.0.0.1", STORE))
    assert proxy.hosts == {STORE}


@pytest.mark.parametrize("excluded", ["", "10.0.0.0/8", STORE])
def test_store_inside_the_cluster_is_direct(
    https_store: str, proxy: ForwardProxy, trusted: None, monkeypatch: pytest.MonkeyPatch, excluded: str
) -> None:
    monkeypatch.setenv("NO_PROXY", excluded)
    upload(https_store)
    assert proxy.requests == []


def test_store_honors_no_proxy_for_the_host_of_the_bucket(proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", f"bkt.{STORE}")
    location = Location(f"http://{STORE}", "bkt", "", "alice", "alice-pw", virtualhost=True)
    with fails("s3-host-not-found"):
        Store(location).bucket_exists()
    assert proxy.requests == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_store_reports_a_proxy_that_rejects_it(
    proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    proxy.login = f"me:{PASSWORD}"
    with proxy.serving() as url:
        monkeypatch.setenv(f"{scheme}_proxy", url.replace("://", "://me:wrong-secret@"))
        with fails("forward-proxy-rejected") as it:
            store(f"{scheme}://{STORE}").bucket_exists()
    assert url in it.value.message
    assert "wrong-secret" not in str(it.value)


def test_store_error_names_a_proxy_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{PASSWORD}@127.0.0.1:1")
    with fails("s3-unreachable") as it:
        store(f"https://{STORE}").bucket_exists()
    assert "http://127.0.0.1:1" in it.value.message
    assert PASSWORD not in str(it.value)


def test_api_server_is_never_reached_through_the_proxy(proxy: ForwardProxy) -> None:
    """Even under a name outside the cluster that NO_PROXY does not have."""
    server = ApiServer("api.example.com")
    with server.serving() as port:
        config = server.kubeconfig(
            port, cluster={"server": f"https://127.0.0.1:{port}", "tls-server-name": "api.example.com"}
        )
        assert Kube(login=login.login_of(config)).configmap("ns", "x") == {"a": "b"}
        config = server.kubeconfig(port, cluster={"server": f"https://api.example.com:{port}"})
        with fails("api-server-unreachable"):
            Kube(login=login.login_of(config)).configmap("ns", "x")
    assert proxy.requests == []


def test_api_server_must_have_the_ca_of_its_login(authority: Authority, trusted: None) -> None:
    server = ApiServer()
    server.context = authority.server_context("127.0.0.1")
    with server.serving() as port, fails("api-server-certificate-not-trusted"):
        Kube(login=login.login_of(server.kubeconfig(port))).configmap("ns", "x")


def test_kusciaapi_is_never_reached_through_the_proxy(proxy: ForwardProxy, kuscia: Kuscia, key_pem: bytes) -> None:
    key = domain_key.load_key(key_pem)
    with serve(kuscia) as endpoint, KusciaAPI(endpoint, "NOTLS", "kuscia-system", key) as api:
        assert api.find("domain/query", {"domain_id": "alice"}) is None
    assert proxy.requests == []


def test_kusciaapi_must_have_the_ca_of_the_domain(authority: Authority, trusted: None, key_pem: bytes) -> None:
    key = domain_key.load_key(key_pem)
    with (
        serving(found, authority.server_context("kusciaapi")) as port,
        KusciaAPI(f"https://127.0.0.1:{port}", "TLS", "kuscia-system", key) as api,
        fails("kusciaapi-certificate-mismatch"),
    ):
        api.find("domain/query", {"domain_id": "alice"})


def test_gateway_is_never_reached_through_the_proxy(proxy: ForwardProxy) -> None:
    with fails("host-not-found"):
        gateway.probe("http://kuscia.example.com:1080")
    assert proxy.requests == []
