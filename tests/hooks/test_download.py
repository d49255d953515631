from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.tables import download
from kuscia_hooks.tables.download import Login
from tests.hooks.conftest import secret_data
from tests.hooks.fakes import FakeCore

URL = "https://files.example.com/alice.csv"
# More than a block, since what was received of the last one is lost.
BYTES = bytes(range(256)) * (12 << 10)


class Server:
    """A file with an ETag, for which ranges may be asked.

    Args:
        broken_after: bytes of the first answer, before the connection breaks.
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


def test_once(tmp_path: Path) -> None:
    file = fetch(Server(), tmp_path / "d")
    assert file.read_bytes() == BYTES
    download.forget(file)
    assert not (tmp_path / "d").exists()


def test_it_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    server = Server(broken_after=(2 << 20) + 1000)
    with pytest.raises(RetryableError, match="broke off after"):
        fetch(server, tmp_path)
    assert fetch(server, tmp_path).read_bytes() == BYTES
    assert [request.headers.get("Range") for request in server.requests] == [None, f"bytes={2 << 20}-"]


def test_a_file_that_changed_meanwhile_is_fetched_anew(tmp_path: Path) -> None:
    server = Server(broken_after=(2 << 20) + 1000)
    with pytest.raises(RetryableError):
        fetch(server, tmp_path)
    server.content, server.etag = BYTES[::-1], '"2"'
    assert fetch(server, tmp_path).read_bytes() == BYTES[::-1]


@pytest.mark.parametrize("at", ["TransferProgress", "Path.write_text", "Path.open"])
def test_a_kill_never_mixes_two_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """The part of the former version goes before the new one gets its mark."""
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


def test_what_is_there_whole_is_not_fetched_again(tmp_path: Path) -> None:
    server = Server()
    fetch(server, tmp_path)
    assert fetch(server, tmp_path).read_bytes() == BYTES
    assert server.requests[1].headers["Range"] == f"bytes={len(BYTES)}-"


def test_a_wrong_size_is_known_from_the_beginning(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=f"has {len(BYTES)} bytes, not the 7 of `size`"):
        fetch(Server(), tmp_path, size=7)
    assert not [path for path in tmp_path.iterdir() if path.stat().st_size]


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (404, PermanentError, "alice.csv answers 404 Not Found"),
        (401, PermanentError, "answers 401 Unauthorized to no credentials"),
        (503, RetryableError, "answers 503"),
        (429, RetryableError, "answers 429"),
    ],
)
def test_refused(tmp_path: Path, status: int, kind: type[StepError], says: str) -> None:
    with pytest.raises(kind, match=says):
        fetch(lambda _: httpx.Response(status), tmp_path)


def test_wrong_credentials_are_named_but_not_shown(tmp_path: Path) -> None:
    login = Login(httpx.BasicAuth("me", "hunter2"), secret="Secret ns/files")
    with pytest.raises(PermanentError, match="to the credentials in Secret ns/files") as error:
        fetch(lambda _: httpx.Response(403), tmp_path, login)
    assert "hunter2" not in str(error.value)


def test_not_reached(tmp_path: Path) -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    with pytest.raises(RetryableError, match="is not reached"):
        fetch(refuse, tmp_path)


def test_wrong_scheme(tmp_path: Path) -> None:
    def plain(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[SSL: WRONG_VERSION_NUMBER] wrong version number")

    with pytest.raises(PermanentError, match="does not speak TLS; does its URL begin with http://"):
        fetch(plain, tmp_path)


@pytest.mark.parametrize(
    ("values", "sent"),
    [
        ({"token": "hunter2"}, ("authorization", "Bearer hunter2")),
        ({"username": "me", "password": "hunter2"}, ("authorization", "Basic bWU6aHVudGVyMg==")),
        ({"query": "?sig=hunter2"}, ("query", "sig=hunter2")),
    ],
)
def test_logins(core: FakeCore, kube: Kube, tmp_path: Path, values: dict[str, str], sent: tuple[str, str]) -> None:
    core.put("secrets", "ns", "files", data=secret_data(**values))
    server = Server()
    fetch(server, tmp_path, download.login(kube, "ns", "files"))
    where, text = sent
    (request,) = server.requests
    assert (request.url.query.decode() if where == "query" else request.headers[where]) == text


def test_a_secret_that_is_missing_or_incomplete(core: FakeCore, kube: Kube) -> None:
    with pytest.raises(RetryableError, match="Secret ns/files does not exist"):
        download.login(kube, "ns", "files")
    core.put("secrets", "ns", "files", data=secret_data(username="me"))
    with pytest.raises(
        RetryableError, match="neither token, nor username and password, nor query \\(it has username\\)"
    ):
        download.login(kube, "ns", "files")


@pytest.mark.parametrize("key", ["token", "username", "query"])
def test_a_login_that_is_no_text(core: FakeCore, kube: Kube, key: str) -> None:
    core.put("secrets", "ns", "files", data=secret_data(**{"password": "x", key: b"\xff"}))
    with pytest.raises(RetryableError, match=f"{key} of Secret ns/files is not UTF-8 text"):
        download.login(kube, "ns", "files")


def test_what_is_not_read_of_a_login_may_be_anything(core: FakeCore, kube: Kube) -> None:
    core.put("secrets", "ns", "files", data=secret_data(token="hunter2", keystore=b"\xff"))
    assert download.login(kube, "ns", "files").headers == {"Authorization": "Bearer hunter2"}


def test_a_signature_is_not_shown() -> None:
    assert download.shown(f"{URL}?sig=hunter2") == f"{URL}?…"
