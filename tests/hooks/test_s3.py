from dataclasses import replace
from pathlib import Path

import pytest
from minio.error import InvalidResponseError
from urllib3.exceptions import MaxRetryError, SSLError

from kuscia_hooks.core.errors import PermanentError, RetryableError
from kuscia_hooks.tables.s3 import Location, Store, _part_size
from kuscia_hooks.tables.source import Content
from tests.hooks.fake_minio import FakeMinio, s3_error

WHERE = Location("https://s3.example.com", "b", "p/", "AKIDEXAMPLE", "hunter2", credentials="Secret ns/oss")


@pytest.fixture
def minio() -> FakeMinio:
    return FakeMinio("b")


@pytest.fixture
def store(minio: FakeMinio) -> Store:
    return Store(WHERE, minio)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("prefix", "uri", "name"),
    [("", "a.csv", "a.csv"), ("p", "a.csv", "p/a.csv"), ("/p/q/", "/a.csv", "p/q/a.csv")],
)
def test_object_name(prefix: str, uri: str, name: str) -> None:
    assert Location("https://x", "b", prefix, "", "").object_name(uri) == name


def test_secrets_are_not_shown() -> None:
    assert "hunter2" not in repr(WHERE)
    assert "AKIDEXAMPLE" not in repr(WHERE)


def test_bucket(minio: FakeMinio, store: Store) -> None:
    assert store.ensure_bucket(create=False) is False
    minio.buckets.clear()
    with pytest.raises(PermanentError, match=r"bucket b does not exist .* lite.data.source.createBucket: true"):
        store.ensure_bucket(create=False)
    assert store.ensure_bucket(create=True) is True
    assert "b" in minio.buckets


def test_upload_once(minio: FakeMinio, store: Store) -> None:
    assert store.upload("a.csv", Content(b"id\n1\n")) is True
    assert store.upload("a.csv", Content(b"id\n1\n")) is False
    assert store.upload("a.csv", Content(b"id\n2\n")) is True
    assert minio.puts == ["p/a.csv", "p/a.csv"]
    assert minio.buckets["b"]["p/a.csv"].content == b"id\n2\n"


def test_the_same_content_from_another_hand(minio: FakeMinio, store: Store) -> None:
    """Without our hash the ETag tells; one of a multipart upload tells nothing, so the object is written."""
    minio.store("b", "p/a.csv", b"id\n1\n", {})
    assert store.upload("a.csv", Content(b"id\n1\n")) is False
    minio.buckets["b"]["p/a.csv"].etag = "abc-2"
    assert store.upload("a.csv", Content(b"id\n1\n")) is True


def test_a_hash_that_does_not_fit_wins_over_the_size(minio: FakeMinio, store: Store) -> None:
    minio.store("b", "p/a.csv", b"id\n2\n", {"x-amz-meta-sha256": "0" * 64})
    assert store.upload("a.csv", Content(b"id\n1\n")) is True


def test_a_file(tmp_path: Path, minio: FakeMinio, store: Store) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"id\n" + b"1\n" * 1_000_000)
    store.upload("a.csv", Content(path))
    assert minio.buckets["b"]["p/a.csv"].content == path.read_bytes()


@pytest.mark.parametrize(
    ("content", "rows", "columns"),
    [
        (b"id1,age\n1,2\n3,4\n", 2, ["id1", "age"]),
        (b"id1,age\n1,2\n3,4", 2, ["id1", "age"]),
        (b'"id1","age"\r\n1,2\r\n\r\n', 1, ["id1", "age"]),
        (b"id1\n", 0, ["id1"]),
        (b"", 0, [""]),
    ],
)
def test_rows(minio: FakeMinio, store: Store, content: bytes, rows: int, columns: list[str]) -> None:
    minio.store("b", "p/a.csv", content, {})
    assert store.rows("a.csv") == (rows, columns)


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (
            s3_error("InvalidAccessKeyId"),
            PermanentError,
            r"refuses the keys in Secret ns/oss \(access key AKID…\)",
        ),
        (s3_error("SignatureDoesNotMatch"), PermanentError, "refuses the keys in Secret ns/oss"),
        (s3_error("AccessDenied"), PermanentError, "no right to this bucket"),
        (s3_error("XAdminUserNotFound"), PermanentError, "refuses the keys in Secret ns/oss"),
        (s3_error("NoSuchBucket"), PermanentError, "Bucket b does not exist at https://s3.example.com"),
        (s3_error("SlowDown"), RetryableError, "SlowDown"),
        (s3_error("ServiceUnavailable"), RetryableError, "ServiceUnavailable"),
        (s3_error("EntityTooLarge"), PermanentError, "EntityTooLarge"),
        (InvalidResponseError(502, "text/html", "<html>"), RetryableError, "answers like no S3 store"),
        (MaxRetryError(None, "/", "refused"), RetryableError, "is not reached"),  # type: ignore[arg-type]
        (OSError("reset"), RetryableError, "is not reached"),
        (ValueError("invalid bucket name b"), PermanentError, "invalid bucket name b"),
    ],
)
def test_errors(minio: FakeMinio, store: Store, error: Exception, kind: type[Exception], says: str) -> None:
    minio.fail = error
    for work in (
        lambda: store.ensure_bucket(True),
        lambda: store.upload("a.csv", Content(b"x")),
        lambda: store.rows("a.csv"),
        lambda: store.exists("a.csv"),
    ):
        with pytest.raises(kind, match=says) as caught:
            work()
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "error", "says"),
    [
        (
            "https://s3.example.com",
            SSLError("[SSL: WRONG_VERSION_NUMBER] wrong version number"),
            r"does not speak https; try http://s3.example.com$",
        ),
        (
            "http://s3.example.com",
            InvalidResponseError(400, "text/plain", "Client sent an HTTP request to an HTTPS server."),
            r"does not speak http; try https://s3.example.com$",
        ),
        (
            "https://s3.example.com",
            SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate"),
            "the certificate of https://s3.example.com is not trusted",
        ),
    ],
)
def test_the_wrong_scheme(minio: FakeMinio, endpoint: str, error: Exception, says: str) -> None:
    minio.fail = error
    with pytest.raises(PermanentError, match=says):
        Store(replace(WHERE, endpoint=endpoint), minio).ensure_bucket(True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "part"), [(0, 8 << 20), (1 << 30, 8 << 20), (100 << 30, 11 << 20), (5 << 40, 525 << 20)]
)
def test_parts_are_small_and_not_too_many(size: int, part: int) -> None:
    assert _part_size(size) == part
    assert size <= part * 10_000


def test_header(minio: FakeMinio, store: Store) -> None:
    minio.store("b", "p/a.csv", b"id1,age\n1,2\n", {})
    assert store.header("a.csv") == ["id1", "age"]
    minio.store("b", "p/a.csv", b"", {})
    with pytest.raises(PermanentError, match=r"b/p/a\.csv is empty"):
        store.header("a.csv")


def test_delete(minio: FakeMinio, store: Store) -> None:
    minio.store("b", "p/a.csv", b"x", {})
    store.delete("a.csv")
    store.delete("a.csv")
    assert store.size("a.csv") is None
