"""The errors of KusciaAPI (Kuscia facts 7.1, 7.3)."""

import re
from typing import ClassVar

from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError

_MISSING = {11305, 11404, 11506, 11705, 11806, 13105}
_EXISTS = {11306, 11405, 11507, 11704, 11805, 13106}
_MISSING_TEXT = re.compile(r" not found$|doesn't exist$")
_EXISTS_TEXT = re.compile(r"already exists?$|is exist$")
# An overloaded or starting API server behind KusciaAPI speaks through codes that are otherwise final.
_TRANSIENT_TEXT = re.compile(
    r"time(d)? ?out|deadline exceeded|connection (refused|reset)|: EOF$|unavailable|too many requests"
    r"|try again|object has been modified|no such host|etcdserver|leader|being terminated"
    r"|namespaces \"\" not found",
    re.IGNORECASE,
)
_QUOTED_NAME = re.compile(r"\"[^\"]*\"|\[[^\]]*\]")
_TRANSIENT_CODES = {11103}


class ApiError(StepError):
    """KusciaAPI refused a request.

    Args:
        path: the request's path.
        code: KusciaAPI's code, or the HTTP status where it gave none.
        text: KusciaAPI's message.
    """

    error_id: ClassVar[str]

    def __init__(self, path: str, code: int, text: str) -> None:
        super().__init__(self.error_id, f"KusciaAPI {path} answered {code}: {text}")
        self.path, self.code, self.text = path, code, text


class Missing(ApiError, RetryableError):
    """What the request names does not exist (yet)."""

    error_id = "kusciaapi-not-found"


class Exists(ApiError, PermanentError):
    """What should be created is there already; the caller reads and compares it."""

    error_id = "kusciaapi-already-exists"


class Refused(ApiError, PermanentError):
    """The request as such is wrong."""

    error_id = "kusciaapi-rejected"


class Busy(ApiError, RetryableError):
    """The node cannot serve the request now."""

    error_id = "kusciaapi-busy"


class TimedOut(RetryableError):
    """No answer in time; the request may have had its effect."""


def error_for(path: str, code: int, text: str) -> ApiError:
    """The exception for a business error (Kuscia facts 7.3).

    What an object is called says nothing about the error: a domain may be named "leader".
    """
    if code in _EXISTS or _EXISTS_TEXT.search(text):
        return Exists(path, code, text)
    if code in _TRANSIENT_CODES or _TRANSIENT_TEXT.search(_QUOTED_NAME.sub('""', text)):
        return Busy(path, code, text)
    if code in _MISSING or _MISSING_TEXT.search(text):
        return Missing(path, code, text)
    return Refused(path, code, text)
