"""The errors of KusciaAPI (Kuscia facts 7.1, 7.3)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.core.text import printable

_MISSING = {11305, 11404, 11506, 11705, 11806, 13105}
_EXISTS = {11306, 11405, 11507, 11704, 11805, 13106}
_MISSING_TEXT = re.compile(r" not found$|doesn't exist$")
_EXISTS_TEXT = re.compile(r"already exists?$|is exist$")
# An overloaded or starting API server behind KusciaAPI uses codes that are otherwise permanent. So does a handler that
# panics, for example because of an object that is being created: 11101 is also for requests that cannot be parsed.
_TRANSIENT_TEXT = re.compile(
    r"time(d)? ?out|deadline exceeded|connection (refused|reset)|: EOF$|unavailable|too many requests"
    r"|try again|object has been modified|no such host|etcdserver|leader|being terminated"
    r"|namespaces \"\" not found|\bpanic, err: ",
    re.IGNORECASE,
)
_QUOTED_NAME = re.compile(r"\"[^\"]*\"|\[[^\]]*\]")
_TRANSIENT_CODES = {11103}


class ApiError(StepError):
    """KusciaAPI returned an error.

    Args:
        path: path of the request.
        code: code of KusciaAPI, or the HTTP status without a code.
        text: message of KusciaAPI.
    """

    error_id: ClassVar[str]

    def __init__(self, path: str, code: int, text: str) -> None:
        super().__init__(self.error_id, f"KusciaAPI {path} returned {code}: {printable(text)}")
        self.path, self.code, self.text = path, code, text


class Missing(ApiError, RetryableError):
    """The object does not exist (yet)."""

    error_id = "kusciaapi-not-found"


class Exists(ApiError, PermanentError):
    """The object already exists; the caller reads and compares it."""

    error_id = "kusciaapi-already-exists"


class Refused(ApiError, PermanentError):
    """The request is invalid."""

    error_id = "kusciaapi-rejected"


class Busy(ApiError, RetryableError):
    """The node cannot process the request at the moment."""

    error_id = "kusciaapi-busy"


class TimedOut(RetryableError):
    """No answer in time; the request may have been carried out."""


class Unreachable(RetryableError):
    """No connection, or it broke; the request may have been carried out."""


class UnexpectedAnswer(PermanentError):
    """An answer has other fields or types, as those of another version of Kuscia can have.

    Args:
        what: is wrong with the answer.
    """

    def __init__(self, what: str) -> None:
        super().__init__(
            "kusciaapi-unexpected-answer",
            f"the answer of KusciaAPI does not have the expected fields ({what})",
            fix="use a version of Kuscia that docs/compatibility.md lists",
        )


def error_for(path: str, code: int, text: str) -> ApiError:
    """Return the exception for an error code and message (Kuscia facts 7.3).

    Names of objects are ignored when the message is classified: a domain may have the ID "leader".
    """
    if code in _EXISTS or _EXISTS_TEXT.search(text):
        return Exists(path, code, text)
    if code in _TRANSIENT_CODES or _TRANSIENT_TEXT.search(_QUOTED_NAME.sub('""', text)):
        return Busy(path, code, text)
    if code in _MISSING or _MISSING_TEXT.search(text):
        return Missing(path, code, text)
    return Refused(path, code, text)


@contextmanager
def expected_fields() -> Iterator[None]:
    """Raise UnexpectedAnswer for the errors that an answer with other fields or types causes in its reader."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UnexpectedAnswer(f"{type(error).__name__}: {printable(error)}") from error
