"""A finding of `doctor`, and the patterns that recognize one in a log."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kuscia_hooks.core.text import printable, quoted


@dataclass(frozen=True)
class Finding:
    """One cause of failure.

    Args:
        id: ID of the catalog of errors or of `known/summaries.py`.
        cause: what is wrong.
        fix: the command that fixes it, or that shows what has to be fixed.
        seen: where it was seen, with the line that decides.
    """

    id: str
    cause: str
    fix: str
    seen: str


@dataclass(frozen=True)
class LogPattern:
    """A cause that a log shows.

    Args:
        pattern: regular expression for the log.
        cause: template of the cause; may use the groups of the pattern and the names of the release.
        fix: template of the fix; may use the same.
    """

    id: str
    pattern: str
    cause: str
    fix: str


def swapped(endpoint: str) -> str:
    """Return an endpoint with the other of the schemes http and https."""
    scheme, _, rest = endpoint.partition("://")
    return f"{'http' if scheme == 'https' else 'https'}://{rest}"


def match_log(text: str, patterns: tuple[LogPattern, ...], names: Mapping[str, str], where: str) -> Finding | None:
    """Return the finding of the first pattern that matches, or None.

    Args:
        names: names of the release, quoted for a shell.
        where: where the log is from.
    """
    for one in patterns:
        match = re.search(one.pattern, text)
        if match:
            groups = {name: printable(value) for name, value in match.groupdict().items() if value is not None}
            if "endpoint" in groups:
                groups["swapped"] = swapped(groups["endpoint"])
            begin = text.rfind("\n", 0, match.start()) + 1
            end = text.find("\n", match.end())
            line = printable(text[begin : end if end >= 0 else len(text)])
            return Finding(
                one.id,
                one.cause.format_map({**names, **groups}),
                one.fix.format_map({**names, **{name: quoted(value) for name, value in groups.items()}}),
                f"{where}: {line}",
            )
    return None
