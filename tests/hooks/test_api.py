import httpx
import pytest

from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import Busy, Exists, Missing, Refused, TimedOut, error_for
from kuscia_hooks.kuscia.domain_key import api_token, load_key
from tests.hooks.conftest import recordings
from tests.hooks.kuscia_server import Kuscia, serve

RECORDED = {
    "domain create duplicate": Exists,
    "domain query unknown": Missing,
    "domain batchQuery one unknown": Missing,
    "domain create empty id": Refused,
    "domain create bad cert": Refused,
    "lite: domain create": Refused,
    "route create duplicate": Exists,
    "route create unknown source": Missing,
    "route create bad host": Refused,
    "route query unknown": Missing,
    "route delete again": Missing,
    "route status batchQuery unknown": Missing,
    "datasource create oss duplicate": Exists,
    "datasource query unknown": Missing,
    "datasource update unknown": Missing,
    "datasource create oss without bucket": Refused,
    "domaindata query unknown": Missing,
    "domaindata create unknown datasource": Missing,
    "domaindata create for another domain": Refused,
    "grant create with id duplicate": Exists,
    "grant query unknown": Missing,
    "grant create unknown domaindata": Refused,
    "appimage create duplicate": Exists,
    "appimage query unknown": Missing,
    "appimage delete again": Missing,
    "job create duplicate": Exists,
    "job query unknown": Missing,
    "job delete again": Missing,
}


def _lite_or_only(lines: list[dict]) -> dict:
    """Some notes were tried on a master and on a lite; the lite is where a step asks."""
    return next((line for line in lines if line["target"].startswith("lite")), lines[0])


@pytest.mark.parametrize(("note", "kind"), RECORDED.items(), ids=RECORDED)
def test_recorded_errors(note: str, kind: type[StepError]) -> None:
    line = _lite_or_only([line for line in recordings("api-transcript") if line["note"] == note])
    status = line["response"]["json"]["status"]
    assert status["code"] != 0
    assert type(error_for(line["request"]["path"], status["code"], status["message"])) is kind


def test_every_recorded_error_is_one_of_four() -> None:
    """None is mistaken for something that passes by itself, but for those that say so."""
    busy = set()
    for line in recordings("api-transcript"):
        status = ((line.get("response") or {}).get("json") or {}).get("status")
        if isinstance(status, dict) and status.get("code"):
            error = error_for(line["request"]["path"], status["code"], status["message"])
            if isinstance(error, Busy):
                busy.add(status["message"])
    assert all("namespace" in text for text in busy), busy


@pytest.mark.parametrize(
    "text",
    [
        "etcdserver: request timed out",
        "context deadline exceeded",
        "dial tcp 127.0.0.1:6443: connect: connection refused",
        'Operation cannot be fulfilled on domains "a": the object has been modified; please apply',
        'namespaces "alice" not found',
        'Post "https://127.0.0.1:6443/apis": EOF',
    ],
)
def test_an_api_server_in_trouble_is_not_final(text: str) -> None:
    assert isinstance(error_for("domain/create", 11300, text), Busy)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (11305, 'domains.kuscia.secretflow "leader" not found'),
        (11506, 'domaindatas.kuscia.secretflow "timeouts" not found'),
        (13105, 'appimages.kuscia.secretflow "unavailable" not found'),
    ],
)
def test_what_an_object_is_called_says_nothing_about_the_error(code: int, text: str) -> None:
    assert type(error_for("query", code, text)) is Missing


def test_master_not_reached_from_a_lite_is_not_final() -> None:
    assert isinstance(error_for("domain/query", 11103, "can't reach master"), RetryableError)


def test_the_token_is_sent(kuscia: Kuscia, endpoint: str, key_pem: bytes, client: KusciaAPI) -> None:
    kuscia.expected_token = api_token(load_key(key_pem), "kuscia-system")
    client.ready()


@pytest.mark.parametrize("fault", ["500", "502", "503", "reset"])
def test_one_failure_is_tried_again(kuscia: Kuscia, client: KusciaAPI, fault: str) -> None:
    kuscia.faults = [fault, fault]
    client.call("domain/create", {"domain_id": "alice"})
    assert list(kuscia.domains) == ["alice"]


def test_lasting_failure_is_reported(kuscia: Kuscia, client: KusciaAPI) -> None:
    kuscia.faults = ["500"] * 9
    with pytest.raises(RetryableError, match="domain/create answered 500"):
        client.call("domain/create", {"domain_id": "alice"})
    assert len(kuscia.faults) == 5


def test_an_answer_that_is_lost_after_the_effect(kuscia: Kuscia, client: KusciaAPI) -> None:
    """The second try meets its own first one, which the steps take for done."""
    kuscia.faults = ["lost"]
    with pytest.raises(Exists):
        client.call("domain/create", {"domain_id": "alice"})


def test_a_time_out_is_not_tried_again(kuscia: Kuscia, client: KusciaAPI) -> None:
    kuscia.faults = ["hang"]
    with pytest.raises(TimedOut):
        client.call("domain/create", {"domain_id": "alice"})
    assert kuscia.faults == []


