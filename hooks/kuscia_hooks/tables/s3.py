"""Objects in an S3-compatible store."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

from kuscia_hooks.core.cleanup import on_stop
from kuscia_hooks.core.config import split_endpoint
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.progress import TransferProgress
from kuscia_hooks.tables import columns
from kuscia_hooks.tables.csv_file import shape
from kuscia_hooks.tables.source import Content

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
# What an upload holds in memory: a part, twice while it is sent. A store takes up to 10 000 of them.
_PART = 8 << 20
_PARTS = 10_000
_HASH = "sha256"
_MISSING_KEY = {"NoSuchKey", "NoSuchObject", "ResourceNotFound"}
# What servers say to plain HTTP on a TLS port: Go's, nginx, others.
_TLS_WANTED = re.compile(r"HTTP request to an HTTPS server|plain HTTP request was sent to HTTPS port", re.IGNORECASE)


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

    @classmethod
    def of_info(cls, oss: Mapping[str, Any], credentials: str) -> "Location":
        """The location in a data source's info as KusciaAPI answers it (Kuscia facts 7.4)."""
        return cls(
            oss["endpoint"],
            oss["bucket"],
            oss["prefix"],
            oss["access_key_id"],
            oss["access_key_secret"],
            bool(oss["virtualhost"]),
            credentials,
        )

    def object_name(self, relative_uri: str) -> str:
        prefix, name = self.prefix.strip("/"), relative_uri.lstrip("/")
        return f"{prefix}/{name}" if prefix else name


