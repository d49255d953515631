"""Answers that never end, and answers of other types than those of Kubernetes and Kuscia."""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.cluster.login import Login
from kuscia_hooks.core.answers import LimitedAnswers
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.tls import unverified
from kuscia_hooks.core.waiting import Deadline, bounded_by
from kuscia_hooks.kuscia import gateway, registration
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.domain_key import load_key
from kuscia_hooks.tables import download
from tests.hooks.failing import fails
from tests.hooks.fakes.dripping import HEAD, dripping


def ask_gateway(url: str, _: bytes) -> None:
    with fails("master-unreachable"):
        gateway.probe(url)


def ask_kuscia(url: str, key_pem: bytes) -> None:
    with KusciaAPI(url, "NOTLS", "a", load_key(key_pem)) as client, fails("kusciaapi-timeout"):
        client.once("domain/query", {})


def stream_kuscia(url: str, key_pem: bytes) -> None:
    with KusciaAPI(url, "NOTLS", "a", load_key(key_pem)) as client, fails("kusciaapi-timeout"):
        list(client.stream("job/watch", {}))


def ask_kubernetes(url: str, _: bytes) -> None:
    with fails("api-server-unreachable"):
        Kube(login=Login(url, unverified())).secret("ns", "s")


def ask_table_server(url: str, _: bytes) -> None:
    with TemporaryDirectory() as directory, pytest.raises(RetryableError):
        download.fetch(f"{url}/alice.csv", download.Login(), Path(directory))


BODY = HEAD
HEADERS = b"HTTP/1.1 200 OK\r\nX-Name: "


@pytest.mark.parametrize("begin", [BODY, HEADERS, b""], ids=["body", "headers", "status"])
@pytest.mark.parametrize("ask", [ask_gateway, ask_kuscia, stream_kuscia, ask_kubernetes, ask_table_server])
def test_deadline_bounds_an_answer_that_never_ends(
    ask: Callable[[str, bytes], None], key_pem: bytes, begin: bytes
) -> None:
    with dripping(b"H", head=begin) as url, bounded_by(Deadline(0.5)):
        started = time.monotonic()
        ask(url, key_pem)
    assert time.monotonic() - started < 2


