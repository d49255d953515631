import httpx
import pytest

from kuscia_hooks.core.errors import RetryableError, StepError
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import Busy, Exists, Missing, Refused, TimedOut, error_for
from kuscia_hooks.kuscia.domain_key import api_token, load_key
from tests.hooks.failing import fails
from tests.hooks.fakes.kuscia import Kuscia, serve
from tests.hooks.recordings import recordings

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


PANICS = {"doBizProcess panic, err: runtime error: invalid memory address or nil pointer dereference"}


def _lite_or_only(lines: list[dict]) -> dict:
    """Some requests were recorded on a master and a lite; the steps call the lite."""
    return next((line for line in lines if line["target"].startswith("lite")), lines[0])


@pytest.mark.parametrize(("note", "kind"), RECORDED.items(), ids=RECORDED)
def test_recorded_errors(note: str, kind: type[StepError]) -> None:
    line = _lite_or_only([line for line in recordings("api-transcript") if line["note"] == note])
    status = line["response"]["json"]["status"]
    assert status["code"] != 0
    assert type(error_for(line["request"]["path"], status["code"], status["message"])) is kind


def test_classifies_every_recorded_error() -> None:
    """Only errors about a missing namespace, and panics, are retryable as busy."""
    busy = set()
    for line in recordings("api-transcript"):
        status = ((line.get("response") or {}).get("json") or {}).get("status")
        if isinstance(status, dict) and status.get("code"):
            error = error_for(line["request"]["path"], status["code"], status["message"])
            if isinstance(error, Busy):
                busy.add(status["message"])
    assert {text for text in busy if "namespace" not in text} == PANICS


def test_tells_panics_from_requests_that_cannot_be_parsed() -> None:
    """Kuscia uses one code for both."""
    kinds: dict[type[StepError], set[str]] = {Busy: set(), Refused: set()}
    for line in recordings("api-transcript"):
        status = ((line.get("response") or {}).get("json") or {}).get("status")
        if isinstance(status, dict) and status.get("code") == 11101:
            kinds[type(error_for(line["request"]["path"], 11101, status["message"]))].add(status["message"])
    assert kinds[Busy] == PANICS
    assert len(kinds[Refused]) == 6


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
def test_overloaded_api_server_is_retryable(text: str) -> None:
    assert isinstance(error_for("domain/create", 11300, text), Busy)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (11305, 'domains.kuscia.secretflow "leader" not found'),
        (11506, 'domaindatas.kuscia.secretflow "timeouts" not found'),
        (13105, 'appimages.kuscia.secretflow "unavailable" not found'),
    ],
)
def test_ignores_object_names_when_classifying(code: int, text: str) -> None:
    assert type(error_for("query", code, text)) is Missing


def test_unreachable_master_is_retryable() -> None:
    assert isinstance(error_for("domain/query", 11103, "can't reach master"), RetryableError)


def test_sends_the_token_of_the_domain_key(kuscia: Kuscia, key_pem: bytes, client: KusciaAPI) -> None:
    kuscia.expected_token = api_token(load_key(key_pem), "kuscia-system")
    client.ready()


@pytest.mark.parametrize("fault", ["500", "502", "503", "reset"])
def test_retries_transient_failure(kuscia: Kuscia, client: KusciaAPI, fault: str) -> None:
    kuscia.faults = [fault, fault]
    client.call("domain/create", {"domain_id": "alice"})
    assert list(kuscia.domains) == ["alice"]


def test_reports_failure_after_retries(kuscia: Kuscia, client: KusciaAPI) -> None:
    kuscia.faults = ["500"] * 9
    with fails("kusciaapi-busy"):
        client.call("domain/create", {"domain_id": "alice"})
    assert len(kuscia.faults) == 5


def test_retry_after_lost_answer_reports_existing_object(kuscia: Kuscia, client: KusciaAPI) -> None:
    """The retry finds the object that the first request created."""
    kuscia.faults = ["lost"]
    with pytest.raises(Exists):
        client.call("domain/create", {"domain_id": "alice"})


def test_does_not_retry_timeout(kuscia: Kuscia, client: KusciaAPI) -> None:
    kuscia.faults = ["hang"]
    with pytest.raises(TimedOut):
        client.call("domain/create", {"domain_id": "alice"})
    assert kuscia.faults == []


def test_reports_rejected_token(kuscia: Kuscia, client: KusciaAPI) -> None:
    kuscia.expected_token = "another"
    with fails("kusciaapi-token-rejected"):
        client.ready()


def test_reports_unreachable_kusciaapi(key_pem: bytes) -> None:
    with (
        KusciaAPI("http://127.0.0.1:9", "NOTLS", "a", load_key(key_pem)) as client,
        fails("kusciaapi-unreachable"),
    ):
        client.ready()


def test_reports_protocol_mismatch_when_server_has_no_tls(endpoint: str, key_pem: bytes) -> None:
    with (
        KusciaAPI(endpoint.replace("http", "https"), "TLS", "a", load_key(key_pem)) as client,
        fails("kusciaapi-protocol-mismatch"),
    ):
        client.ready()


