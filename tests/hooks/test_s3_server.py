"""The S3 client against a real S3 server (versitygw) on loopback: whole, stopped and killed uploads, and errors."""

import http.server
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from kuscia_hooks.core import activity
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.waiting import Deadline, bounded_by
from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.tables.s3 import Location, Store
from kuscia_hooks.tables.source import Content
from testbed.servers import s3
from tests.hooks.failing import fails
from tests.hooks.fakes.clock import FakeTime
from tests.hooks.fakes.dripping import dripping

PART = 8 << 20

# Sends 48 MB slowly, so that the process can be ended during the transfer.
SLOWLY = """
import sys, time
from pathlib import Path
from kuscia_hooks.cli import command
from kuscia_hooks.tables import s3
from kuscia_hooks.tables.source import Content
from tests.hooks.failing import fails
endpoint, path = sys.argv[1:]
store = s3.Store(s3.Location(endpoint, "bkt", "", "alice", "alice-pw"))
store._client.meta.events.register("before-send.s3.UploadPart", lambda **_: time.sleep(0.5))
command.begin("text")
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
def client(endpoint: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="alice",
        aws_secret_access_key="alice-pw",
        config=Config(s3={"addressing_style": "path"}),
    )


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("big") / "big.csv"
    path.write_bytes(b"id1\n" + os.urandom(6 * PART))
    return path


def uploads(client: Any) -> list[str]:
    return [one["Key"] for one in client.list_multipart_uploads(Bucket="bkt").get("Uploads", [])]


def wait(what: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.1)


def test_sends_large_object_in_parts(
    store: Store, client: Any, big: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(activity, "REPORT_SECONDS", 1e-6)
    store.upload("big.csv", Content(big))
    sent = [float(x) for x in re.findall(r"^big\.csv: ([\d.]+) MB of 50\.3 MB ", capsys.readouterr().out, re.MULTILINE)]
    assert len(sent) >= 7, "at least one line per part"
    assert sent == sorted(sent)
    assert sent[-1] == 50.3
    assert client.head_object(Bucket="bkt", Key="big.csv")["ETag"].endswith('-7"')
    assert store.size("big.csv") == big.stat().st_size
    assert store.begin("big.csv", 4) == (big.stat().st_size, b"id1\n")
    assert store.holds("big.csv", Content(big).sha256())
    assert store.change("big.csv", Content(big)) is None
    assert uploads(client) == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_interrupted_upload_leaves_no_object(
    store: Store, client: Any, endpoint: str, big: Path, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped process aborts its upload; after a kill a process does that runs much later."""
    process = subprocess.Popen([sys.executable, "-c", SLOWLY, endpoint, str(big)])
    wait(lambda: uploads(client))
    process.send_signal(how)
    assert process.wait(30) == (128 + signal.SIGTERM if how is signal.SIGTERM else -signal.SIGKILL)
    assert store.size("big.csv") is None
    assert uploads(client) == ([] if how is signal.SIGTERM else ["big.csv"])
    left = uploads(client)
    store.abort_uploads(["other.csv", "big.csv"])
    assert uploads(client) == left, "a young upload may belong to another copy of the step"
    monkeypatch.setattr("kuscia_hooks.tables.s3.UNFINISHED_SECONDS", -5)
    store.abort_uploads(["other.csv", "big.csv"])
    assert uploads(client) == []
    store.upload("big.csv", Content(big))


def test_copies_do_not_abort_the_uploads_of_each_other(store: Store, endpoint: str, big: Path) -> None:
    """The last upload that ends wins."""
    other = Store(location(endpoint))
    small = Content(b"id1\n1\n")

    def meanwhile(params: Any, **_: Any) -> None:
        if params["PartNumber"] == 2:
            other.abort_uploads(["big.csv"])
            other.upload("big.csv", small)

    store._client.meta.events.register("before-parameter-build.s3.UploadPart", meanwhile)
    store.upload("big.csv", Content(big))
    assert store.change("big.csv", Content(big)) is None


