"""Objects in an S3-compatible store."""

import re
import socket
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit
from xml.etree.ElementTree import ParseError

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core import hosts, proxies, trust
from kuscia_hooks.core.cleanup import on_stop
from kuscia_hooks.core.config.data import Credentials
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.progress import TransferProgress
from kuscia_hooks.core.text import printable, quoted
from kuscia_hooks.core.waiting import current
from kuscia_hooks.tables import csv_file
from kuscia_hooks.tables.source import Content

PART_BYTES = 8 << 20
"""Size of a part of a multipart upload, which is held in memory. The library increases it above 10 000 parts."""

UNFINISHED_SECONDS = 24 * 3600.0
"""Age from which an unfinished upload counts as left by a killed process."""

RESOLVER = "kuscia-hooks-resolver"
"""ID of the handler that looks up the host of a store; a test without DNS removes it."""

_HASH = "sha256"
_BLOCK = 1 << 20
_SIGNATURES = {"s3v2": "s3", "s3v4": "s3v4"}
# A HEAD response has no body, so that the library reports its HTTP status as the error code.
_NO_OBJECT = {"NoSuchKey", "NoSuchObject", "ResourceNotFound", "404"}
_NO_BUCKET = {"NoSuchBucket", "404"}
_NO_LOGIN = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSecurity", "Unauthorized", "XAdminUserNotFound"}
_BUSY = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "XMinioServerNotInitialized"}
# Aliyun OSS and Tencent COS, under names of their own.
_STYLE = {"SecondLevelDomainForbidden", "PathStyleDomainForbidden"}
# The answers of Go, nginx and others to plain HTTP on a TLS port.
_TLS_REQUIRED = re.compile(r"HTTP request to an HTTPS server|plain HTTP request was sent to HTTPS port", re.IGNORECASE)
# The answer of a proxy to CONNECT, in a message of the library.
_TUNNEL_REJECTED = re.compile(r"Tunnel connection failed: (?:403|407)\b")
# The root element of a response body; its XML declaration and byte order mark may be absent.
_ROOT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?<(\w+)")

_connecting = threading.Lock()

T = TypeVar("T")


@dataclass(frozen=True)
class Location:
    """A bucket and how to reach it.

    Args:
        prefix: of the object names; leading and trailing slashes do not count.
        virtualhost: whether the bucket is part of the host name instead of the path.
        version: of the signatures, `s3v4` or `s3v2`.
        credentials: where the access keys come from, for messages.
    """

    endpoint: str
    bucket: str
    prefix: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    virtualhost: bool = False
    version: str = "s3v4"
    credentials: str = "the data source"

    @classmethod
    def of_info(cls, oss: Mapping[str, Any], credentials: str) -> "Location":
        """Return the location in the info of a data source as KusciaAPI returns it (Kuscia facts 7.4)."""
        return cls(
            oss["endpoint"],
            oss["bucket"],
            oss["prefix"],
            oss["access_key_id"],
            oss["access_key_secret"],
            bool(oss["virtualhost"]),
            oss.get("version") or "s3v4",
            credentials,
        )

    @property
    def url(self) -> str:
        """URL of the bucket, as requests have it."""
        scheme, _, rest = self.endpoint.partition("://")
        return f"{scheme}://{self.bucket}.{rest}" if self.virtualhost else f"{self.endpoint}/{self.bucket}"

    def object_name(self, relative_uri: str) -> str:
        """Return the full object name of a table."""
        prefix, name = self.prefix.strip("/"), relative_uri.lstrip("/")
        return f"{prefix}/{name}" if prefix else name


def access_keys(kube: Kube, namespace: str, credentials: Credentials) -> tuple[str, str]:
    """Return ID and secret of the access key in a Secret. Raises RetryableError; see `Kube.secret_text`."""
    # The ID of an access key is not secret, and often a word that the log needs.
    public = (credentials.access_key_id_key,)
    identity, secret = (
        kube.secret_text(namespace, credentials.name, name, public).strip()
        for name in (credentials.access_key_id_key, credentials.access_key_secret_key)
    )
    return identity, secret


