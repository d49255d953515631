"""A finding of `doctor`, and how a known cause is recognized in a text."""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One cause.

    Args:
        name: of the cause, for tests and for those who search.
        cause: what is wrong, for a person.
        cure: the command that mends it, or shows what has to be mended.
        seen: where, and the line that decides.
    """

    name: str
    cause: str
    cure: str
    seen: str


@dataclass(frozen=True)
class Known:
    """A cause that a text gives away; its groups, and the release's names, may stand in cause and cure."""

    name: str
    pattern: str
    cause: str
    cure: str


def match_log(text: str, known: tuple[Known, ...], names: Mapping[str, str], where: str) -> Finding | None:
    """The first known cause in a text; None when there is none."""
    for one in known:
        match = re.search(one.pattern, text)
        if match:
            groups = {name: value for name, value in match.groupdict().items() if value is not None}
            begin = text.rfind("\n", 0, match.start()) + 1
            end = text.find("\n", match.end())
            line = text[begin : end if end >= 0 else len(text)].strip()
            values = {**names, **groups, "line": line}
            values["tail"] = values.get("endpoint", "").partition("://")[2].rstrip(",")
            values["tail"] = f"://{values['tail']}"
            return Finding(one.name, one.cause.format_map(values), one.cure.format_map(values), f"{where}: {line}")
    return None
