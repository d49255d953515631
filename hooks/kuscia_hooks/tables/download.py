"""Files from URLs: fetched into a directory, and gone on with where an earlier try was cut off."""

import hashlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from kuscia_hooks.cluster.client import Kube, text_of
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.core.log import hide, logger
from kuscia_hooks.core.progress import TransferProgress, megabytes

_BLOCK = 1 << 20
# What another try may mend; other answers from 400 on are final.
_PASSING = {408, 425, 429}


@dataclass(frozen=True)
class Login:
    """What a server asks for.

    Args:
        query: of a signed URL, without the question mark.
        secret: where it comes from, for messages.
    """

    authorization: httpx.Auth | None = None
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    query: str = field(default="", repr=False)
    secret: str = ""


def login(kube: Kube, namespace: str, name: str) -> Login:
    """What a Secret holds: `token`, or `username` and `password`, or `query` of a signed URL.

    Raises:
        RetryableError: the Secret is missing, has none of these, or one of them is no text.
    """
    show = f"kubectl get secret {name} -n {namespace}"
    data = kube.secret(namespace, name, public=("username",))
    where = f"Secret {namespace}/{name}"
    if data is None:
        raise RetryableError("unclassified-retryable", f"{where} does not exist", see=show)
    # What else is in it may be no text.
    used = [key for key in ("token", "username", "password", "query") if data.get(key, b"").strip()]
    values = {key: text_of(data[key], namespace, name, key).strip() for key in used}
    if "token" in values:
        hide(values["token"])
        return Login(headers={"Authorization": f"Bearer {values['token']}"}, secret=where)
    if "username" in values and "password" in values:
        return Login(httpx.BasicAuth(values["username"], values["password"]), secret=where)
    if "query" in values:
        query = values["query"].removeprefix("?")
        hide(query, *(part.partition("=")[2] for part in query.split("&") if len(part) > 20))
        return Login(query=query, secret=where)
    has = ", ".join(data) or "no key"
    raise RetryableError(
        "unclassified-retryable",
        f"{where} has neither token, nor username and password, nor query (it has {has})",
        see=show,
    )


def shown(url: str) -> str:
    """A URL as it may be printed: what follows the path can be a signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}{'?…' if parts.query else ''}"


def fetch(
    url: str, login: Login, directory: Path, size: int | None = None, transport: httpx.BaseTransport | None = None
) -> Path:
    """The file behind a URL, in `directory`; what is there of it already is not fetched again.

    The next call goes on after the bytes that a try before it left, if the server can and its file is the same.

    Args:
        size: what the file should have, to know a wrong one by its beginning.
        transport: another than the network, for tests.

    Raises:
        RetryableError: the server is not reached, is busy, or broke off.
        PermanentError: it refuses, has no such file, or the URL has the wrong scheme.
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
            httpx.Client(timeout=httpx.Timeout(60, connect=5), follow_redirects=True, transport=transport) as client,
            client.stream("GET", address, headers=headers, auth=login.authorization) as response,
        ):
            _take(url, login, response, file, validator, size)
    except httpx.TransportError as error:
        raise _transport_error(url, error, file) from error
    except (httpx.InvalidURL, httpx.TooManyRedirects) as error:
        raise PermanentError("unclassified", f"{shown(url)}: {type(error).__name__}") from error
    except OSError as error:
        raise RetryableError(
            "unclassified-retryable", f"{shown(url)} cannot be kept: {error}", see="kubectl describe pod"
        ) from error
    return file


def forget(file: Path) -> None:
    """Remove what `fetch` left, and its directory when nothing else is in it."""
    file.unlink(missing_ok=True)
    _validator(file).unlink(missing_ok=True)
    if not any(file.parent.iterdir()):
        file.parent.rmdir()


def _validator(file: Path) -> Path:
    """Which version of the file was fetched, as the server names it."""
    return file.with_suffix(".validator")


def _take(url: str, login: Login, response: httpx.Response, file: Path, validator: Path, size: int | None) -> None:
    status = response.status_code
    there = file.stat().st_size if file.exists() else 0
    if status == 416:
        # All of it had been fetched, and it has not changed (If-Range).
        if response.headers.get("Content-Range") == f"bytes */{there}":
            return
        file.unlink(missing_ok=True)
        raise RetryableError("unclassified-retryable", f"{shown(url)} is shorter than at the last try; beginning anew")
    if status not in (200, 206):
        raise _refused(url, login, response)
    if status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {there}-"):
        file.unlink(missing_ok=True)
        raise RetryableError(
            "unclassified-retryable", f"{shown(url)} answers with another range than was asked for; beginning anew"
        )
    if status == 206:
        logger.info("%s: going on after %s", shown(url), megabytes(there))
    else:
        there = 0
    length = response.headers.get("Content-Length", "")
    total = there + int(length) if length.isdigit() else None
    if size is not None and total is not None and total != size:
        file.unlink(missing_ok=True)
        raise PermanentError("unclassified", f"{shown(url)} has {total} bytes, not the {size} of `size`")
    if status == 200:
        # In this order, or a kill in between would leave a part of one version under the name of another.
        file.unlink(missing_ok=True)
        validator.unlink(missing_ok=True)
        # A weak ETag promises nothing about single bytes (RFC 9110, 13.1.5).
        etag = response.headers.get("ETag", "")
        mark = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
        if mark:
            validator.write_text(mark)
    progress = TransferProgress(shown(url), "fetched", total)
    progress.update(there)
    with file.open("ab" if there else "wb") as target:
        for block in response.iter_raw(_BLOCK):
            target.write(block)
            progress.update(len(block))


def _refused(url: str, login: Login, response: httpx.Response) -> StepError:
    status = response.status_code
    text = f"{shown(url)} answers {status} {response.reason_phrase}".rstrip()
    if status in (401, 403):
        sent = f"the credentials in {login.secret}" if login.secret else "no credentials (urlSecret names a Secret)"
        return PermanentError("unclassified", f"{text} to {sent}")
    if status >= 500 or status in _PASSING:
        return RetryableError("unclassified-retryable", text, see=f"curl -sIL '{shown(url)}'")
    return PermanentError("unclassified", text, see=f"curl -sIL '{shown(url)}'")


def _transport_error(url: str, error: httpx.TransportError, file: Path) -> StepError:
    cause = str(error) or type(error).__name__
    if "WRONG_VERSION_NUMBER" in cause:
        return PermanentError("unclassified", f"{shown(url)} does not speak TLS; does its URL begin with http://?")
    if "CERTIFICATE_VERIFY_FAILED" in cause or isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return PermanentError("unclassified", f"{shown(url)}: its certificate is not trusted ({cause})")
    if file.exists() and file.stat().st_size:
        kept = megabytes(file.stat().st_size)
        return RetryableError(
            "unclassified-retryable", f"{shown(url)} broke off after {kept} ({cause})", see=f"curl -sIL '{shown(url)}'"
        )
    return RetryableError(
        "unclassified-retryable", f"{shown(url)} is not reached ({cause})", see=f"curl -sIL '{shown(url)}'"
    )
