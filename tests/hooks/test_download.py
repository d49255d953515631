import hashlib
import resource
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.waiting import Deadline, bounded_by
from kuscia_hooks.tables import download
from kuscia_hooks.tables.download import Login
from tests.hooks.builders import secret_data
from tests.hooks.failing import fails
from tests.hooks.fakes.cluster import FakeCore
from tests.hooks.fakes.dripping import dripping

URL = "https://files.example.com/alice.csv"
# More than one block: an incomplete block is lost when the connection breaks.
BYTES = bytes(range(256)) * (12 << 10)


class Server:
    """A server of one file, with an ETag and ranges.

    Args:
        broken_after: bytes of the first response before the connection breaks.
    """

    def __init__(self, broken_after: int | None = None) -> None:
        self.content, self.etag, self.broken_after = BYTES, '"1"', broken_after
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        begin = 0
        if request.headers.get("If-Range") == self.etag:
            begin = int(request.headers["Range"].removeprefix("bytes=").rstrip("-"))
        size = len(self.content)
        headers = {"ETag": self.etag, "Content-Length": str(size - begin)}
        if begin >= size:
            return httpx.Response(416, headers={"Content-Range": f"bytes */{size}"})
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{size - 1}/{size}"
        broken, self.broken_after = self.broken_after, None

        def blocks():
            yield self.content[begin:broken]
            if broken is not None:
                raise httpx.RemoteProtocolError("peer closed connection")

        return httpx.Response(206 if begin else 200, headers=headers, content=blocks())


def fetch(
    server: Callable[[httpx.Request], httpx.Response], directory: Path, login: Login | None = None, **more
) -> Path:
    return download.fetch(URL, login or Login(), directory, transport=httpx.MockTransport(server), **more)


def test_downloads_file_and_forgets_it(tmp_path: Path) -> None:
    file = fetch(Server(), tmp_path / "d")
    assert file.read_bytes() == BYTES
    download.forget(file)
    assert not (tmp_path / "d").exists()


def test_resumes_interrupted_download(tmp_path: Path) -> None:
    server = Server(broken_after=(2 << 20) + 1000)
    with fails("download-interrupted"):
        fetch(server, tmp_path)
    assert fetch(server, tmp_path).read_bytes() == BYTES
    assert [request.headers.get("Range") for request in server.requests] == [None, f"bytes={2 << 20}-"]


def test_restarts_when_file_changed(tmp_path: Path) -> None:
    server = Server(broken_after=(2 << 20) + 1000)
    with pytest.raises(RetryableError):
        fetch(server, tmp_path)
    server.content, server.etag = BYTES[::-1], '"2"'
    assert fetch(server, tmp_path).read_bytes() == BYTES[::-1]


@pytest.mark.parametrize("at", ["TransferProgress", "Path.write_text", "Path.open"])
def test_kill_never_mixes_two_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """The part of the old version is deleted before the mark of the new one is written."""
    server = Server(broken_after=(2 << 20) + 1000)
    with pytest.raises(RetryableError):
        fetch(server, tmp_path)
    server.content, server.etag = BYTES[::-1], '"2"'

    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"kuscia_hooks.tables.download.{at}", kill)
        with pytest.raises(KeyboardInterrupt):
            fetch(server, tmp_path)
    assert fetch(server, tmp_path).read_bytes() == BYTES[::-1]


def test_does_not_download_complete_file_again(tmp_path: Path) -> None:
    server = Server()
    fetch(server, tmp_path)
    assert fetch(server, tmp_path).read_bytes() == BYTES
    assert server.requests[1].headers["Range"] == f"bytes={len(BYTES)}-"


def test_rejects_wrong_size_before_download(tmp_path: Path) -> None:
    with fails("table-size-mismatch") as caught:
        fetch(Server(), tmp_path, size=7)
    assert str(len(BYTES)) in caught.value.message
    assert not [path for path in tmp_path.iterdir() if path.stat().st_size]


@pytest.mark.parametrize("status", [200, 206])
def test_stops_at_the_first_byte_that_is_too_many(tmp_path: Path, status: int) -> None:
    """A server that does not say the length, or that adds to a part that was kept."""
    sent = 0

    def blocks():
        nonlocal sent
        while True:
            sent += 1 << 10
            yield bytes(1 << 10)

    def endless(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers={"Content-Range": "bytes 5-/*"}, content=blocks())

    if status == 206:
        begun = tmp_path / hashlib.sha256(URL.encode()).hexdigest()[:16]
        begun.write_bytes(b"begin")
        begun.with_suffix(".validator").write_text('"1"')
    with fails("table-size-mismatch"):
        fetch(endless, tmp_path, size=10)
    assert sent <= 2 << 10
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".validator"]


def test_downloads_exactly_the_expected_size(tmp_path: Path) -> None:
    def plain(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=iter([BYTES]))

    assert fetch(plain, tmp_path, size=len(BYTES)).read_bytes() == BYTES


