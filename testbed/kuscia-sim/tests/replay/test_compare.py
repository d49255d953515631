"""The comparison reports differences, and accepts only those that two runs cannot avoid."""

import dataclasses
import json

import pytest

from kuscia_sim_testing.client import Answer
from kuscia_sim_testing.compare import differences
from kuscia_sim_testing.recording import OWN, Line, load

LINES = load("api-transcript", OWN)


def _answer(line: Line) -> Answer:
    return Answer(line.status, dict(line.answer_headers), line.answer, line.error)


def test_recording_equals_itself() -> None:
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
def test_reports_every_changed_value(old: str, new: str) -> None:
    line = next(line for line in LINES if line.note == "domain query (deploy token unused)")
    assert old in line.answer
    assert differences(line, _changed(line, line.answer.replace(old, new)))


def test_accepts_other_tokens_and_times() -> None:
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
def test_compares_status_and_headers(change: dict[str, object]) -> None:
    line = LINES[0]
    assert differences(line, dataclasses.replace(_answer(line), **change))  # type: ignore[arg-type]


def _line(path: str, answer: str) -> Line:
    return dataclasses.replace(LINES[0], path=path, answer=answer, answer_headers={}, status=200)


def _said(body: str) -> Answer:
    return Answer(200, {}, body, "")


@pytest.mark.parametrize(
    ("path", "recorded", "now"),
    [
        ("/api/v1/config/batchQuery", {"data": [{"key": "a"}, {"key": "b"}]}, {"data": [{"key": "b"}, {"key": "a"}]}),
        (
            "/api/v1/serving/query",
            {
                "data": {
                    "status": {"party_statuses": [{"domain_id": "a", "role": "x"}, {"domain_id": "a", "role": "y"}]}
                }
            },
            {
                "data": {
                    "status": {"party_statuses": [{"domain_id": "a", "role": "y"}, {"domain_id": "a", "role": "x"}]}
                }
            },
        ),
    ],
)
def test_ignores_order_of_lists_from_maps(path: str, recorded: dict[str, object], now: dict[str, object]) -> None:
    assert differences(_line(path, json.dumps(recorded)), _said(json.dumps(now))) == []


def test_compares_order_of_other_lists() -> None:
    recorded, now = '{"data":[{"key":"a"},{"key":"b"}]}', '{"data":[{"key":"b"},{"key":"a"}]}'
    assert differences(_line("/api/v1/appimage/batchQuery", recorded), _said(now))
    assert differences(_line("/api/v1/config/batchQuery", recorded), _said('{"data":[{"key":"b"},{"key":"c"}]}'))


def test_accepts_either_space_in_protobuf_errors() -> None:
    recorded = '{"status":{"code":11103,"message":"proto:\u00a0cannot parse invalid wire-format data"}}'
    now = recorded.replace("\u00a0", " ")
    for left, right in ((recorded, now), (now, recorded)):
        assert differences(_line("/api/v1/domain/query", left), _said(right)) == []
