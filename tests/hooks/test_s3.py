from pathlib import Path

import pytest
from minio.error import InvalidResponseError
from urllib3.exceptions import MaxRetryError

from kuscia_hooks.errors import NeedsHuman, NotYet
from kuscia_hooks.s3 import Content, Location, Store, _Progress
from tests.hooks.fake_minio import FakeMinio, s3_error
from tests.hooks.fakes import FakeTime

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
    with pytest.raises(NeedsHuman, match=r"bucket b does not exist .* lite.data.source.createBucket: true"):
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
            NeedsHuman,
            r"refuses the keys in Secret ns/oss \(access key AKID…\)",
        ),
        (s3_error("SignatureDoesNotMatch"), NeedsHuman, "refuses the keys in Secret ns/oss"),
        (s3_error("AccessDenied"), NeedsHuman, "no right to this bucket"),
        (s3_error("XAdminUserNotFound"), NeedsHuman, "refuses the keys in Secret ns/oss"),
        (s3_error("NoSuchBucket"), NeedsHuman, "Bucket b does not exist at https://s3.example.com"),
        (s3_error("SlowDown"), NotYet, "SlowDown"),
        (s3_error("ServiceUnavailable"), NotYet, "ServiceUnavailable"),
        (s3_error("EntityTooLarge"), NeedsHuman, "EntityTooLarge"),
        (InvalidResponseError(200, "text/html", "<html>"), NotYet, "answers like no S3 store"),
        (MaxRetryError(None, "/", "refused"), NotYet, "is not reached"),  # type: ignore[arg-type]
        (OSError("reset"), NotYet, "is not reached"),
        (ValueError("invalid bucket name b"), NeedsHuman, "invalid bucket name b"),
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


def test_progress_every_ten_seconds(capsys: pytest.CaptureFixture[str], fake_time: FakeTime) -> None:
    progress = _Progress("big.csv", fake_time.clock)
    progress.set_meta("big.csv", 100 << 20)
    for _ in range(25):
        fake_time.time += 1
        progress.update(4 << 20)
    assert capsys.readouterr().out.splitlines() == [
        "big.csv: 40 of 100 MB sent",
        "big.csv: 80 of 100 MB sent",
    ]