class Store:
    """Reads and writes the objects of one bucket.

    Raises:
        RetryableError: by every method, when the store or the proxy cannot be reached or is busy; when the CA bundle
            cannot be used.
        PermanentError: by every method, when the store or the proxy rejects the request.
    """

    def __init__(self, location: Location) -> None:
        self.location = location
        self._client = connect(location)
        # The unfinished uploads of this process: object name by upload ID.
        self._unfinished: dict[str, str] = {}
        self._client.meta.events.register("after-call.s3.CreateMultipartUpload", self._begun)

    def _begun(self, parsed: Mapping[str, Any], **_: Any) -> None:
        if upload_id := parsed.get("UploadId"):
            self._unfinished[upload_id] = parsed["Key"]

    def bucket_exists(self) -> bool:
        """Return whether the bucket exists."""
        return self._do("look up the bucket", self._bucket_exists)

    def ensure_bucket(self, create: bool) -> bool:
        """Create the bucket if it does not exist and `create` is set. Return whether it was created.

        Raises:
            PermanentError: the bucket does not exist, and `create` is not set.
        """
        if self.bucket_exists():
            return False
        if not create:
            raise self._bucket_not_found()
        self._do("create the bucket", self._create_bucket)
        return True

    def upload(self, relative_uri: str, content: Content) -> None:
        """Store an object.

        A large object is sent in parts and becomes visible when the last part has arrived. Of several clients that
        store the same object at the same time, the last one to end wins.
        """
        from boto3.s3.transfer import TransferConfig

        name, digest = self.location.object_name(relative_uri), content.sha256()
        # Without threads: one part in memory, and SIGTERM interrupts the transfer.
        settings = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, use_threads=False)
        kind = "text/csv" if name.endswith(".csv") else "application/octet-stream"

        def put() -> None:
            progress = TransferProgress(name, "sent", content.size)
            with progress, content.open() as stream, on_stop(self._abort_own):
                self._client.upload_fileobj(
                    stream,
                    self.location.bucket,
                    name,
                    ExtraArgs={"ContentType": kind, "Metadata": {_HASH: digest}},
                    Callback=progress.update,
                    Config=settings,
                )

        try:
            self._do(f"write {name}", put)
        finally:
            # The library has completed or aborted the upload.
            self._unfinished.clear()

    def _abort_own(self) -> None:
        for upload_id, name in self._unfinished.items():
            self._client.abort_multipart_upload(Bucket=self.location.bucket, Key=name, UploadId=upload_id)

    def abort_uploads(self, relative_uris: Collection[str]) -> None:
        """Abort old unfinished uploads of these objects, which killed processes left; stores bill their parts.

        Younger ones may belong to a concurrent copy of the step. If the access keys do not permit this, log a warning
        and continue.
        """
        names = {self.location.object_name(uri) for uri in relative_uris}
        try:
            aborted = self._do("list unfinished uploads", lambda: self._abort_old(names))
        except PermanentError as error:
            logger.warning("[%s] %s. Unfinished uploads, if any, are kept", error.id, error.message)
            return
        for name in aborted:
            logger.info("aborted an unfinished upload of %s", name)

    def _abort_old(self, names: Collection[str]) -> list[str]:
        bucket, aborted = self.location.bucket, []
        pages = self._client.get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=bucket, Prefix=_common_prefix(names)):
            for upload in page.get("Uploads", []):
                # Other objects of the bucket are not ours.
                if upload["Key"] in names and _age(page, upload) > UNFINISHED_SECONDS:
                    self._client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
                    aborted.append(upload["Key"])
        return aborted

    def size(self, relative_uri: str) -> int | None:
        """Return the size of an object in bytes, or None if it does not exist."""
        found = self._head(self.location.object_name(relative_uri))
        return None if found is None else int(found["ContentLength"])

    def holds(self, relative_uri: str, sha256: str) -> bool:
        """Return whether the object exists and was uploaded by `upload` with this checksum."""
        found = self._head(self.location.object_name(relative_uri))
        return found is not None and _stored_hash(found) == sha256

    def change(self, relative_uri: str, content: Content) -> Literal["create", "update"] | None:
        """Return what `upload` would do with an object; None if it has this content."""
        found = self._head(self.location.object_name(relative_uri))
        if found is None:
            return "create"
        if found["ContentLength"] != content.size:
            return "update"
        # The ETag of an object that was uploaded as a whole is its MD5.
        stored = _stored_hash(found)
        etag = str(found.get("ETag", "")).strip('"').lower()
        same = stored == content.sha256() if stored else etag == content.md5()
        return None if same else "update"

    def uploaded(self, relative_uri: str) -> bool:
        """Return whether the object exists and was stored by `upload`."""
        found = self._head(self.location.object_name(relative_uri))
        return found is not None and bool(_stored_hash(found))

    def delete(self, relative_uri: str) -> None:
        """Delete an object. Do nothing if it does not exist."""
        name = self.location.object_name(relative_uri)
        self._do(f"delete {name}", lambda: self._client.delete_object(Bucket=self.location.bucket, Key=name))

    def begin(self, relative_uri: str, length: int = csv_file.HEADER_BYTES) -> tuple[int, bytes] | None:
        """Return the size of an object and up to `length` of its first bytes; None if it does not exist."""
        name = self.location.object_name(relative_uri)
        return self._do(f"read {name}", lambda: self._read_begin(name, length))

    def rows(self, relative_uri: str) -> tuple[int, list[str]]:
        """Return the number of data rows and the column names of a CSV object; see `csv_file.shape`."""
        name = self.location.object_name(relative_uri)

        def read() -> tuple[int, list[str]]:
            with closing(self._client.get_object(Bucket=self.location.bucket, Key=name)["Body"]) as body:
                return csv_file.shape(body.iter_chunks(_BLOCK), f"{self.location.bucket}/{name}")

        return self._do(f"read {name}", read)

    def _read_begin(self, name: str, length: int) -> tuple[int, bytes] | None:
        from botocore.exceptions import ClientError

        try:
            found = self._client.get_object(Bucket=self.location.bucket, Key=name, Range=f"bytes=0-{length - 1}")
        except ClientError as error:
            if _code(error) == "InvalidRange":
                # No range of an empty object is valid.
                return 0, b""
            if _code(error) not in _NO_OBJECT:
                raise
            return None
        with closing(found["Body"]) as body:
            # A store that does not support ranges returns the whole object.
            begin = bytes(body.read(length))
        size = str(found.get("ContentRange", "")).rpartition("/")[2]
        return int(size) if size.isdigit() else int(found["ContentLength"]), begin

    def _bucket_exists(self) -> bool:
        """List one object: a response to HEAD has no body that would show whether an S3 store sent it.

        GetBucketLocation is unsuitable: the library sends it in path style always, which some stores reject.
        """
        from botocore.exceptions import ClientError

        try:
            prefix = self.location.object_name("")
            self._client.list_objects_v2(Bucket=self.location.bucket, Prefix=prefix, MaxKeys=1)
        except ClientError as error:
            if _code(error) in _NO_BUCKET:
                return False
            raise
        return True

    def _create_bucket(self) -> None:
        from botocore.exceptions import ClientError

        try:
            self._client.create_bucket(Bucket=self.location.bucket)
        except ClientError as error:
            # Another process created it at the same time.
            if _code(error) != "BucketAlreadyOwnedByYou":
                raise

    def _head(self, name: str) -> Mapping[str, Any] | None:
        """Return the metadata of an object, or None if it does not exist in an existing bucket."""
        from botocore.exceptions import ClientError

        def head() -> Mapping[str, Any] | None:
            try:
                found: Mapping[str, Any] = self._client.head_object(Bucket=self.location.bucket, Key=name)
                return found
            except ClientError as error:
                if _code(error) not in _NO_OBJECT:
                    raise
            if not self._bucket_exists():
                raise self._bucket_not_found()
            return None

        return self._do(f"look up {name}", head)

    def _do(self, what: str, work: Callable[[], T]) -> T:
        """Call `work` and turn the errors of the library into errors with an ID.

        Args:
            what: for messages, such as `read p/alice.csv`.
        """
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
        from botocore.parsers import ResponseParserError
        from urllib3.exceptions import HTTPError

        try:
            return work()
        except ClientError as error:
            raise self._rejected(what, error) from error
        except _UnresolvedError as error:
            fix = error.fix or "correct lite.data.source.endpoint"
            text = f"{self.location.endpoint}: {error.text}"
            raise RetryableError("s3-host-not-found", text, fix, see=self._see()) from error
        except _NotS3Error as error:
            if _TLS_REQUIRED.search(str(error)):
                raise self._wrong_scheme("https") from error
            raise self._not_s3(error) from error
        except _ProxyRejectedError as error:
            raise proxies.rejected(self._failed(what, error)) from error
        except (ResponseParserError, ParseError) as error:
            raise self._not_s3(error) from error
        except (ParamValidationError, ValueError) as error:
            # The library rejects invalid bucket names and endpoints before it sends anything.
            raise PermanentError("s3-rejected", self._failed(what, error)) from error
        except (BotoCoreError, Boto3Error, HTTPError, OSError) as error:
            raise self._unreachable(what, error) from error

    def _failed(self, what: str, cause: object) -> str:
        return f"cannot {what} in bucket {self.location.bucket} at {self._address}: {printable(cause)}"

    @property
    def _address(self) -> str:
        """Endpoint and proxy, for messages."""
        return self.location.endpoint + proxies.via(self.location.url)

    def _bucket_not_found(self) -> StepError:
        return PermanentError(
            "bucket-not-found",
            f"bucket {self.location.bucket} not found at {self.location.endpoint}",
            fix="create the bucket, or set lite.data.source.createBucket: true",
        )

    def _not_s3(self, error: Exception) -> StepError:
        return RetryableError(
            "not-an-s3-endpoint",
            f"{self._address} does not look like an S3 endpoint ({printable(error)})",
            fix="set lite.data.source.endpoint to the address of the S3 API (not of the web console)",
            see=self._see(),
        )

    def _wrong_scheme(self, right: str) -> StepError:
        given, _, rest = self.location.endpoint.partition("://")
        return PermanentError(
            "s3-wrong-scheme",
            f"{self.location.endpoint} does not use {given}",
            fix=f"set lite.data.source.endpoint: {right}://{rest}",
        )

    def _unreachable(self, what: str, error: Exception) -> StepError:
        # The library's own message has the URL only; what failed is in `error`.
        cause = str(getattr(error, "kwargs", {}).get("error") or error)
        if "WRONG_VERSION_NUMBER" in cause:
            return self._wrong_scheme("http")
        if "CERTIFICATE_VERIFY_FAILED" in cause:
            return PermanentError(
                "s3-certificate-not-trusted",
                f"the certificate of {self._address} is not trusted: {printable(cause)}",
                fix=trust.advice(cause),
            )
        if _TUNNEL_REJECTED.search(cause):
            return proxies.rejected(self._failed(what, cause))
        return RetryableError("s3-unreachable", self._failed(what, cause), see=self._see())

    def _rejected(self, what: str, error: Any) -> StepError:
        code, status = _code(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        location = self.location
        text = self._failed(what, f"{code} {error.response['Error'].get('Message', '')}")
        if code == "NoSuchBucket":
            return self._bucket_not_found()
        if code == "NoSuchUpload":
            return RetryableError("s3-upload-aborted", text)
        if code in _STYLE:
            return self._requires_virtualhost(code)
        if code in _NO_LOGIN or status == 401:
            return PermanentError(
                "s3-credentials-rejected",
                f"{text} (access key {_shortened(location.access_key)} in {location.credentials})",
                fix=f"correct the access keys in {location.credentials}",
            )
        if status == 403 or code == "AccessDenied":
            old = location.version == "s3v2"
            return PermanentError(
                "s3-permission-denied",
                f"{text} (access key {_shortened(location.access_key)} in {location.credentials})",
                fix=f"permit this for the access key, or correct the access keys in {location.credentials}"
                + ("; if the store requires signature version 4, set lite.data.source.version: s3v4" if old else ""),
            )
        if code in _BUSY or status >= 500:
            return RetryableError("s3-unavailable", text, see=self._see())
        return PermanentError("s3-rejected", text, see=self._see())

    def _requires_virtualhost(self, code: str) -> StepError:
        return PermanentError(
            "store-requires-virtualhost",
            f"{self.location.endpoint} rejects requests with the bucket in the path ({code})",
            fix="set lite.data.source.virtualhost: true",
        )

    def _see(self) -> str:
        return f"curl -sv {quoted(self.location.endpoint)}"


class _NotS3Error(Exception):
    """Something other than an S3 store sent the response. The text is the beginning of its body."""


class _ProxyRejectedError(Exception):
    """The proxy, not the store, returned 407."""


def _require_s3(operation_model: Any, response_dict: Mapping[str, Any], **_: Any) -> None:
    """Reject responses that no S3 store sends. The library takes every 200 for success, a login page included.

    Raises:
        _NotS3Error: the response is neither an S3 error nor, where one is expected, a list of objects.
        _ProxyRejectedError: it is that of a proxy.
    """
    status, body = response_dict["status_code"], response_dict["body"]
    if status == 407:
        raise _ProxyRejectedError("407 Proxy Authentication Required")
    # 500: the library has changed the status of a 200 with an S3 error or without XML.
    if status > 500 or not isinstance(body, bytes):
        return
    listing = operation_model.name == "ListObjectsV2"
    if (not listing and (status < 300 or not body)) or (status == 500 and not body):
        return
    found = _ROOT.match(body)
    if not found or found[1] != (b"ListBucketResult" if status < 300 else b"Error"):
        raise _NotS3Error(f"response: {body[:100].decode(errors='replace') or 'empty'}")


def _require_time(event_name: str, **_: Any) -> None:
    """Send nothing after the current deadline: neither the next part or object, nor the library's next try.

    Parts that were sent are deleted nevertheless.

    Raises:
        TimeoutError: the deadline has passed.
    """
    if current().passed and not event_name.endswith(".AbortMultipartUpload"):
        raise TimeoutError("the deadline has passed")


class _UnresolvedError(Exception):
    """The absolute name of the store has no address."""

    def __init__(self, host: str, error: socket.gaierror) -> None:
        super().__init__(str(error))
        self.text, self.fix = hosts.unresolved(host, error)


class _Resolver:
    """Rejects a host that only the search list of the pod completes: Kuscia and its engines have none."""

    def __init__(self) -> None:
        self._resolved: set[str] = set()

    def __call__(self, request: Any, **_: Any) -> None:
        """Look a host up before the first request. A proxy resolves names itself.

        Raises:
            _UnresolvedError: it has no address.
        """
        host = urlsplit(request.url).hostname or ""
        if host in self._resolved or proxies.proxy_for(request.url):
            return
        try:
            socket.getaddrinfo(hosts.absolute(host), None, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise _UnresolvedError(host, error) from error
        self._resolved.add(host)


@cache
def _session() -> Any:
    """Return the one session: it reads the description of the S3 API, which takes long, once."""
    # Imported on use: the import takes a quarter of a second, and most steps need no object store.
    from boto3.session import Session

    return Session()


def connect(location: Location) -> Any:
    """Return a boto3 client for the store; the deadline that is current now bounds its read timeout.

    Raises:
        StepError: as `trust.bundle` and `proxies.proxy_for`.
    """
    # One thread at a time may make a client.
    with _connecting:
        client = _client(location)
    client.meta.events.register_last("before-parse.s3.*", _require_s3)
    client.meta.events.register_first("before-send.s3", _Resolver(), unique_id=RESOLVER)
    client.meta.events.register_first("before-send.s3", _require_time)
    return client


def _client(location: Location) -> Any:
    from botocore.config import Config

    trusted, proxy, deadline = trust.file(), proxies.proxy_for(location.url), current()
    return _session().client(
        "s3",
        aws_access_key_id=location.access_key,
        aws_secret_access_key=location.secret_key,
        # If the bucket is in a different region, the library learns that from the first response.
        region_name="us-east-1",
        endpoint_url=location.endpoint,
        verify=trusted,
        config=Config(
            signature_version=_SIGNATURES[location.version],
            s3={"addressing_style": "virtual" if location.virtualhost else "path"},
            # With {}, the library does not use the variables of the environment.
            proxies={urlsplit(location.endpoint).scheme: proxy.url} if proxy else {},
            proxies_config={"proxy_ca_bundle": trusted},
            connect_timeout=5,
            # A client may be used after the deadline that is current now.
            read_timeout=max(5, deadline.bound(60)),
            retries={"mode": "standard", "total_max_attempts": 3},
            # Stores other than AWS do not support the newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _common_prefix(names: Collection[str]) -> str:
    """Return the directory that all objects are in, so that one listing finds them."""
    directories = [name.rpartition("/")[0].split("/") for name in names]
    common = []
    for parts in zip(*directories, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return "/".join(common) + "/" if any(common) else ""


def _age(page: Mapping[str, Any], upload: Mapping[str, Any]) -> float:
    """Return the age of an upload in seconds, by the clock of the store."""
    date = page["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    now = parsedate_to_datetime(date) if date else datetime.now(UTC)
    begun: datetime = upload["Initiated"]
    return (now - begun).total_seconds()


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _stored_hash(found: Mapping[str, Any]) -> str:
    metadata = {key.lower(): value for key, value in found.get("Metadata", {}).items()}
    return str(metadata.get(_HASH, ""))


def _shortened(key: str) -> str:
    return f"{key[:4]}…" if len(key) > 8 else "***"
