"""Uploads in parts against a real S3 server (versitygw) on loopback: killed, stopped, and as a whole."""

import http.server
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from minio import Minio

from kuscia_hooks.core import progress
from kuscia_hooks.core.errors import PermanentError, RetryableError
from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.tables.s3 import Location, Store
from kuscia_hooks.tables.source import Content
from testbed.servers import s3

PART = 8 << 20

# Sends 48 MB slowly, as a pod of the data step that is ended in the middle.
SLOWLY = """
import sys, time
from pathlib import Path
from kuscia_hooks import cli
from kuscia_hooks.tables import s3
from kuscia_hooks.tables.source import Content
endpoint, path = sys.argv[1:]
store = s3.Store(s3.Location(endpoint, "bkt", "", "alice", "alice-pw"))
upload = store._client._upload_part
def slow(*args):
    time.sleep(0.5)
    return upload(*args)
store._client._upload_part = slow
cli._begin(False)
store.upload("big.csv", Content(Path(path)))
"""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3.on_loopback(tmp_path_factory.mktemp("s3"), {"alice": "alice-pw"}) as url:
        yield url


def location(endpoint: str, key: str = "alice-pw") -> Location:
    return Location(endpoint, "bkt", "", "alice", key, credentials="Secret ns/oss")


@pytest.fixture
def store(endpoint: str) -> Store:
    made = Store(location(endpoint))
    made.ensure_bucket(create=True)
    made.delete("big.csv")
    return made


@pytest.fixture
def client(endpoint: str) -> Minio:
    return Minio(endpoint=endpoint.removeprefix("http://"), access_key="alice", secret_key="alice-pw", secure=False)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("big") / "big.csv"
    path.write_bytes(b"id1\n" + os.urandom(6 * PART))
    return path


def uploads(client: Minio) -> list[str]:
    return [str(one.object_name) for one in client._list_multipart_uploads("bkt").uploads]


def wait(what: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)


def test_in_parts(
    store: Store, client: Minio, big: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "REPORT_SECONDS", 1e-6)
    assert store.upload("big.csv", Content(big)) is True
    told = re.findall(r"^big\.csv: ([\d.]+) MB of 50\.3 MB sent, [\d.]+ MB/s$", capsys.readouterr().out, re.MULTILINE)
    assert told == ["8.4", "16.8", "25.2", "33.6", "41.9", "50.3", "50.3"], "one line a part, the last is four bytes"
    assert str(client.stat_object("bkt", "big.csv").etag).endswith("-7")
    assert store.size("big.csv") == big.stat().st_size
    assert store.header("big.csv") == ["id1"]
    assert store.holds("big.csv", Content(big).sha256())
    assert store.upload("big.csv", Content(big)) is False
    assert uploads(client) == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_cut_off(store: Store, client: Minio, endpoint: str, big: Path, how: signal.Signals) -> None:
    """No half object; stopped, it clears up itself, and killed, the next one does."""
    process = subprocess.Popen([sys.executable, "-c", SLOWLY, endpoint, str(big)])
    wait(lambda: uploads(client))
    process.send_signal(how)
    assert process.wait(30) == (128 + signal.SIGTERM if how is signal.SIGTERM else -signal.SIGKILL)
    assert store.size("big.csv") is None
    assert uploads(client) == ([] if how is signal.SIGTERM else ["big.csv"])
    store.abort_uploads(["other.csv", "big.csv"])
    assert uploads(client) == []
    assert store.upload("big.csv", Content(big)) is True


def test_uploads_of_others_are_left_alone(store: Store, client: Minio) -> None:
    theirs = client._create_multipart_upload("bkt", "big.csv.theirs", {})
    try:
        store.abort_uploads(["big.csv"])
        assert uploads(client) == ["big.csv.theirs"]
    finally:
        client._abort_multipart_upload("bkt", "big.csv.theirs", theirs)


def test_wrong_keys_and_buckets(endpoint: str) -> None:
    with pytest.raises(PermanentError, match="refuses the keys in Secret ns/oss"):
        Store(location(endpoint, "wrong")).ensure_bucket(create=False)
    with pytest.raises(PermanentError, match="bucket nowhere does not exist at http"):
        Store(Location(endpoint, "nowhere", "", "alice", "alice-pw")).ensure_bucket(create=False)
    with pytest.raises(PermanentError, match="does not speak https; try http://"):
        Store(location(endpoint.replace("http:", "https:"))).ensure_bucket(create=False)


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    """A web server that answers every GET and HEAD with 200 and a page; yields its URL."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    "body",
    [b"<!doctype html><html><head><meta charset=utf-8></head></html>", b"", b"\xff\xfe"],
    ids=["page", "none", "bytes"],
)
def test_no_store_at_all(body: bytes) -> None:
    """A store's console, or a login page: the client takes every 200 for an answer of S3."""
    with answering(body) as url, pytest.raises(RetryableError, match=f"{url} answers like no S3 store") as error:
        Store(location(url)).ensure_bucket(create=False)
    assert error.value.see == f"curl -sv {url}"


def test_a_certificate_that_is_not_trusted(tmp_path: Path) -> None:
    """A store with a certificate that it signed itself: said at once, since waiting does not help."""
    key = domain_key.new_key()
    pair = tmp_path / "store.pem"
    pair.write_bytes(key + domain_key.ca_certificate(domain_key.load_key(key), "127.0.0.1"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"https://127.0.0.1:{server.server_address[1]}"
        try:
            with pytest.raises(PermanentError, match=f"the certificate of {url} is not trusted"):
                Store(location(url)).ensure_bucket(create=False)
        finally:
            server.shutdown()
