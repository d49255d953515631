import json

import httpx
import pytest

from kuscia_hooks import gateway
from kuscia_hooks.errors import NotYet
from tests.hooks.conftest import recordings


def answering(**by_scheme: httpx.Response | Exception) -> httpx.MockTransport:
    """A server that answers by scheme; the other one refuses."""

    def handle(request: httpx.Request) -> httpx.Response:
        answer = by_scheme.get(request.url.scheme, httpx.ConnectError("connection refused"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    return httpx.MockTransport(handle)


def recorded(note: str) -> httpx.Response:
    line = next(line for line in recordings("gateway-transcript") if line["note"] == note)
    answer = line["response"]
    return httpx.Response(answer["status"], headers=answer["headers"], text=answer["body"] or "")


@pytest.mark.parametrize("note", ["gateway root", "lite gateway root"])
def test_a_recorded_gateway(note: str) -> None:
    gateway.probe("https://master:1080", answering(https=recorded(note)))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (httpx.Response(200, text="login"), "HTTP 200 instead of 401"),
        (httpx.Response(502), "HTTP 502 instead of 401"),
        (httpx.Response(302, headers={"location": "/login"}), "HTTP 302 instead of 401"),
        (httpx.Response(401), "without a kuscia-error-message header"),
        (httpx.Response(401, headers={"kuscia-error-message": ""}), "without a kuscia-error-message header"),
        (httpx.ConnectError("[Errno 111] Connection refused"), "Connection refused"),
        (httpx.ConnectTimeout("late"), "no answer within 5 s"),
        (httpx.RemoteProtocolError(""), "RemoteProtocolError"),
    ],
)
def test_something_else(answer: httpx.Response | Exception, says: str) -> None:
    with pytest.raises(NotYet, match=says) as error:
        gateway.probe("https://master:1080", answering(https=answer))
    assert error.value.show == "curl -kvs https://master:1080/"


@pytest.mark.parametrize(
    ("endpoint", "other"),
    [
        ("https://master:1080", "http://master:1080"),
        ("http://master:1080/kuscia", "https://master:1080/kuscia"),
        ("https://master", "http://master:443"),
        ("http://master", "https://master:80"),
    ],
)
def test_wrong_scheme(endpoint: str, other: str) -> None:
    good = {other.split(":", 1)[0]: recorded("gateway root")}
    with pytest.raises(NotYet, match="has the wrong scheme") as error:
        gateway.probe(endpoint, answering(**good))
    assert other in error.value.message


@pytest.mark.parametrize(
    "line",
    [line for line in recordings("gateway-transcript") if line["note"].startswith("handshake question of")],
    ids=lambda line: line["note"],
)
def test_recorded_handshakes(line: dict) -> None:
    answer = line["response"]
    transport = answering(https=httpx.Response(answer["status"], headers=answer["headers"], text=answer["body"]))
    state = gateway.handshake_state("https://m:1080", "alice", transport)
    assert state == json.loads(answer["body"])["state"]
    assert (state in gateway.KNOWN) == ("unknown" not in line["note"] and "empty" not in line["note"])


def test_handshake_request() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/prefix/handshake"
        assert request.headers["Kuscia-Host"] == "kuscia-handshake.master.svc"
        assert request.headers["Kuscia-Source"] == "alice"
        return httpx.Response(200, json={"namespace": "kuscia-system", "state": 2})

    assert gateway.handshake_state("https://m/prefix", "alice", httpx.MockTransport(handle)) == 2


@pytest.mark.parametrize(
    "answer",
    [
        recorded("handshake question, no Kuscia-Host"),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(503),
        httpx.ReadTimeout("late"),
        httpx.ConnectError("refused"),
    ],
)
def test_no_handshake(answer: httpx.Response | Exception) -> None:
    with pytest.raises(NotYet):
        gateway.handshake_state("https://m:1080", "alice", answering(https=answer))


def test_master_id() -> None:
    line = next(line for line in recordings("gateway-transcript") if '"namespace"' in str(line["response"].get("body")))
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=line["response"]["body"]))
    assert gateway.master_id("https://m:1080", "alice", transport) == "kuscia-system"


@pytest.mark.parametrize("body", ["{}", "[]", "<html>"])
def test_no_master_id(body: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=body))
    with pytest.raises(NotYet):
        gateway.master_id("https://m:1080", "alice", transport)
