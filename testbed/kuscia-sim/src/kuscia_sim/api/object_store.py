"""Removes one object from an S3-compatible store (AWS Signature Version 4)."""

import datetime
import hashlib
import hmac
import posixpath
from urllib.parse import quote, urlsplit

import aiohttp

from kuscia_sim.transport.protojson import Dict

REGION = "us-west-2"
TIMEOUT = aiohttp.ClientTimeout(total=30)
_EMPTY = hashlib.sha256(b"").hexdigest()


class ObjectStoreError(Exception):
    """The store refused or could not be asked."""


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signed_headers(method: str, url: str, key_id: str, secret: str, now: datetime.datetime) -> dict[str, str]:
    """The headers that authenticate a request without body and query."""
    parts = urlsplit(url)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    headers = {"host": parts.netloc, "x-amz-content-sha256": _EMPTY, "x-amz-date": stamp}
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"{method}\n{parts.path}\n\n{lines}\n{names}\n{_EMPTY}"
    scope = f"{day}/{REGION}/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in (day, REGION, "s3", "aws4_request"):
        key = _hmac(key, part)
    signature = _hmac(key, to_sign).hex()
    authorization = f"AWS4-HMAC-SHA256 Credential={key_id}/{scope},SignedHeaders={names},Signature={signature}"
    return {**headers, "authorization": authorization}


async def delete(oss: Dict, relative_uri: str) -> None:
    """Deletes `<prefix>/<relative_uri>` of the data source's bucket; an absent object is fine.

    Raises ObjectStoreError.
    """
    endpoint = urlsplit(oss["endpoint"])
    key = quote(posixpath.join(oss["prefix"], relative_uri))
    if oss["virtualhost"]:
        url = f"{endpoint.scheme}://{oss['bucket']}.{endpoint.netloc}/{key}"
    else:
        url = f"{endpoint.scheme}://{endpoint.netloc}/{oss['bucket']}/{key}"
    now = datetime.datetime.now(datetime.UTC)
    headers = signed_headers("DELETE", url, oss["access_key_id"], oss["access_key_secret"], now)
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.delete(url, headers=headers) as response,
        ):
            if response.status >= 300 and response.status != 404:
                raise ObjectStoreError(f"HTTP {response.status}: {await response.text()}")
    except (aiohttp.ClientError, TimeoutError, ValueError) as err:
        raise ObjectStoreError(repr(err)) from err
