"""Continue tokens of lists, created and rejected as in apiserver 0.33 (pkg/storage/continue.go)."""

import base64
import json
import posixpath
import string

from kuscia_sim.transport.protojson import INT64, STR, DecodeError, message, unmarshal_go

VERSION = "meta.k8s.io/v1"
INVALID = "continue key is not valid"
_TOKEN = message("continueToken", "storage", v=STR, rv=INT64, start=STR)
_ALPHABET = (string.ascii_letters + string.digits + "-_").encode()
_SKIPPED = b"\r\n"


def write_token(last: str, revision: int) -> str:
    """Return the token for the last listed name and the revision."""
    data = json.dumps({"v": VERSION, "rv": revision, "start": f"/{last}\0"}, separators=(",", ":"))
    return base64.urlsafe_b64encode(data.encode()).decode().rstrip("=")


def read_token(token: str) -> tuple[str, int]:
    """Return the name to continue after and the revision; ("", 0) without a token.

    Raises:
        ValueError: the token is invalid, with Go's text.
    """
    if not token:
        return "", 0
    try:
        found = unmarshal_go(_decode(token.encode()), _TOKEN)
        if found["v"] != VERSION:
            raise ValueError(f"{INVALID}: server does not recognize this encoded version {found['v']}")
        if not found["rv"]:
            raise ValueError(f"{INVALID}: incorrect encoded start resourceVersion (version {VERSION})")
        if not found["start"]:
            raise ValueError(f"{INVALID}: encoded start key empty (version {VERSION})")
        key = "/" + found["start"].removeprefix("/")
        if key != posixpath.normpath("/" + key.lstrip("/")):
            raise ValueError(f"{INVALID}: {found['start']}")
    except _Illegal as err:
        raise ValueError(f"invalid continue token: {INVALID}: illegal base64 data at input byte {err.offset}") from None
    except DecodeError as err:
        raise ValueError(f"invalid continue token: {INVALID}: {err}") from None
    except ValueError as err:
        raise ValueError(f"invalid continue token: {err}") from None
    return key[1:], found["rv"]


class _Illegal(Exception):
    """The text is not base64, as Go's base64.CorruptInputError."""

    def __init__(self, offset: int) -> None:
        self.offset = offset


def _decode(token: bytes) -> bytes:
    """Decode base64 as base64.RawURLEncoding does: line ends are ignored, a single last character is an error.

    Raises:
        _Illegal: the text is not base64.
    """
    for offset, char in enumerate(token):
        if char not in _ALPHABET and char not in _SKIPPED:
            raise _Illegal(offset)
    text = token.translate(None, _SKIPPED)
    if len(text) % 4 == 1:
        raise _Illegal(len(token) - 1)
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
