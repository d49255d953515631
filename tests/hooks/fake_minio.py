"""The part of minio.Minio that the steps use, in memory."""

import hashlib
from types import SimpleNamespace
from typing import Any, BinaryIO

from minio.error import S3Error

_FORBIDDEN = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "XAdminUserNotFound")


def s3_error(code: str) -> S3Error:
    """An error as an S3 store answers it."""
    return S3Error(
        response=SimpleNamespace(status=403 if code in _FORBIDDEN else 400),
        code=code, message=f"because {code}", resource="/b/o",
        request_id="1", host_id="h", bucket_name="b", object_name="o",
    )  # fmt: skip


class FakeMinio:
    """Buckets of objects; `fail` is raised by every call while set."""

    def __init__(self, *buckets: str) -> None:
        self.buckets: dict[str, dict[str, SimpleNamespace]] = {name: {} for name in buckets}
        self.fail: Exception | None = None
        self.puts: list[str] = []

    def _enter(self, bucket: str | None = None) -> None:
        if self.fail is not None:
            raise self.fail
        if bucket is not None and bucket not in self.buckets:
            raise s3_error("NoSuchBucket")

    def bucket_exists(self, bucket: str) -> bool:
        self._enter()
        return bucket in self.buckets

    def make_bucket(self, bucket: str) -> None:
        self._enter()
        self.buckets[bucket] = {}

    def stat_object(self, bucket: str, name: str) -> SimpleNamespace:
        self._enter(bucket)
        if name not in self.buckets[bucket]:
            raise s3_error("NoSuchKey")
        return self.buckets[bucket][name]

    def put_object(
        self,
        bucket: str,
        name: str,
        data: BinaryIO,
        length: int,
        metadata: dict[str, str],
        progress: Any,
        **_: Any,
    ) -> None:
        self._enter(bucket)
        content = data.read()
        assert len(content) == length
        progress.set_meta(name, length)
        progress.update(length)
        self.puts.append(name)
        self.store(bucket, name, content, {f"x-amz-meta-{key}": value for key, value in metadata.items()})

    def store(self, bucket: str, name: str, content: bytes, metadata: dict[str, str]) -> None:
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        self.buckets[bucket][name] = SimpleNamespace(size=len(content), metadata=metadata, etag=etag, content=content)

    def remove_object(self, bucket: str, name: str) -> None:
        self._enter(bucket)
        self.buckets[bucket].pop(name, None)

    def _list_multipart_uploads(self, bucket: str, prefix: str) -> SimpleNamespace:
        """None: an object is stored as a whole here; tests/hooks/test_s3_server.py has parts."""
        self._enter(bucket)
        return SimpleNamespace(uploads=[])

    def get_object(self, bucket: str, name: str, length: int = 0) -> Any:
        content = self.stat_object(bucket, name).content
        content = content[:length] if length else content

        def stream(size: int) -> Any:
            # Chunks that end inside lines.
            return (content[begin : begin + 7] for begin in range(0, len(content), 7))

        return SimpleNamespace(stream=stream, read=lambda: content, close=lambda: None, release_conn=lambda: None)
