"""An S3 store in memory, behind the real client: it answers the client's HTTP requests before they are sent."""

import hashlib
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.awsrequest import AWSResponse

from kuscia_hooks.tables import s3

_FORBIDDEN = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "XAdminUserNotFound")
_STATUS = dict.fromkeys(_FORBIDDEN, 403) | {
    "NoSuchKey": 404,
    "NoSuchBucket": 404,
    "InvalidRange": 416,
    "SlowDown": 503,
    "SecondLevelDomainForbidden": 403,
}


@dataclass
class Object:
    """An object and its user metadata."""

    content: bytes
    metadata: dict[str, str] = field(default_factory=dict)
    etag: str = ""

    def __post_init__(self) -> None:
        self.etag = self.etag or hashlib.md5(self.content, usedforsecurity=False).hexdigest()


class FakeS3:
    """Buckets of objects.

    Attributes:
        fail: an S3 error code, or an exception that sending a request raises; applies to every request while set.
        answer: status and body of every response while set, as from a server that is not an S3 store.
        quote: around each ETag.
        puts: names of the objects that were written through the client.
        requests: the object of each request, "" for requests of the bucket.
    """

    def __init__(self, *buckets: str) -> None:
        self.buckets: dict[str, dict[str, Object]] = {name: {} for name in buckets}
        self.fail: str | Exception | None = None
        self.answer: tuple[int, bytes] | None = None
        self.puts: list[str] = []
        self.quote = '"'
        self.requests: list[str] = []
        self._connect = s3.connect

    def connect(self, location: s3.Location) -> Any:
        """Return the client of `tables.s3.connect`, connected to this store; set it in place of that function."""
        client = self._connect(location)
        client.meta.events.unregister("before-send.s3", unique_id=s3.RESOLVER)
        # Without the pauses between retries.
        client.meta.events.unregister("needs-retry.s3", unique_id="retry-config-s3")
        client.meta.events.register("before-send.s3", self._respond)
        return client

    def store(self, bucket: str, name: str, content: bytes, metadata: dict[str, str] | None = None) -> None:
        """Put an object there without the client."""
        self.buckets[bucket][name] = Object(content, metadata or {})

    def _respond(self, request: Any, **_: Any) -> AWSResponse:
        if isinstance(self.fail, Exception):
            raise self.fail
        url = urlsplit(request.url)
        bucket, _, name = unquote(url.path).lstrip("/").partition("/")
        query = parse_qs(url.query, keep_blank_values=True)
        self.requests.append(name)
        if self.answer is not None:
            status, headers, body = *self.answer[:1], {"Content-Type": "text/html"}, self.answer[1]
        elif self.fail is not None:
            status, headers, body = _error(self.fail)
        elif not name:
            status, headers, body = self._bucket(request.method, bucket, query)
        elif bucket not in self.buckets:
            status, headers, body = _error("NoSuchBucket")
        else:
            status, headers, body = self._object(request, self.buckets[bucket], name)
        if request.method == "HEAD":
            body = b""
        return AWSResponse(request.url, status, {"Content-Length": str(len(body))} | headers, _Raw(body))

    def _bucket(self, method: str, bucket: str, query: dict[str, list[str]]) -> tuple[int, dict[str, str], bytes]:
        if method == "PUT":
            self.buckets[bucket] = {}
            return 200, {}, b""
        if bucket not in self.buckets:
            return _error("NoSuchBucket")
        if "list-type" in query:
            return 200, {}, b"<ListBucketResult/>"
        # Objects are stored as a whole here; test_s3_server.py has multipart uploads.
        assert "uploads" in query
        return 200, {}, b"<ListMultipartUploadsResult/>"

    def _object(self, request: Any, objects: dict[str, Object], name: str) -> tuple[int, dict[str, str], bytes]:
        if request.method == "PUT":
            body = request.body if isinstance(request.body, bytes) else request.body.read()
            prefix = "x-amz-meta-"
            texts = {
                key.lower(): value.decode() if isinstance(value, bytes) else value
                for key, value in request.headers.items()
            }
            given = {key.removeprefix(prefix): text for key, text in texts.items() if key.startswith(prefix)}
            objects[name] = Object(body, given)
            self.puts.append(name)
            return 200, {"ETag": f'"{objects[name].etag}"'}, b""
        if request.method == "DELETE":
            objects.pop(name, None)
            return 204, {}, b""
        if name not in objects:
            return _error("NoSuchKey")
        found = objects[name]
        headers = {f"x-amz-meta-{key}": value for key, value in found.metadata.items()} | {
            "ETag": f"{self.quote}{found.etag}{self.quote}"
        }
        if request.method == "HEAD":
            return 200, {"Content-Length": str(len(found.content)), **headers}, b""
        wanted = request.headers.get("Range")
        if wanted is None:
            return 200, headers, found.content
        text = wanted.decode() if isinstance(wanted, bytes) else wanted
        if not found.content:
            return _error("InvalidRange")
        part = found.content[: int(text.removeprefix("bytes=0-")) + 1]
        headers["Content-Range"] = f"bytes 0-{len(part) - 1}/{len(found.content)}"
        return 206, headers, part


class _Raw(BytesIO):
    """The part of a urllib3 response that the client reads."""

    def stream(self, amt: int = 1 << 16, **_: Any) -> Any:
        while block := self.read(amt):
            yield block


def _error(code: str) -> tuple[int, dict[str, str], bytes]:
    body = f"<Error><Code>{code}</Code><Message>because {code}</Message></Error>"
    return _STATUS.get(code, 400), {"Content-Type": "application/xml"}, body.encode()
