"""Errors of steps, read from their log and their termination message."""

import json

import pytest

from kuscia_hooks.core.errors import PermanentError, RetryableError, merged
from kuscia_hooks.inspect.report import Report, from_error, from_log, from_termination_message


@pytest.mark.parametrize(
    ("log", "report"),
    [
        ("waiting for the master (12 s): [master-down] refused", Report("master-down", "refused")),
        (
            "waiting for table t (a copy) (12 of 300 s): [x] m (1 s): [y] n\n    fix: do it\n    see: look",
            Report("x", "m (1 s): [y] n", "do it", "look"),
        ),
        ("ERROR [x-y] data: m: n\n    see: look\nretrying in 30 s", Report("x-y", "m: n", "", "look")),
        ("ERROR [x] data: 1 value:\n  - a: b\n    fix: do it", Report("x", "1 value:\n  - a: b", "do it")),
        ("waiting for a (1 s): [x] m\nwaiting for b (2 s): [y] n\nmore", Report("y", "n")),
        ("ERROR [x] data: \x1b[31mred\n    fix: \x07it", Report("x", "[31mred", "it")),
    ],
)
def test_reads_last_error_of_log(log: str, report: Report) -> None:
    assert from_log(log) == [report]


@pytest.mark.parametrize("log", ["", "created=1\n", "waiting for a (1 s): no ID\n", "ERROR no ID\n", '{"a": 1}\n[]'])
def test_reads_nothing_from_log_without_error(log: str) -> None:
    assert from_log(log) == []


@pytest.mark.parametrize("message", ["waiting for a (1 of 9 s): [x] m: n", "data: m: n"])
def test_reads_json_log(message: str) -> None:
    record = {"level": "info", "message": message, "error_id": "x", "fix": "do it"}
    assert from_log(json.dumps(record) + "\n" + json.dumps({"message": "later"})) == [Report("x", "m: n", "do it")]


SEVERAL = [
    RetryableError("kusciaapi-busy", "busy", fix="wait"),
    PermanentError("kusciaapi-rejected", "first\n    second", see="look"),
]
EACH = [Report("kusciaapi-busy", "busy", "wait"), Report("kusciaapi-rejected", "first\n    second", "", "look")]


def test_splits_several_errors() -> None:
    error = merged(SEVERAL)
    assert [(one.id, one.fix, one.see) for one in from_error(error)] == [(one.id, one.fix, one.see) for one in EACH]
    text = json.dumps({"error": error.id, "message": error.message, "fix": ""})
    assert from_termination_message(text) == from_error(error)
    assert from_log(f"ERROR [{error.id}] data: {error.message}") != []


def test_splits_several_errors_of_log() -> None:
    log = (
        "ERROR [several-errors] data: 2 errors:\n  - [a] one\n        fix: do it\n  - [b] two\n    more\n  and 3 more\n"
    )
    assert from_log(log) == [Report("a", "one", "do it"), Report("b", "two\n    more")]


def test_keeps_report_of_several_without_list() -> None:
    assert from_log("ERROR [several-errors] data: no list") == [Report("several-errors", "no list")]


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"secrets": {}}'])
def test_reads_nothing_from_other_termination_message(text: str) -> None:
    assert from_termination_message(text) == []
