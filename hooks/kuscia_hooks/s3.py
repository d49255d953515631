"""Objects in an S3-compatible store."""

import hashlib
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from kuscia_hooks.config import split_endpoint
from kuscia_hooks.csvfile import shape
from kuscia_hooks.errors import HookError, NeedsHuman, NotYet
from kuscia_hooks.log import logger
from kuscia_hooks.waiting import REPORT_SECONDS, Clock

if TYPE_CHECKING:
    from minio import Minio

_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "InvalidSecurity", "Unauthorized"}
_PASSING = {
    "SlowDown",
    "InternalError",
    "ServiceUnavailable",
    "RequestTimeout",
    "503",
    "500",
    "XMinioServerNotInitialized",
}
_PART = 16 * 1024 * 1024
_HASH = "sha256"


@dataclass(frozen=True)
class Location:
    """A bucket and how to reach it.

    Args:
        credentials: where the keys come from, for messages.
    """

    endpoint: str
    bucket: str
    prefix: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    virtualhost: bool = False
    credentials: str = "the data source"

    def object_name(self, relative_uri: str) -> str:
        prefix, name = self.prefix.strip("/"), relative_uri.lstrip("/")
        return f"{prefix}/{name}" if prefix else name


class Store:
    """Reads and writes objects.

    Every method raises NotYet when the store is not reached, and NeedsHuman when it refuses; the message
    names the cause.
    """

    def __init__(self, location: Location, client: "Minio | None" = None) -> None:
        self.location = location
        self._client = client or _client(location)

    def ensure_bucket(self, create: bool) -> bool:
        """Look for the bucket, and make it when asked for. Returns whether it was made."""
        bucket = self.location.bucket
        if self._do(f"looking for bucket {bucket}", lambda: self._client.bucket_exists(bucket)):
            return False
        if not create:
            raise NeedsHuman(
                f"bucket {bucket} does not exist at {self.location.endpoint}. Make it, or set "
                "lite.data.source.createBucket: true"
            )
        self._do(f"making bucket {bucket}", lambda: self._client.make_bucket(bucket))
        return True

    def upload(self, relative_uri: str, content: "Content") -> bool:
        """Store an object unless it is there with the same content. Returns whether it was stored."""
        name = self.location.object_name(relative_uri)
        digest = content.sha256()
        if self._same(name, content, digest):
            return False

        def put() -> None:
            with content.open() as stream:
                self._client.put_object(
                    self.location.bucket,
                    name,
                    stream,
                    length=content.size,
                    part_size=_PART,
                    num_parallel_uploads=1,
                    content_type="text/csv" if name.endswith(".csv") else "application/octet-stream",
                    metadata={_HASH: digest},
                    progress=_Progress(name),
                )

        self._do(f"writing {name} to bucket {self.location.bucket}", put)
        return True

    def exists(self, relative_uri: str) -> bool:
        """Whether there is such an object."""
        return self._stat(self.location.object_name(relative_uri)) is not None

    def rows(self, relative_uri: str) -> tuple[int, list[str]]:
        """Number of data rows, and the columns' names, of a CSV object; see `csvfile.shape`."""
        name = self.location.object_name(relative_uri)

        def read() -> tuple[int, list[str]]:
            response = self._client.get_object(self.location.bucket, name)
            try:
                return shape(response.stream(1 << 20))
            finally:
                response.close()
                response.release_conn()

        count, columns = self._do(f"reading {name} from bucket {self.location.bucket}", read)
        return count, columns

    def _stat(self, name: str) -> Any | None:
        from minio.error import S3Error

        def stat() -> Any | None:
            try:
                return self._client.stat_object(self.location.bucket, name)
            except S3Error as error:
                if error.code in ("NoSuchKey", "NoSuchObject", "ResourceNotFound"):
                    return None
                raise

        return self._do(f"looking for {name} in bucket {self.location.bucket}", stat)

    def _same(self, name: str, content: "Content", digest: str) -> bool:
        found = self._stat(name)
        if found is None or found.size != content.size:
            return False
        metadata = {str(key).lower(): str(value) for key, value in (found.metadata or {}).items()}
        stored = metadata.get(f"x-amz-meta-{_HASH}")
        if stored:
            return stored == digest
        return str(found.etag or "").strip('"') == content.md5()

    def _do(self, what: str, work: Any) -> Any:
        from minio.error import MinioException, S3Error
        from urllib3.exceptions import HTTPError

        try:
            return work()
        except ValueError as error:
            # The client refuses names that no store takes, and bad endpoints.
            raise NeedsHuman(f"{what} failed: {error}") from error
        except S3Error as error:
            raise self._s3_error(what, error) from error
        except MinioException as error:
            raise NotYet(
                f"{what} failed: {self.location.endpoint} answers like no S3 store ({error})", self._show()
            ) from error
        except (HTTPError, OSError) as error:
            raise NotYet(f"{what} failed: {self.location.endpoint} is not reached ({error})", self._show()) from error

    def _s3_error(self, what: str, error: Any) -> HookError:
        code = str(error.code)
        text = f"{what} failed: {code} {error.message or ''}".rstrip()
        if code in _KEYS or error.response.status in (401, 403):
            return NeedsHuman(
                f"{text}. The store refuses the keys in {self.location.credentials} (access key "
                f"{_shortened(self.location.access_key)}), or they have no right to this bucket"
            )
        if code == "NoSuchBucket":
            return NeedsHuman(f"{text}. Bucket {self.location.bucket} does not exist at {self.location.endpoint}")
        if code in _PASSING:
            return NotYet(text, self._show())
        return NeedsHuman(text, self._show())

    def _show(self) -> str:
        return f"curl -sv {self.location.endpoint}"


class Content:
    """Bytes to store, from memory or from a file."""

    def __init__(self, source: bytes | Path) -> None:
        self._source = source
        self.size = len(source) if isinstance(source, bytes) else source.stat().st_size

    def open(self) -> BinaryIO:
        return BytesIO(self._source) if isinstance(self._source, bytes) else self._source.open("rb")

    def sha256(self) -> str:
        return self._digest("sha256")

    def md5(self) -> str:
        return self._digest("md5")

    def _digest(self, algorithm: str) -> str:
        # MD5 is what the store calls an ETag; nothing here depends on its strength.
        digest = hashlib.new(algorithm, usedforsecurity=False)
        with self.open() as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()


class _Progress:
    """What the S3 client calls while it sends."""

    def __init__(self, name: str, clock: Clock | None = None) -> None:
        self._name, self._clock = name, clock or Clock()
        self._sent = self._total = 0
        self._reported = self._clock.now()

    def set_meta(self, object_name: str, total_length: int) -> None:
        self._total = total_length

    def update(self, size: int) -> None:
        self._sent += size
        if self._clock.now() - self._reported >= REPORT_SECONDS:
            self._reported = self._clock.now()
            logger.info("%s: %d of %d MB sent", self._name, self._sent >> 20, self._total >> 20)


def _client(location: Location) -> "Minio":
    import certifi
    import urllib3
    from minio import Minio

    parts = split_endpoint(location.endpoint)
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=5, read=60),
        retries=urllib3.Retry(total=2, backoff_factor=0.5, status_forcelist=[500, 502, 503, 504]),
        ca_certs=certifi.where(),
    )
    client = Minio(
        parts.netloc,
        access_key=location.access_key,
        secret_key=location.secret_key,
        secure=parts.scheme == "https",
        http_client=pool,
    )
    if location.virtualhost:
        client.enable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    return client


def _shortened(key: str) -> str:
    return f"{key[:4]}…" if len(key) > 8 else "***"
