"""Errors that steps report: in their log, in their termination message, or as an exception."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kuscia_hooks.core.errors import StepError
from kuscia_hooks.core.text import printable, printable_lines

_ID = r"\[(?P<id>[a-z0-9-]+)\] "
_BEGIN = re.compile(rf"(?:waiting for .*? \(\d[^)]*s\): {_ID}|ERROR \[(?P<error>[a-z0-9-]+)\] [\w-]+: )(?P<message>.*)")
_FIELD = re.compile(r" {4}(?P<name>fix|see): (?P<text>.*)")
_ITEM = re.compile(rf" {{2}}- {_ID}(?P<message>.*)")
_ITEM_FIELD = re.compile(r" {4,}(?P<name>fix|see): (?P<text>.*)")
_SEVERAL = ("several-errors", "several-retryable")


@dataclass(frozen=True)
class Report:
    """One error of a step.

    Args:
        id: error ID of the catalog; that of another version of the steps may be unknown here.
        message: what is wrong; may have several lines.
        fix: what fixes it; "" for none.
        see: a command that shows more; "" for none.
    """

    id: str
    message: str
    fix: str = ""
    see: str = ""


def from_error(error: StepError) -> list[Report]:
    """Return the errors that an exception stands for."""
    return _split(Report(error.id, printable_lines(error.message), printable(error.fix), printable(error.see)))


def from_log(log: str) -> list[Report]:
    """Return what a step last waited for, or the error that it last failed with; empty for none."""
    found = list(_entries(log))
    return _split(found[-1]) if found else []


def from_termination_message(text: str) -> list[Report]:
    """Return the error in the termination message of a failed step; empty for none."""
    fields = _json(text)
    if "error" not in fields:
        return []
    return _split(
        Report(str(fields["error"]), printable_lines(str(fields.get("message", ""))), printable(fields.get("fix", "")))
    )


def _entries(log: str) -> Iterator[Report]:
    lines = log.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("{"):
            fields = _json(line)
            if "error_id" in fields:
                yield _of_record(fields)
            continue
        match = _BEGIN.fullmatch(line)
        if match:
            following = []
            for other in lines[number + 1 :]:
                if not other.startswith(" "):
                    break
                following.append(other)
            yield _with_fields(match["id"] or match["error"], match["message"], following, _FIELD)


def _of_record(fields: dict[str, Any]) -> Report:
    """Return the error of one line of a JSON log; its message has the same prefix as a line of a plain log."""
    error_id, message = str(fields["error_id"]), str(fields.get("message", ""))
    _, mark, waiting = message.partition(f"[{error_id}] ")
    text = waiting if mark else message.partition(": ")[2]
    return Report(error_id, printable_lines(text), printable(fields.get("fix", "")), printable(fields.get("see", "")))


def _with_fields(error_id: str, first: str, following: list[str], field: re.Pattern[str]) -> Report:
    message, found = [first], {"fix": "", "see": ""}
    for line in following:
        match = field.fullmatch(line)
        if match:
            found[match["name"]] = printable(match["text"])
        else:
            message.append(line)
    return Report(error_id, printable_lines("\n".join(message)).rstrip(), found["fix"], found["see"])


def _split(report: Report) -> list[Report]:
    """Return the listed errors of a report of several, else the report itself."""
    if report.id not in _SEVERAL:
        return [report]
    items: list[tuple[str, str, list[str]]] = []
    for line in report.message.split("\n"):
        match = _ITEM.fullmatch(line)
        if match:
            items.append((match["id"], match["message"], []))
        elif items and line.startswith("    "):
            items[-1][2].append(line)
    found = [_with_fields(error_id, first, following, _ITEM_FIELD) for error_id, first, following in items]
    return found or [report]


def _json(text: str) -> dict[str, Any]:
    """Return a JSON object; empty for anything else."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