def test_reports_protocol_mismatch_when_server_uses_tls(key_pem: bytes) -> None:
    """As recorded: "TLS: plain http to the https port"."""
    line = next(line for line in recordings("api-transcript") if line["note"] == "TLS: plain http to the https port")
    answer = httpx.MockTransport(lambda _: httpx.Response(400, text=line["response"]["body"]))
    with (
        KusciaAPI("http://x", "NOTLS", "a", load_key(key_pem), transport=answer) as client,
        fails("kusciaapi-protocol-mismatch"),
    ):
        client.ready()


@pytest.mark.parametrize("body", ["<html>login</html>", "[]", '{"status": 3}', "{}", '{"status": {"code": "x"}}'])
def test_rejects_invalid_answer(key_pem: bytes, body: str) -> None:
    answer = httpx.MockTransport(lambda _: httpx.Response(200, text=body))
    with (
        KusciaAPI("http://x", "NOTLS", "a", load_key(key_pem), transport=answer) as client,
        fails("kusciaapi-busy"),
    ):
        client.once("domain/query", {})


@pytest.mark.parametrize("data", [None, {}, {"domains": None}, {"domains": [{"cert": ""}]}])
def test_reports_a_field_that_an_answer_does_not_have(key_pem: bytes, data: object) -> None:
    answer = {"status": {"code": 0, "message": ""}, "data": data}
    network = httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
    with (
        KusciaAPI("http://x", "NOTLS", "a", load_key(key_pem), transport=network) as client,
        fails("kusciaapi-unexpected-answer") as error,
    ):
        _ = [domain["domain_id"] for domain in client.once("domain/batchQuery", {})["domains"]]
    assert "domain/batchQuery" in error.value.message


def test_reports_node_that_is_not_ready(key_pem: bytes) -> None:
    text = '{"status":{"code":0,"message":"success"},"data":{"ready":false}}'
    answer = httpx.MockTransport(lambda _: httpx.Response(200, text=text))
    with (
        KusciaAPI("http://x", "NOTLS", "a", load_key(key_pem), transport=answer) as client,
        fails("kusciaapi-not-ready"),
    ):
        client.ready()


def test_finds_only_objects_that_exist(client: KusciaAPI) -> None:
    assert client.find("domain/query", {"domain_id": "alice"}) is None
    client.call("domain/create", {"domain_id": "alice"})
    assert client.find("domain/query", {"domain_id": "alice"})["domain_id"] == "alice"


def test_ignores_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch, kuscia: Kuscia, key_pem: bytes) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with serve(kuscia) as endpoint, KusciaAPI(endpoint, "NOTLS", "a", load_key(key_pem)) as client:
        client.ready()


def streaming(*pieces: bytes) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(200, content=iter(pieces)))


def stream_client(key_pem: bytes, transport: httpx.BaseTransport) -> KusciaAPI:
    return KusciaAPI("http://api:8082", "NOTLS", "alice", load_key(key_pem), transport=transport)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_parses_stream_split_anywhere(key_pem: bytes, size: int) -> None:
    """The recorded watch has several objects without a separator, and omits zero values."""
    body = next(line for line in recordings("api-transcript") if line["note"] == "job watch 2s")["response"]["body"]
    raw = body.encode()
    pieces = [raw[begin : begin + size] for begin in range(0, len(raw), size)]
    found = list(stream_client(key_pem, streaming(*pieces)).stream("job/watch", {"timeout_seconds": 2}))
    assert found[0]["object"]["job_id"] == "j-badimage"
    assert len(found) > 3


def test_raises_error_within_stream(key_pem: bytes) -> None:
    line = next(line for line in recordings("api-transcript") if line["note"] == "lite: log query")
    client = stream_client(key_pem, streaming(b'{"log":"one"}', line["response"]["body"].encode()))
    found = client.stream("log/task/query", {})
    assert next(found)["log"] == "one"
    with pytest.raises(Refused) as error:
        next(found)
    assert (error.value.code, error.value.text.startswith("failed to local query")) == (13200, True)


def test_reports_truncated_stream(key_pem: bytes) -> None:
    with fails("kusciaapi-busy"):
        list(stream_client(key_pem, streaming(b'{"log":')).stream("log/task/query", {}))


def test_stream_reports_rejected_token(key_pem: bytes) -> None:
    refusing = httpx.MockTransport(lambda _: httpx.Response(401))
    with fails("kusciaapi-token-rejected"):
        list(stream_client(key_pem, refusing).stream("job/watch", {}))


def test_reads_the_version_of_kuscia(key_pem: bytes) -> None:
    line = next(line for line in recordings("gateway-transcript") if line["note"] == "version")
    answering = httpx.MockTransport(lambda _: httpx.Response(200, text=line["response"]["body"]))
    assert stream_client(key_pem, answering).version() == "v1.1.0b0-6-ge909d9f6"
