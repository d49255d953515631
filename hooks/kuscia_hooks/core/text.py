"""Text that comes from outside: from servers, users and files."""

import re
import shlex
from collections.abc import Sequence

# With halves of surrogate pairs, which JSON can contain and UTF-8 cannot.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


def printable(text: object) -> str:
    """Return `text` on one line: every run of control characters, terminal escapes included, becomes a space."""
    return _CONTROL.sub(" ", str(text)).strip()


def printable_lines(text: str) -> str:
    """Return `text` without control characters, but with its line breaks and the indentation of its lines."""
    lines = text.split("\n")
    return "\n".join(line[: len(line) - len(line.lstrip(" "))] + printable(line) for line in lines)


def shortened(text: str, limit: int) -> str:
    """Return a text of at most `limit` characters, whose end is "…" if it is cut."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def first_of(names: Sequence[str], limit: int = 10) -> str:
    """Return the first `limit` names as a list with commas, and the number of the others."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def quoted(text: object) -> str:
    """Return `text` as one argument of a shell command, without control characters."""
    return shlex.quote(printable(text))
