"""Downloads of files from URLs, which resume where an earlier attempt was interrupted."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from kuscia_hooks.cluster.client import Kube, text_of
from kuscia_hooks.core import proxies, trust
from kuscia_hooks.core.answers import UNTIL_DEADLINE
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.progress import TransferProgress, megabytes
from kuscia_hooks.core.redaction import hide
from kuscia_hooks.core.text import printable, quoted
from kuscia_hooks.tables import outbound

_BLOCK = 1 << 20
# Retryable, as are all from 500; other responses from 400 are final.
_RETRYABLE = {408, 425, 429}


@dataclass(frozen=True)
class Login:
    """Credentials for a server.

    Args:
        query: query of a signed URL, without the question mark.
        secret: name of the Secret, for messages.
    """

    authorization: httpx.Auth | None = None
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    query: str = field(default="", repr=False)
    secret: str = ""


def login(kube: Kube, namespace: str, name: str) -> Login:
    """Return the credentials in a Secret: `token`, or `username` and `password`, or the `query` of a signed URL.

    Raises:
        RetryableError: the Secret is missing, has none of these keys, or a value is not text.
    """
    see = f"kubectl describe secret {quoted(name)} -n {quoted(namespace)}"
    data = kube.secret(namespace, name, public=("username",))
    where = f"Secret {namespace}/{name}"
    if data is None:
        raise RetryableError(
            "secret-not-found",
            f"{where} not found",
            fix=f"kubectl create secret generic {quoted(name)} -n {quoted(namespace)} --from-file=token=FILE",
        )
    # Values under other keys may be binary.
    used = [key for key in ("token", "username", "password", "query") if data.get(key, b"").strip()]
    values = {key: text_of(data[key], namespace, name, key).strip() for key in used}
    if "token" in values:
        hide(values["token"])
        if not (values["token"].isascii() and values["token"].isprintable()):
            raise RetryableError(
                "secret-not-text", f"{where}: the value under key token is not one line of ASCII text", see=see
            )
        return Login(headers={"Authorization": f"Bearer {values['token']}"}, secret=where)
    if "username" in values and "password" in values:
        return Login(httpx.BasicAuth(values["username"], values["password"]), secret=where)
    if "query" in values:
        query = values["query"].removeprefix("?")
        hide(query, *(part.partition("=")[2] for part in query.split("&") if len(part) > 20))
        return Login(query=query, secret=where)
    raise RetryableError(
        "secret-key-missing",
        f"{where} must have key token, keys username and password, or key query (keys: {', '.join(data) or 'none'})",
        fix="add one of these keys, or pairs of keys, to the Secret",
        see=see,
    )


def shown(url: str) -> str:
    """Return a URL for messages, without user, password and query, which may be credentials."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return printable(f"{parts.scheme}://{host}{parts.path}{'?…' if parts.query else ''}")


def fetch(
    url: str, login: Login, directory: Path, size: int | None = None, transport: httpx.BaseTransport | None = None
) -> Path:
    """Download the file behind a URL into `directory` and return its path.

    If an earlier attempt left a part of the file, the download resumes after it, provided that the server supports
    ranges and the file did not change.

    Args:
        size: expected size in bytes, to reject a wrong file before the download, or as soon as more bytes arrive.
        transport: replaces the network in tests.

    Raises:
        RetryableError: the server or the proxy cannot be reached or is busy, the connection broke, or the CA bundle is
            not valid.
        PermanentError: the server or the proxy rejects the request, or the URL is wrong.
    """
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / hashlib.sha256(url.encode()).hexdigest()[:16]
    validator = _validator(file)
    headers = {"Accept-Encoding": "identity", **login.headers}
    there = file.stat().st_size if file.exists() else 0
    if there and validator.exists():
        headers |= {"Range": f"bytes={there}-", "If-Range": validator.read_text()}
    address = url + (("&" if "?" in url else "?") + login.query if login.query else "")
    try:
        with (
            outbound.client(transport) as client,
            client.stream(
                "GET", address, headers=headers, auth=login.authorization, extensions=UNTIL_DEADLINE
            ) as response,
        ):
            _save(url, login, response, file, validator, size)
    except httpx.TransportError as error:
        raise _transport_error(url, error, file) from error
    except (httpx.InvalidURL, httpx.TooManyRedirects) as error:
        raise PermanentError("invalid-url", f"{shown(url)}: {printable(error) or type(error).__name__}") from error
    except OSError as error:
        raise RetryableError(
            "download-not-saved", f"cannot save {shown(url)}: {error}", fix="increase the space for temporary files"
        ) from error
    return file


