from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError, SSLError

from kuscia_hooks.core.errors import StepError
from kuscia_hooks.core.waiting import bounded_by
from kuscia_hooks.tables import s3
from kuscia_hooks.tables.s3 import Location, Store
from kuscia_hooks.tables.source import Content
from tests.hooks.failing import fails
from tests.hooks.fakes.clock import FakeTime
from tests.hooks.fakes.dns import FakeDns
from tests.hooks.fakes.s3 import FakeS3

ENDPOINT = "https://s3.example.com"
WHERE = Location(ENDPOINT, "bkt", "p/", "AKIDEXAMPLE", "hunter2", credentials="Secret ns/oss")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeS3:
    made = FakeS3("bkt")
    monkeypatch.setattr(s3, "connect", made.connect)
    return made


@pytest.fixture
def store(fake: FakeS3) -> Store:
    return Store(WHERE)


@pytest.mark.parametrize(
    ("prefix", "uri", "name"),
    [("", "a.csv", "a.csv"), ("p", "a.csv", "p/a.csv"), ("/p/q/", "/a.csv", "p/q/a.csv")],
)
def test_object_name_joins_prefix_and_uri(prefix: str, uri: str, name: str) -> None:
    assert Location("https://x", "b", prefix, "", "").object_name(uri) == name


def test_location_does_not_show_its_keys() -> None:
    assert "hunter2" not in repr(WHERE)
    assert "AKIDEXAMPLE" not in repr(WHERE)


def test_creates_bucket_only_when_asked(fake: FakeS3, store: Store) -> None:
    assert store.ensure_bucket(create=False) is False
    fake.buckets.clear()
    with fails("bucket-not-found") as caught:
        store.ensure_bucket(create=False)
    assert "lite.data.source.createBucket: true" in caught.value.fix
    assert fake.buckets == {}
    assert store.ensure_bucket(create=True) is True
    assert fake.buckets == {"bkt": {}}


def test_compares_content_with_the_object(fake: FakeS3, store: Store) -> None:
    assert store.change("a.csv", Content(b"id\n1\n")) == "create"
    store.upload("a.csv", Content(b"id\n1\n"))
    assert store.change("a.csv", Content(b"id\n1\n")) is None
    assert store.change("a.csv", Content(b"id\n2\n")) == "update"
    assert store.change("a.csv", Content(b"id\n10\n")) == "update"
    store.upload("a.csv", Content(b"id\n2\n"))
    assert fake.buckets["bkt"]["p/a.csv"].content == b"id\n2\n"
    assert store.holds("a.csv", Content(b"id\n2\n").sha256())


def test_compares_etag_when_object_has_no_hash(fake: FakeS3, store: Store) -> None:
    """The ETag of a multipart upload is not the MD5 of the content, so the object is written."""
    fake.store("bkt", "p/a.csv", b"id\n1\n")
    assert store.change("a.csv", Content(b"id\n1\n")) is None
    fake.buckets["bkt"]["p/a.csv"].etag = "abc-2"
    assert store.change("a.csv", Content(b"id\n1\n")) == "update"


@pytest.mark.parametrize("write", [str.upper, lambda etag: etag])
@pytest.mark.parametrize("quote", ['"', ""])
def test_reads_the_etags_of_all_stores(fake: FakeS3, store: Store, write, quote: str) -> None:
    """Those of Aliyun OSS are upper case; some proxies remove the quotes."""
    fake.store("bkt", "p/a.csv", b"id\n1\n")
    found = fake.buckets["bkt"]["p/a.csv"]
    found.etag, fake.quote = write(found.etag), quote
    assert store.change("a.csv", Content(b"id\n1\n")) is None


def test_sends_no_request_after_the_deadline(fake: FakeS3, store: Store) -> None:
    fake_time = FakeTime()
    with bounded_by(fake_time.deadline(5)):
        assert store.size("a.csv") is None
        asked = len(fake.requests)
        fake_time.time = 6
        with fails("s3-unreachable"):
            store.size("a.csv")
        with fails("s3-unreachable"):
            store.upload("a.csv", Content(b"id\n"))
    assert len(fake.requests) == asked


def test_uploads_when_hash_differs_at_equal_size(fake: FakeS3, store: Store) -> None:
    fake.store("bkt", "p/a.csv", b"id\n1\n", {"sha256": "0" * 64})
    assert store.change("a.csv", Content(b"id\n1\n")) == "update"


def test_uploads_a_file(tmp_path: Path, fake: FakeS3, store: Store) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"id\n" + b"1\n" * 1_000_000)
    store.upload("a.csv", Content(path))
    assert fake.buckets["bkt"]["p/a.csv"].content == path.read_bytes()