def test_upload_that_another_client_aborts_is_retryable(store: Store, client: Any, big: Path) -> None:
    def abort(params: Any, **_: Any) -> None:
        if params["PartNumber"] == 2:
            client.abort_multipart_upload(Bucket="bkt", Key="big.csv", UploadId=params["UploadId"])

    store._client.meta.events.register("before-parameter-build.s3.UploadPart", abort)
    with fails("s3-upload-aborted"):
        store.upload("big.csv", Content(big))


def test_upload_that_ends_at_the_deadline_leaves_no_parts(store: Store, client: Any, big: Path) -> None:
    fake_time = FakeTime()

    def late(params: Any, **_: Any) -> None:
        fake_time.time = 60.0 * (params["PartNumber"] - 1)

    store._client.meta.events.register("before-parameter-build.s3.UploadPart", late)
    with bounded_by(fake_time.deadline(90)), fails("s3-unreachable"):
        store.upload("big.csv", Content(big))
    assert fake_time.time == 120
    assert uploads(client) == []
    assert store.size("big.csv") is None


def test_keeps_unfinished_uploads_of_other_objects(store: Store, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kuscia_hooks.tables.s3.UNFINISHED_SECONDS", -5)
    theirs = client.create_multipart_upload(Bucket="bkt", Key="big.csv.theirs")["UploadId"]
    try:
        store.abort_uploads(["big.csv"])
        assert uploads(client) == ["big.csv.theirs"]
    finally:
        client.abort_multipart_upload(Bucket="bkt", Key="big.csv.theirs", UploadId=theirs)


def test_reports_wrong_key_bucket_and_scheme(endpoint: str, store: Store) -> None:
    for where, error_id in (
        (location(endpoint, "wrong"), "s3-credentials-rejected"),
        (Location(endpoint, "nowhere", "", "alice", "alice-pw"), "bucket-not-found"),
        (location(endpoint.replace("http:", "https:")), "s3-wrong-scheme"),
    ):
        with fails(error_id):
            Store(where).ensure_bucket(create=False)


def test_suggests_signature_version_4_when_version_2_is_rejected(endpoint: str) -> None:
    with fails("s3-permission-denied") as caught:
        Store(replace(location(endpoint), version="s3v2")).ensure_bucket(create=False)
    assert "lite.data.source.version: s3v4" in caught.value.fix


def test_finds_region_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store in a region other than the one that the client assumes at first."""
    monkeypatch.setenv("VGW_REGION", "eu-central-1")
    with s3.on_loopback(tmp_path, {"alice": "alice-pw"}) as url:
        store = Store(location(url))
        assert store.ensure_bucket(create=True) is True
        store.upload("a.csv", Content(b"id1\n1\n"))
        assert store.rows("a.csv") == (1, ["id1"])


def test_reports_unreachable_store() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(RetryableError) as caught:
            Store(location(url)).ensure_bucket(create=False)
    assert caught.value.id == "s3-unreachable"
    assert caught.value.see == f"curl -sv {url}"


def test_self_signed_certificate_is_a_permanent_error(tmp_path: Path) -> None:
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
            with fails("s3-certificate-not-trusted"):
                Store(location(url)).ensure_bucket(create=False)
        finally:
            server.shutdown()


def test_reads_only_the_beginning_from_a_store_without_ranges() -> None:
    with dripping(b"a,b\n" * 1000, pause=0) as url:
        assert Store(location(url)).begin("big.csv", 6) == (100_000_000_000, b"a,b\na,")


def test_deadline_bounds_the_read_timeout() -> None:
    with bounded_by(Deadline(20)):
        assert Store(location("http://127.0.0.1:9"))._client.meta.config.read_timeout <= 20
    assert Store(location("http://127.0.0.1:9"))._client.meta.config.read_timeout == 60
