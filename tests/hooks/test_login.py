"""The login to a Kubernetes API server, against a server with TLS on loopback."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from kuscia_hooks.cluster import login
from kuscia_hooks.cluster.client import Kube
from tests.hooks.failing import fails
from tests.hooks.fakes.api_server import ApiServer, encoded


@pytest.fixture
def server() -> ApiServer:
    return ApiServer()


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    return tmp_path / "kubeconfig"


def ask(content: dict[str, Any], path: Path) -> dict[str, str] | None:
    path.write_text(yaml.safe_dump(content))
    return Kube().configmap("ns", "c")


def test_logs_in_with_a_token(server: ApiServer, kubeconfig: Path) -> None:
    with server.serving() as port:
        assert ask(server.kubeconfig(port, user={"token": "t0ken"}), kubeconfig) == {"a": "b"}
    assert server.seen == [("Bearer t0ken", None)]


def test_logs_in_with_a_client_certificate(server: ApiServer, kubeconfig: Path) -> None:
    certificate, key = server.authority.certificate("admin")
    data = {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}
    with server.serving() as port:
        assert ask(server.kubeconfig(port, user=data), kubeconfig) == {"a": "b"}
    assert server.seen == [(None, "admin")]


def test_reads_files_next_to_the_kubeconfig(server: ApiServer, kubeconfig: Path) -> None:
    (kubeconfig.parent / "ca.crt").write_bytes(server.pem)
    (kubeconfig.parent / "token").write_text("t0ken\n")
    cluster = {"certificate-authority": "ca.crt", "certificate-authority-data": None}
    with server.serving() as port:
        assert ask(server.kubeconfig(port, cluster=cluster, user={"tokenFile": "token"}), kubeconfig) == {"a": "b"}
    assert server.seen == [("Bearer t0ken", None)]


def test_uses_the_service_account_of_the_pod(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kubelet replaces the token while the pod runs."""
    (tmp_path / "ca.crt").write_bytes(server.pem)
    (tmp_path / "token").write_text("one")
    monkeypatch.setattr(login, "SERVICE_ACCOUNT", tmp_path)
    with server.serving() as port:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(port))
        kube = Kube()
        kube.configmap("ns", "c")
        (tmp_path / "token").write_text("two")
        kube.configmap("ns", "c")
    assert [token for token, _ in server.seen] == ["Bearer one", "Bearer two"]


def test_reports_a_certificate_of_another_authority(server: ApiServer, kubeconfig: Path) -> None:
    other = {"certificate-authority-data": encoded(ApiServer().pem)}
    with server.serving() as port, fails("api-server-certificate-not-trusted"):
        ask(server.kubeconfig(port, cluster=other), kubeconfig)
    assert server.seen == []


def test_verifies_the_name_of_the_server(kubeconfig: Path) -> None:
    server = ApiServer("kubernetes.example.com")
    with server.serving() as port:
        with fails("api-server-certificate-not-trusted"):
            ask(server.kubeconfig(port), kubeconfig)
        named = server.kubeconfig(port, cluster={"tls-server-name": "kubernetes.example.com"})
        assert ask(named, kubeconfig) == {"a": "b"}


def test_reports_a_server_without_tls_as_unreachable(server: ApiServer, kubeconfig: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as plain:
        Thread(target=plain.handle_request, daemon=True).start()
        with fails("api-server-unreachable"):
            ask(server.kubeconfig(plain.server_port), kubeconfig)


def test_entries_of_the_first_file_win(kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, host in (("one", "https://one"), ("two", "https://two")):
        entry = {
            "current-context": name,
            "contexts": [{"name": name, "context": {"cluster": "c"}}],
            "clusters": [{"name": "c", "cluster": {"server": host}}],
        }
        (tmp_path / name).write_text(yaml.safe_dump(entry))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/absent:{tmp_path}/one:{tmp_path}/two")
    assert Kube().server == "https://one"


@pytest.mark.parametrize(
    "content",
    [
        "[",
        "hello",
        "{}",
        {"users": [{"name": "u", "user": {"exec": {"command": "aws"}}}]},
        {"users": []},
        {"clusters": [{"name": "c", "cluster": {"server": "hello"}}]},
        {"clusters": [{"name": "c", "cluster": {}}]},
        {"clusters": [{"name": "c", "cluster": {"server": "https://x", "certificate-authority": "absent"}}]},
        {"clusters": [{"name": "c", "cluster": {"server": "https://x", "certificate-authority-data": "aGVsbG8="}}]},
        {"current-context": "y"},
    ],
    ids=str,
)
def test_reports_an_unusable_kubeconfig(server: ApiServer, kubeconfig: Path, content: str | dict[str, Any]) -> None:
    text = content if isinstance(content, str) else yaml.safe_dump({**server.kubeconfig(1), **content})
    kubeconfig.write_text(text)
    with fails("invalid-cluster-login"):
        Kube()


def test_token_is_not_printed(server: ApiServer) -> None:
    found = login.login_of(server.kubeconfig(1, user={"token": "t0ken"}))
    assert found.token() == "t0ken"
    assert "t0ken" not in repr(found)