@pytest.mark.parametrize(
    ("status", "error_id"),
    [
        (404, "download-rejected"),
        (401, "download-credentials-rejected"),
        (503, "download-unavailable"),
        (429, "download-unavailable"),
    ],
)
def test_maps_status_to_error(tmp_path: Path, status: int, error_id: str) -> None:
    with fails(error_id) as caught:
        fetch(lambda _: httpx.Response(status), tmp_path)
    assert URL in caught.value.message
    assert str(status) in caught.value.message


def test_rejected_credentials_are_named_but_not_shown(tmp_path: Path) -> None:
    login = Login(httpx.BasicAuth("me", "hunter2"), secret="Secret ns/files")
    with fails("download-credentials-rejected") as caught:
        fetch(lambda _: httpx.Response(403), tmp_path, login)
    assert "Secret ns/files" in caught.value.message
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("cause", "error_id"),
    [
        ("connection refused", "download-unreachable"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "download-wrong-scheme"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate", "download-certificate-not-trusted"),
    ],
)
def test_maps_connection_failure_to_error(tmp_path: Path, cause: str, error_id: str) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(cause)

    with fails(error_id):
        fetch(fail, tmp_path)


def test_reports_file_that_cannot_be_saved(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(BYTES) // 2, hard))
    try:
        with pytest.raises(RetryableError) as caught:
            fetch(Server(), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.id == "download-not-saved"


@pytest.mark.parametrize(
    ("values", "sent"),
    [
        ({"token": "hunter2"}, ("authorization", "Bearer hunter2")),
        ({"username": "me", "password": "hunter2"}, ("authorization", "Basic bWU6aHVudGVyMg==")),
        ({"query": "?sig=hunter2"}, ("query", "sig=hunter2")),
    ],
)
def test_sends_credentials(
    core: FakeCore, kube: Kube, tmp_path: Path, values: dict[str, str], sent: tuple[str, str]
) -> None:
    core.put("secrets", "ns", "files", data=secret_data(**values))
    server = Server()
    fetch(server, tmp_path, download.login(kube, "ns", "files"))
    where, text = sent
    (request,) = server.requests
    assert (request.url.query.decode() if where == "query" else request.headers[where]) == text


def test_reports_missing_or_incomplete_secret(core: FakeCore, kube: Kube) -> None:
    with fails("secret-not-found") as caught:
        download.login(kube, "ns", "files")
    core.put("secrets", "ns", "files", data=secret_data(username="me"))
    with fails("secret-key-missing") as caught:
        download.login(kube, "ns", "files")
    assert "username" in caught.value.message


@pytest.mark.parametrize("key", ["token", "username", "query"])
def test_reports_credentials_that_are_not_text(core: FakeCore, kube: Kube, key: str) -> None:
    core.put("secrets", "ns", "files", data=secret_data(**{"password": "x", key: b"\xff"}))
    with fails("secret-not-text") as caught:
        download.login(kube, "ns", "files")
    assert key in caught.value.message


def test_ignores_other_keys_of_secret(core: FakeCore, kube: Kube) -> None:
    core.put("secrets", "ns", "files", data=secret_data(token="hunter2", keystore=b"\xff"))
    assert download.login(kube, "ns", "files").headers == {"Authorization": "Bearer hunter2"}


def test_shown_url_has_no_credentials() -> None:
    assert download.shown(f"{URL}?sig=hunter2") == f"{URL}?…"
    assert download.shown("https://me:hunter2@x/a") == "https://x/a"


def test_deadline_bounds_a_server_that_never_answers(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server, bounded_by(Deadline(0.5)):
        begin = time.monotonic()
        with fails("download-unreachable"):
            download.fetch(f"http://127.0.0.1:{server.getsockname()[1]}/a.csv", Login(), tmp_path)
    assert time.monotonic() - begin < 5


def test_deadline_bounds_a_download_that_never_ends(tmp_path: Path) -> None:
    with dripping(b"x" * (1 << 20), pause=0.05) as url, bounded_by(Deadline(0.5)):
        begin = time.monotonic()
        with fails("download-interrupted"):
            download.fetch(f"{url}/a.csv", Login(), tmp_path)
    assert time.monotonic() - begin < 5


def test_deadline_bounds_a_download_of_a_few_bytes_at_a_time(tmp_path: Path) -> None:
    with dripping() as url, bounded_by(Deadline(0.5)):
        begin = time.monotonic()
        with fails("download-unreachable"):
            download.fetch(f"{url}/a.csv", Login(), tmp_path)
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("token", ["tök-secret", "tok\nsecret"])
def test_rejects_a_token_that_no_header_can_have(core: FakeCore, kube: Kube, token: str) -> None:
    core.put("secrets", "ns", "login", data=secret_data(token=token))
    with fails("secret-not-text") as error:
        download.login(kube, "ns", "login")
    assert "secret" not in error.value.message


def test_repeats_a_download_whose_mark_cannot_be_sent_back(tmp_path: Path) -> None:
    server = Server(broken_after=(2 << 20) + 1000)

    def answer(request: httpx.Request) -> httpx.Response:
        found = server(request)
        found.headers = httpx.Headers([*found.headers.raw, (b"ETag", '"\xe9"'.encode("latin-1"))])
        return found

    server.etag = ""
    with fails("download-interrupted"):
        fetch(answer, tmp_path)
    assert fetch(answer, tmp_path).read_bytes() == BYTES
