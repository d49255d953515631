"""Text that comes from outside: from servers, users and files."""

import re
import shlex

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def printable(text: object) -> str:
    """Return `text` on one line: every run of control characters, terminal escapes included, becomes a space."""
    return _CONTROL.sub(" ", str(text)).strip()


def quoted(text: object) -> str:
    """Return `text` as one argument of a shell command, without control characters."""
    return shlex.quote(printable(text))