@pytest.mark.parametrize(
    ("content", "rows", "columns"),
    [
        (b"id1,age\n1,2\n3,4\n", 2, ["id1", "age"]),
        (b"id1,age\n1,2\n3,4", 2, ["id1", "age"]),
        (b'"id1","age"\r\n1,2\r\n\r\n', 1, ["id1", "age"]),
        (b"id1\n", 0, ["id1"]),
        (b'id, age,"a,b"\n1,2,"x\ny"\n', 1, ["id", "age", "a,b"]),
    ],
)
@pytest.mark.parametrize("block", [7, 1 << 20])
def test_counts_rows(
    monkeypatch: pytest.MonkeyPatch,
    fake: FakeS3,
    store: Store,
    content: bytes,
    rows: int,
    columns: list[str],
    block: int,
) -> None:
    monkeypatch.setattr(s3, "_BLOCK", block)
    fake.store("bkt", "p/a.csv", content)
    assert store.rows("a.csv") == (rows, columns)


def all_calls_raise(store: Store) -> StepError:
    """Check that every kind of call raises the same error, without the secret key, and return it."""
    errors = []
    for call in (
        lambda: store.ensure_bucket(True),
        lambda: store.upload("a.csv", Content(b"x")),
        lambda: store.rows("a.csv"),
        lambda: store.size("a.csv"),
        lambda: store.begin("a.csv"),
        lambda: store.delete("a.csv"),
    ):
        with pytest.raises(StepError) as caught:
            call()
        assert "hunter2" not in str(caught.value)
        errors.append(caught.value)
    return errors[0]


@pytest.mark.parametrize(
    ("fail", "error_id"),
    [
        ("InvalidAccessKeyId", "s3-credentials-rejected"),
        ("SignatureDoesNotMatch", "s3-credentials-rejected"),
        ("XAdminUserNotFound", "s3-credentials-rejected"),
        ("NoSuchUpload", "s3-upload-aborted"),
        ("SecondLevelDomainForbidden", "store-requires-virtualhost"),
        ("AccessDenied", "s3-permission-denied"),
        ("SlowDown", "s3-unavailable"),
        ("ServiceUnavailable", "s3-unavailable"),
        ("EntityTooLarge", "s3-rejected"),
        (EndpointConnectionError(endpoint_url=ENDPOINT, error="refused"), "s3-unreachable"),
        (ReadTimeoutError(endpoint_url=ENDPOINT), "s3-unreachable"),
        (OSError("reset"), "s3-unreachable"),
    ],
)
def test_errors_have_ids(fake: FakeS3, store: Store, fail: str | Exception, error_id: str) -> None:
    fake.fail = fail
    with fails(error_id):
        store.ensure_bucket(True)
    all_calls_raise(store)


def test_rejected_keys_are_named_but_shortened(fake: FakeS3, store: Store) -> None:
    fake.fail = "InvalidAccessKeyId"
    error = all_calls_raise(store)
    assert "AKID…" in error.message
    assert "AKIDEXAMPLE" not in str(error)
    assert "Secret ns/oss" in error.fix


@pytest.mark.parametrize("call", [lambda s: s.size("a.csv"), lambda s: s.rows("a.csv")])
def test_reports_missing_bucket_when_reading(fake: FakeS3, store: Store, call) -> None:
    fake.buckets.clear()
    with fails("bucket-not-found"):
        call(store)


def test_rejects_invalid_bucket_name(fake: FakeS3) -> None:
    with fails("s3-rejected"):
        Store(replace(WHERE, bucket="a b")).ensure_bucket(True)


@pytest.mark.parametrize(
    ("answer", "error_id"),
    [
        ((200, b"<!doctype html><html><head><meta charset=utf-8></head></html>"), "not-an-s3-endpoint"),
        ((200, b"<html/>"), "not-an-s3-endpoint"),
        ((200, b""), "not-an-s3-endpoint"),
        ((200, b"\xff\xfe"), "not-an-s3-endpoint"),
        ((302, b""), "not-an-s3-endpoint"),
        ((404, b"<html>not found</html>"), "not-an-s3-endpoint"),
        ((500, b"<html>error</html>"), "not-an-s3-endpoint"),
        ((500, b""), "s3-unavailable"),
        ((502, b"<html>bad gateway</html>"), "s3-unavailable"),
        ((200, b"<Error><Code>SlowDown</Code></Error>"), "s3-unavailable"),
    ],
)
def test_detects_servers_other_than_s3(fake: FakeS3, store: Store, answer: tuple[int, bytes], error_id: str) -> None:
    fake.answer = answer
    with fails(error_id) as caught:
        store.ensure_bucket(create=True)
    assert caught.value.see == f"curl -sv {ENDPOINT}"