def test_deadline_bounds_an_answer_of_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to CONNECT has headers, too."""
    with dripping(b"H", head=HEADERS) as url, bounded_by(Deadline(0.5)):
        monkeypatch.setenv("HTTPS_PROXY", url)
        started = time.monotonic()
        ask_table_server("https://tables.example", b"")
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("begin", [BODY, HEADERS], ids=["body", "headers"])
def test_read_timeout_bounds_an_answer_that_never_ends(key_pem: bytes, begin: bytes) -> None:
    """Without any deadline, and also when the next byte comes late."""
    for pause in (0.1, 0.8):
        with (
            dripping(b"H", pause, begin) as url,
            KusciaAPI(url, "NOTLS", "a", load_key(key_pem), timeout=1.0) as client,
            fails("kusciaapi-timeout"),
        ):
            started = time.monotonic()
            client.once("domain/query", {})
        assert time.monotonic() - started < 1.5


def test_reads_the_beginning_of_an_endless_answer_of_a_gateway() -> None:
    with dripping(b"<html>" * 10_000, pause=0) as url, fails("not-a-gateway"):
        gateway.probe(url)


def test_keeps_the_status_of_an_answer_that_is_too_long() -> None:
    answer = httpx.Response(403, content=b"x" * (1 << 22))
    with fails("master-access-denied"):
        gateway.probe("https://master:1080", httpx.MockTransport(lambda _: answer))


def test_reads_answers_up_to_the_limit() -> None:
    blocks = [b"x" * 100] * 10
    network = httpx.MockTransport(lambda _: httpx.Response(200, content=iter(blocks)))
    with httpx.Client(transport=LimitedAnswers(network, 450)) as client:
        assert len(client.get("http://x").content) == 500


@pytest.mark.parametrize(
    "text", ["[1]", "1", '{"status": 3}', '{"status": {"code": "x"}}', "<html>", '{"status": {"code": [1]}}']
)
def test_reports_streams_of_another_type(key_pem: bytes, text: str) -> None:
    network = httpx.MockTransport(lambda _: httpx.Response(200, text=text))
    with (
        KusciaAPI("http://x", "NOTLS", "a", load_key(key_pem), transport=network) as client,
        fails("kusciaapi-busy"),
    ):
        list(client.stream("job/watch", {}))


@pytest.mark.parametrize("data", [None, [1], "x", 3])
def test_node_with_an_answer_of_another_type_is_not_ready(key_pem: bytes, data: object) -> None:
    answer = {"status": {"code": 0, "message": ""}, "data": data}
    network = httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
    with (
        KusciaAPI("http://x", "NOTLS", "a", load_key(key_pem), transport=network) as client,
        fails("kusciaapi-not-ready"),
    ):
        client.ready()


def not_gzip(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"not gzip"))


@pytest.mark.parametrize("ask", ["once", "stream", "version"])
def test_reports_answers_of_kuscia_that_cannot_be_decoded(key_pem: bytes, ask: str) -> None:
    with (
        KusciaAPI("http://x", "NOTLS", "a", load_key(key_pem), transport=httpx.MockTransport(not_gzip)) as client,
        fails("kusciaapi-busy"),
    ):
        if ask == "version":
            client.version()
        else:
            list(getattr(client, ask)("job/watch", {}))


@pytest.mark.parametrize("charset", ["hex", "undefined", "zip", "rot13", "no-such-charset"])
def test_reads_an_answer_in_an_encoding_that_is_not_one_of_text(key_pem: bytes, charset: str) -> None:
    headers = {"content-type": f"text/plain; charset={charset}"}
    network = httpx.MockTransport(lambda _: httpx.Response(403, headers=headers, content=b"denied by policy 7"))
    with fails("master-access-denied") as error:
        gateway.probe("https://master:1080", network)
    assert "denied by policy 7" in error.value.message
    with fails("master-access-denied"):
        registration.register("https://master:1080", "alice", "token", load_key(key_pem), network)
    with (
        KusciaAPI("http://x", "NOTLS", "a", load_key(key_pem), transport=network) as client,
        fails("kusciaapi-busy"),
    ):
        client.once("domain/query", {})


@pytest.mark.parametrize(
    "text",
    ["<html>login</html>", "[]", "null", "not JSON", "{}", '{"error": "login"}', '{"message": "m", "code": 1}'],
)
def test_reports_what_answers_instead_of_the_api_server(text: str) -> None:
    kube = Kube(httpx.MockTransport(lambda _: httpx.Response(200, text=text)))
    for ask in (lambda: kube.secret("ns", "s"), lambda: kube.pods("ns", "a=b"), lambda: kube.may("get", "pods", "ns")):
        with fails("api-server-unavailable"):
            ask()


def test_reports_an_answer_of_the_api_server_that_cannot_be_decoded() -> None:
    kube = Kube(httpx.MockTransport(not_gzip))
    with fails("api-server-unreachable"):
        kube.configmap("ns", "c")
    with fails("api-server-unreachable"):
        kube.pod_log("ns", "p", "c", 10)


def test_reads_null_as_empty() -> None:
    answer = {"metadata": {"name": "s", "labels": None, "ownerReferences": None}, "data": {"a": None}, "items": None}
    kube = Kube(httpx.MockTransport(lambda _: httpx.Response(200, json=answer)))
    assert kube.secret("ns", "s") == {"a": b""}
    assert kube.pods("ns", "a=b") == []


def test_limits_the_size_of_a_log() -> None:
    asked = []
    kube = Kube(httpx.MockTransport(lambda request: asked.append(request.url.params) or httpx.Response(200)))
    kube.pod_log("ns", "p", "c", 10, previous=True)
    assert int(asked[0]["limitBytes"]) <= 1 << 20
    assert asked[0]["previous"] == "true"