def size_mismatch(found: str, size: int) -> PermanentError:
    """Return the error of a file with a wrong size.

    Args:
        found: what has which size.
    """
    fix = "correct lite.data.tables[].size, or the file"
    return PermanentError("table-size-mismatch", f"{found}, but size is {size}", fix=fix)


def forget(file: Path) -> None:
    """Delete a file of `fetch`, and its directory if that is then empty."""
    file.unlink(missing_ok=True)
    _validator(file).unlink(missing_ok=True)
    if not any(file.parent.iterdir()):
        file.parent.rmdir()


def _validator(file: Path) -> Path:
    """Return the path of the file with the ETag or date of the downloaded version."""
    return file.with_suffix(".validator")


def _save(url: str, login: Login, response: httpx.Response, file: Path, validator: Path, size: int | None) -> None:
    status = response.status_code
    there = file.stat().st_size if file.exists() else 0
    if status == 416:
        # The file is complete and did not change (If-Range).
        if response.headers.get("Content-Range") == f"bytes */{there}":
            return
        file.unlink(missing_ok=True)
        raise RetryableError(
            "download-changed", f"{shown(url)} has shrunk since the last attempt; restarting the download"
        )
    if status not in (200, 206):
        raise _rejected(url, login, response)
    if status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {there}-"):
        file.unlink(missing_ok=True)
        raise RetryableError(
            "download-changed", f"{shown(url)}: the server returned a different range; restarting the download"
        )
    if status == 206:
        logger.info("%s: resuming after %s", shown(url), megabytes(there))
    else:
        there = 0
    length = response.headers.get("Content-Length", "")
    total = there + int(length) if length.isdigit() else None
    if size is not None and total is not None and total != size:
        file.unlink(missing_ok=True)
        raise size_mismatch(f"{shown(url)} has {total} bytes", size)
    if status == 200:
        # In this order: a kill in between must not leave a part of one version with the mark of another.
        file.unlink(missing_ok=True)
        validator.unlink(missing_ok=True)
        # A weak ETag does not identify the bytes (RFC 9110, 13.1.5).
        etag = response.headers.get("ETag", "")
        mark = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
        # Others cannot be sent back in a header.
        if mark and mark.isascii():
            validator.write_text(mark)
    progress = TransferProgress(shown(url), "downloaded", total)
    # A block of the expected size and one more byte: a longer file is never kept.
    block_bytes = _BLOCK if size is None else max(1, min(_BLOCK, size - there + 1))
    with progress, file.open("ab" if there else "wb") as target:
        progress.update(there)
        for block in response.iter_raw(block_bytes):
            there += len(block)
            if size is not None and there > size:
                file.unlink()
                raise size_mismatch(f"{shown(url)} has more than {size} bytes", size)
            target.write(block)
            progress.update(len(block))


def _rejected(url: str, login: Login, response: httpx.Response) -> StepError:
    status, via = response.status_code, proxies.via(str(response.url))
    text = printable(f"{shown(url)} returned {status} {response.reason_phrase}{via}")
    if status == 407:
        return proxies.rejected(text)
    if status in (401, 403):
        if login.secret:
            return PermanentError(
                "download-credentials-rejected",
                f"{text} for the credentials in {login.secret}",
                fix=f"correct {login.secret}",
            )
        return PermanentError(
            "download-credentials-rejected",
            f"{text} without credentials",
            fix="set urlSecret of the table to a Secret with the credentials",
        )
    if status >= 500 or status in _RETRYABLE:
        return RetryableError("download-unavailable", text, see=_see(url))
    return PermanentError("download-rejected", text, fix="correct the URL", see=_see(url))


def _transport_error(url: str, error: httpx.TransportError, file: Path) -> StepError:
    # A redirect may lead to a server that has another proxy.
    used = str(error.request.url)
    cause = (printable(error) or type(error).__name__) + proxies.via(used)
    if isinstance(error, httpx.ProxyError) and str(error).startswith(("403", "407")):
        return proxies.rejected(f"cannot reach {shown(url)}: {cause}")
    if "WRONG_VERSION_NUMBER" in cause:
        right = shown(url).replace("https://", "http://", 1)
        return PermanentError("download-wrong-scheme", f"{shown(url)} does not use TLS", fix=f"use {right}")
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        return PermanentError(
            "download-certificate-not-trusted",
            f"the certificate of {shown(url)} is not trusted: {cause}",
            fix=trust.advice(cause),
        )
    if file.exists() and file.stat().st_size:
        kept = megabytes(file.stat().st_size)
        return RetryableError(
            "download-interrupted", f"{shown(url)} was interrupted after {kept}: {cause}", see=_see(url)
        )
    return RetryableError("download-unreachable", f"cannot reach {shown(url)}: {cause}", see=_see(url))


def _see(url: str) -> str:
    return f"curl -sIL {quoted(shown(url))}"
