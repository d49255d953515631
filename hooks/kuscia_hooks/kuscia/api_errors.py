"""The errors of KusciaAPI (Kuscia facts 7.1, 7.3)."""

import re

from kuscia_hooks.core.errors import HookError, NeedsHuman, NotYet

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


class ApiError(HookError):
    """KusciaAPI refused a request.

    Args:
        path: the request's path.
        code: KusciaAPI's code, or the HTTP status where it gave none.
        text: KusciaAPI's message.
    """

    def __init__(self, path: str, code: int, text: str) -> None:
        super().__init__(f"KusciaAPI {path} answered {code}: {text}")
        self.path, self.code, self.text = path, code, text


class Missing(ApiError, NotYet):
    """What the request names does not exist (yet)."""


class Exists(ApiError, NeedsHuman):
    """What should be created is there already; the caller reads and compares it."""


class Refused(ApiError, NeedsHuman):
    """The request as such is wrong."""


class Busy(ApiError, NotYet):
    """The node cannot serve the request now."""


class TimedOut(NotYet):
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
