"""The comparison finds what differs, and forgives only what two runs cannot share."""

import dataclasses
import json

import pytest

from contract.client import Answer
from contract.compare import differences
from contract.recording import OWN, Line, load

LINES = load("api-transcript", OWN)


def _answer(line: Line) -> Answer:
    return Answer(line.status, dict(line.answer_headers), line.answer, line.error)


def test_a_recording_equals_itself() -> None:
    assert [line.name for line in LINES if differences(line, _answer(line))] == []


def _changed(line: Line, body: str) -> Answer:
    return dataclasses.replace(
        _answer(line), body=body, headers={**line.answer_headers, "content-length": str(len(body.encode()))}
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"code":0', '"code":1'),
        ('"success"', '"Success"'),
        ('"role":""', '"role":"partner"'),
        ('"annotations":{}', '"annotations":null'),
        ('"state":"unused"', '"state":"used"'),
        ('"node_statuses":[]', '"node_statuses":[{}]'),
        ('"master_domain_id":""', '"master_domain_id":0'),
        ('"role":"","cert":""', '"cert":"","role":""'),
        ('"2026-11-23T16:52:09Z"', '"2026-11-23 16:52:09"'),
        ('"RxAhAmE3DJRZwE4AlJJCthdTXFhPPYIy"', '"short"'),
        (',"details":[]', ""),
    ],
)
def test_every_other_value_is_found(old: str, new: str) -> None:
    line = next(line for line in LINES if line.note == "domain query (deploy token unused)")
    assert old in line.answer
    assert differences(line, _changed(line, line.answer.replace(old, new)))


def test_another_token_and_time_are_forgiven() -> None:
    line = next(line for line in LINES if line.note == "domain query (deploy token unused)")
    other = line.answer.replace("RxAhAmE3DJRZwE4AlJJCthdTXFhPPYIy", "a" * 32).replace("16:52:09", "17:00:00")
    assert json.loads(other) != json.loads(line.answer)
    assert differences(line, _changed(line, other)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"status": 500},
        {"headers": {"content-type": "text/html", "date": "now", "content-length": "76"}},
        {"headers": {"content-type": "application/json; charset=utf-8", "content-length": "76"}},
        {"status": None, "error": "ConnectionResetError"},
    ],
)
def test_status_and_headers_count(change: dict[str, object]) -> None:
    line = LINES[0]
    assert differences(line, dataclasses.replace(_answer(line), **change))  # type: ignore[arg-type]