class Store:
    """Reads and writes objects.

    Every method raises RetryableError when the store is not reached, and PermanentError when it refuses; the message
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
            raise PermanentError(
                "unclassified",
                f"bucket {bucket} does not exist at {self.location.endpoint}. Make it, or set "
                "lite.data.source.createBucket: true",
            )
        self._do(f"making bucket {bucket}", lambda: _unless_ours(self._client.make_bucket, bucket))
        return True

    def upload(self, relative_uri: str, content: Content) -> bool:
        """Store an object unless it is there with the same content. Returns whether it was stored.

        A large one goes up in parts and appears as a whole once the last is there.
        """
        name = self.location.object_name(relative_uri)
        digest = content.sha256()
        if self._same(name, content, digest):
            return False

        def put() -> None:
            with content.open() as stream, on_stop(lambda: self._abort([name])):
                self._client.put_object(
                    self.location.bucket,
                    name,
                    stream,
                    length=content.size,
                    part_size=_part_size(content.size),
                    num_parallel_uploads=1,
                    content_type="text/csv" if name.endswith(".csv") else "application/octet-stream",
                    metadata={_HASH: digest},
                    progress=TransferProgress(name, "sent"),
                )

        self._do(f"writing {name} to bucket {self.location.bucket}", put)
        return True

    def abort_uploads(self, relative_uris: Collection[str]) -> None:
        """Give up uploads in parts that a killed process left unfinished: a store keeps and bills them for ever.

        Where the keys have no right to that, it is said and no more.
        """
        names = [self.location.object_name(uri) for uri in relative_uris]
        try:
            aborted = self._do("looking for unfinished uploads", lambda: self._abort(names))
        except PermanentError as error:
            logger.warning("%s. Unfinished uploads, if there are any, stay", error.message)
            return
        for name in aborted:
            logger.info("gave up an unfinished upload of %s", name)

    def _abort(self, names: Collection[str]) -> list[str]:
        # The client's methods for this have no public name; their version is pinned (requirements.txt).
        aborted = []
        for name in names:
            listed = self._client._list_multipart_uploads(self.location.bucket, prefix=name)
            for upload in listed.uploads:
                if upload.object_name == name:
                    self._client._abort_multipart_upload(self.location.bucket, name, str(upload.upload_id))
                    aborted.append(name)
        return aborted

    def exists(self, relative_uri: str) -> bool:
        """Whether there is such an object."""
        return self._stat(self.location.object_name(relative_uri)) is not None

    def size(self, relative_uri: str) -> int | None:
        """An object's bytes; None when there is none."""
        found = self._stat(self.location.object_name(relative_uri))
        return None if found is None else int(found.size)

    def holds(self, relative_uri: str, sha256: str) -> bool:
        """Whether an object is there that was uploaded here with this checksum."""
        found = self._stat(self.location.object_name(relative_uri))
        return found is not None and _stored_hash(found) == sha256

    def delete(self, relative_uri: str) -> None:
        """Delete an object; one that is gone already is fine."""
        name = self.location.object_name(relative_uri)
        work = lambda: self._client.remove_object(self.location.bucket, name)  # noqa: E731
        self._do(f"deleting {name} from bucket {self.location.bucket}", work)

    def header(self, relative_uri: str) -> list[str]:
        """The columns in the first line of a CSV object; see `columns.header`."""
        begin = self._begin(relative_uri, columns.HEADER_BYTES)
        name = self.location.object_name(relative_uri)
        return columns.header(BytesIO(begin), f"{self.location.bucket}/{name}")

    def begins(self, relative_uri: str, mark: bytes) -> bool:
        """Whether an object begins with these bytes."""
        return self._begin(relative_uri, len(mark)) == mark

    def _begin(self, relative_uri: str, length: int) -> bytes:
        name = self.location.object_name(relative_uri)

        def read() -> bytes:
            response = self._client.get_object(self.location.bucket, name, length=length)
            try:
                return bytes(response.read())
            finally:
                response.close()
                response.release_conn()

        if not self.size(relative_uri):
            # No part of nothing can be asked for.
            return b""
        return bytes(self._do(f"reading {name} from bucket {self.location.bucket}", read))

    def rows(self, relative_uri: str) -> tuple[int, list[str]]:
        """Number of data rows, and the columns' names, of a CSV object; see `csv_file.shape`."""
        name = self.location.object_name(relative_uri)

        def read() -> tuple[int, list[str]]:
            response = self._client.get_object(self.location.bucket, name)
            try:
                return shape(response.stream(1 << 20))
            finally:
                response.close()
                response.release_conn()

        count, names = self._do(f"reading {name} from bucket {self.location.bucket}", read)
        return count, names

    def _stat(self, name: str) -> Any | None:
        from minio.error import S3Error

        def stat() -> Any | None:
            try:
                return self._client.stat_object(self.location.bucket, name)
            except S3Error as error:
                if error.code in _MISSING_KEY:
                    return None
                raise

        return self._do(f"looking for {name} in bucket {self.location.bucket}", stat)

    def _same(self, name: str, content: Content, digest: str) -> bool:
        found = self._stat(name)
        if found is None or found.size != content.size:
            return False
        stored = _stored_hash(found)
        if stored:
            return stored == digest
        return str(found.etag or "").strip('"') == content.md5()

    def _do(self, what: str, work: Any) -> Any:
        from xml.etree.ElementTree import ParseError

        from minio.error import MinioException, S3Error
        from urllib3.exceptions import HTTPError

        try:
            return work()
        except (ParseError, UnicodeDecodeError) as error:
            # Whatever is answered with 200 the client takes for an S3 store's answer.
            raise self._no_store(what, error) from error
        except ValueError as error:
            # The client refuses names that no store takes, and bad endpoints.
            raise PermanentError("unclassified", f"{what} failed: {error}") from error
        except S3Error as error:
            raise self._s3_error(what, error) from error
        except MinioException as error:
            if _TLS_WANTED.search(str(error)):
                raise PermanentError("unclassified", f"{what} failed: {self._scheme('https')}") from error
            raise self._no_store(what, error) from error
        except (HTTPError, OSError) as error:
            if "WRONG_VERSION_NUMBER" in str(error):
                raise PermanentError("unclassified", f"{what} failed: {self._scheme('http')}") from error
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise PermanentError(
                    "unclassified",
                    f"{what} failed: the certificate of {self.location.endpoint} is not trusted ({error})",
                ) from error
            raise RetryableError(
                "unclassified-retryable",
                f"{what} failed: {self.location.endpoint} is not reached ({error})",
                see=self._show(),
            ) from error

    def _no_store(self, what: str, error: Exception) -> StepError:
        return RetryableError(
            "unclassified-retryable",
            f"{what} failed: {self.location.endpoint} answers like no S3 store ({error})",
            see=self._show(),
        )

    def _scheme(self, right: str) -> str:
        """The endpoint was given with the other scheme than its server speaks."""
        given, _, rest = self.location.endpoint.partition("://")
        return f"{self.location.endpoint} does not speak {given}; try {right}://{rest}"

    def _s3_error(self, what: str, error: Any) -> StepError:
        code = str(error.code)
        text = f"{what} failed: {code} {error.message or ''}".rstrip()
        if code in _KEYS or error.response.status in (401, 403):
            return PermanentError(
                "unclassified",
                f"{text}. The store refuses the keys in {self.location.credentials} (access key "
                f"{_shortened(self.location.access_key)}), or they have no right to this bucket",
            )
        if code == "NoSuchBucket":
            return PermanentError(
                "unclassified", f"{text}. Bucket {self.location.bucket} does not exist at {self.location.endpoint}"
            )
        if code in _PASSING:
            return RetryableError("unclassified-retryable", text, see=self._show())
        return PermanentError("unclassified", text, see=self._show())

    def _show(self) -> str:
        return f"curl -sv {self.location.endpoint}"


def _part_size(size: int) -> int:
    """Bytes of a part: small, but a store counts to 10 000 only."""
    return max(_PART, -(-size // _PARTS >> 20 << 20))


def _stored_hash(found: Any) -> str:
    metadata = {str(key).lower(): str(value) for key, value in (found.metadata or {}).items()}
    return metadata.get(f"x-amz-meta-{_HASH}", "")


def _unless_ours(make: Any, bucket: str) -> None:
    """Another process may have made it at the same moment."""
    from minio.error import S3Error

    try:
        make(bucket)
    except S3Error as error:
        if error.code != "BucketAlreadyOwnedByYou":
            raise


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