def test_401_names_the_cause(kuscia: Kuscia, client: KusciaAPI) -> None:
    kuscia.expected_token = "another"
    with pytest.raises(PermanentError, match="another key or domain ID than kuscia-system"):
        client.ready()


def test_nobody_there(key_pem: bytes) -> None:
    with (
        KusciaAPI("http://127.0.0.1:9", "NOTLS", "a", load_key(key_pem)) as client,
        pytest.raises(RetryableError, match="not reached"),
    ):
        client.ready()


def test_tls_client_at_a_plain_port(endpoint: str, key_pem: bytes) -> None:
    with (
        KusciaAPI(endpoint.replace("http", "https"), "TLS", "a", load_key(key_pem)) as client,
        pytest.raises(PermanentError, match="does not speak TLS: its protocol is NOTLS"),
    ):
        client.ready()


def test_plain_client_at_a_tls_port(key_pem: bytes) -> None:
    """As recorded: "TLS: plain http to the https port"."""
    line = next(line for line in recordings("api-transcript") if line["note"] == "TLS: plain http to the https port")
    answer = httpx.MockTransport(lambda _: httpx.Response(400, text=line["response"]["body"]))
    with (
        KusciaAPI("http://x", "NOTLS", "a", load_key(key_pem), transport=answer) as client,
        pytest.raises(PermanentError, match="speaks TLS"),
    ):
        client.ready()


@pytest.mark.parametrize("body", ["<html>login</html>", "[]", '{"status": 3}', "{}", '{"status": {"code": "x"}}'])
def test_something_else_answers(key_pem: bytes, body: str) -> None:
    answer = httpx.MockTransport(lambda _: httpx.Response(200, text=body))
    with (
        KusciaAPI("http://x", "NOTLS", "a", load_key(key_pem), transport=answer) as client,
        pytest.raises(RetryableError, match="not KusciaAPI's JSON"),
    ):
        client.once("domain/query", {})


def test_not_ready(key_pem: bytes) -> None:
    text = '{"status":{"code":0,"message":"success"},"data":{"ready":false}}'
    answer = httpx.MockTransport(lambda _: httpx.Response(200, text=text))
    with (
        KusciaAPI("http://x", "NOTLS", "a", load_key(key_pem), transport=answer) as client,
        pytest.raises(RetryableError, match="not ready"),
    ):
        client.ready()


def test_find(kuscia: Kuscia, client: KusciaAPI) -> None:
    assert client.find("domain/query", {"domain_id": "alice"}) is None
    client.call("domain/create", {"domain_id": "alice"})
    assert client.find("domain/query", {"domain_id": "alice"})["domain_id"] == "alice"


def test_proxies_of_the_environment_are_left_out(
    monkeypatch: pytest.MonkeyPatch, kuscia: Kuscia, key_pem: bytes
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with serve(kuscia) as endpoint, KusciaAPI(endpoint, "NOTLS", "a", load_key(key_pem)) as client:
        client.ready()


def streaming(*pieces: bytes) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(200, content=iter(pieces)))


def stream_client(key_pem: bytes, transport: httpx.BaseTransport) -> KusciaAPI:
    return KusciaAPI("http://api:8082", "NOTLS", "alice", load_key(key_pem), transport=transport)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_stream_of_objects_cut_anywhere(key_pem: bytes, size: int) -> None:
    """The recorded watch: several objects without a separator, zero values left out."""
    body = next(line for line in recordings("api-transcript") if line["note"] == "job watch 2s")["response"]["body"]
    raw = body.encode()
    pieces = [raw[begin : begin + size] for begin in range(0, len(raw), size)]
    found = list(stream_client(key_pem, streaming(*pieces)).stream("job/watch", {"timeout_seconds": 2}))
    assert found[0]["object"]["job_id"] == "j-badimage"
    assert len(found) > 3


def test_error_in_a_stream(key_pem: bytes) -> None:
    line = next(line for line in recordings("api-transcript") if line["note"] == "lite: log query")
    client = stream_client(key_pem, streaming(b'{"log":"one"}', line["response"]["body"].encode()))
    found = client.stream("log/task/query", {})
    assert next(found)["log"] == "one"
    with pytest.raises(Refused, match="13200: failed to local query"):
        next(found)


def test_stream_that_breaks_off(key_pem: bytes) -> None:
    with pytest.raises(Busy, match="in the middle"):
        list(stream_client(key_pem, streaming(b'{"log":')).stream("log/task/query", {}))


def test_stream_without_the_right_key(key_pem: bytes) -> None:
    refusing = httpx.MockTransport(lambda _: httpx.Response(401))
    with pytest.raises(PermanentError, match="refused the token"):
        list(stream_client(key_pem, refusing).stream("job/watch", {}))


def test_version(key_pem: bytes) -> None:
    line = next(line for line in recordings("gateway-transcript") if line["note"] == "version")
    answering = httpx.MockTransport(lambda _: httpx.Response(200, text=line["response"]["body"]))
    assert stream_client(key_pem, answering).version() == "v1.1.0b0-6-ge909d9f6"