def test_suggests_https_when_server_requires_tls(fake: FakeS3) -> None:
    fake.answer = (400, b"Client sent an HTTP request to an HTTPS server.\n")
    with fails("s3-wrong-scheme") as caught:
        Store(replace(WHERE, endpoint="http://s3.example.com")).ensure_bucket(True)
    assert caught.value.fix.endswith(" https://s3.example.com")


@pytest.mark.parametrize(
    ("cause", "error_id"),
    [
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "s3-wrong-scheme"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate", "s3-certificate-not-trusted"),
    ],
)
def test_tls_failures_are_permanent(fake: FakeS3, store: Store, cause: str, error_id: str) -> None:
    fake.fail = SSLError(endpoint_url=ENDPOINT, error=cause)
    assert all_calls_raise(store).id == error_id


def test_reads_beginning(fake: FakeS3, store: Store) -> None:
    fake.store("bkt", "p/a.csv", b"id1,age\n1,2\n")
    assert store.begin("a.csv") == (12, b"id1,age\n1,2\n")
    assert store.begin("a.csv", 3) == (12, b"id1")
    fake.store("bkt", "p/a.csv", b"")
    assert store.begin("a.csv") == (0, b"")
    assert store.begin("other.csv") is None


@pytest.mark.parametrize("virtualhost", [False, True])
def test_short_host_is_rejected_with_the_full_name(dns: FakeDns, virtualhost: bool) -> None:
    """The search list of the pod would complete it, but Kuscia and its engines have none."""
    dns.search("lite.svc.cluster.local", "svc.cluster.local")
    bucket = "bkt." if virtualhost else ""
    dns.zone[f"{bucket}minio.storage.svc.cluster.local."] = "10.0.0.1"
    store = Store(replace(WHERE, endpoint="http://minio.storage:9000", virtualhost=virtualhost))
    with fails("s3-host-not-found") as caught:
        store.ensure_bucket(create=True)
    assert f"{bucket}minio.storage.svc.cluster.local" in caught.value.fix
    assert dns.asked[0] == f"{bucket}minio.storage."


def test_unknown_host_is_reported(dns: FakeDns) -> None:
    with fails("s3-host-not-found") as caught:
        Store(WHERE).ensure_bucket(create=True)
    assert "s3.example.com" in caught.value.message


def test_delete_ignores_missing_object(fake: FakeS3, store: Store) -> None:
    fake.store("bkt", "p/a.csv", b"x")
    store.delete("a.csv")
    store.delete("a.csv")
    assert store.size("a.csv") is None


@pytest.mark.parametrize(
    ("fields", "url", "authorization"),
    [
        ({}, "https://s3.example.com/bkt/p/a.csv", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"),
        ({"virtualhost": True}, "https://bkt.s3.example.com/p/a.csv", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"),
        ({"version": "s3v2"}, "https://s3.example.com/bkt/p/a.csv", "AWS AKIDEXAMPLE:"),
        ({"version": "s3v2", "virtualhost": True}, "https://bkt.s3.example.com/p/a.csv", "AWS AKIDEXAMPLE:"),
    ],
)
def test_request_has_configured_style_and_signature(
    dns: FakeDns, fields: dict[str, object], url: str, authorization: str
) -> None:
    dns.zone |= {"s3.example.com.": "10.0.0.1", "bkt.s3.example.com.": "10.0.0.1"}
    requests = []

    def capture(request, **_: object) -> None:
        requests.append(request)
        raise OSError("captured")

    client = s3.connect(replace(WHERE, **fields))
    client.meta.events.register("before-send.s3", capture)
    client.meta.events.unregister("needs-retry.s3", unique_id="retry-config-s3")
    with pytest.raises(OSError, match="captured"):
        client.head_object(Bucket="bkt", Key="p/a.csv")
    assert requests[0].url == url
    sent = requests[0].headers["Authorization"]
    assert (sent.decode() if isinstance(sent, bytes) else sent).startswith(authorization)


def test_every_request_has_virtual_host_style(dns: FakeDns, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some stores reject every request in path style."""
    dns.zone["bkt.s3.example.com."] = "10.0.0.1"
    hosts = []
    connect = s3.connect

    def capture(request, **_: object) -> None:
        hosts.append(request.url.split("/")[2])
        raise OSError("captured")

    def captured(location: Location):
        client = connect(location)
        client.meta.events.unregister("needs-retry.s3", unique_id="retry-config-s3")
        client.meta.events.register("before-send.s3", capture)
        return client

    monkeypatch.setattr(s3, "connect", captured)
    all_calls_raise(Store(replace(WHERE, virtualhost=True)))
    assert set(hosts) == {"bkt.s3.example.com"}
