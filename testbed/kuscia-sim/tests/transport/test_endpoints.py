"""Transport of KusciaAPI (Kuscia facts 7.1): protobuf bodies, content types, methods, paths, nulls, roles."""

import json
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from kuscia_sim import api, credentials
from kuscia_sim.api import job
from kuscia_sim.api import messages as m
from kuscia_sim.transport import protowire
from kuscia_sim.transport.protojson import DecodeError
from kuscia_sim_testing.inprocess import ALICE, MASTER, Cluster, make_node

PROTOBUF = {"Content-Type": "application/x-protobuf"}
FIELD = "Go struct field QueryDomainRequest.domain_id of type string"
NIL = "doBizProcess panic, err: runtime error: invalid memory address or nil pointer dereference"


async def post(cluster: Cluster, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
    """Return status, content type and body of the master's answer without following redirections."""
    url = f"/api/v1/{path}"
    async with cluster.clients["master"].post(url, data=body, headers=headers, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Content-Type", ""), await answer.read()


async def test_accepts_and_returns_protobuf(cluster: Cluster) -> None:
    made = await post(cluster, "domain/create", b"\x12\x05carol", PROTOBUF)
    assert made == (200, "application/x-protobuf", b"\x0a\x09\x12\x07success")
    status, _, body = await post(cluster, "domain/query", b"\x12\x05carol", PROTOBUF)
    found = protowire.decode(body, m.QueryDomainResponse)
    assert status == 200
    assert found["data"] == await cluster.ok("master", "domain/query", {"domain_id": "carol"})
    assert found["data"]["auth_center"] == {"authentication_type": "Token", "token_gen_method": "RSA-GEN"}


async def test_returns_errors_in_protobuf(cluster: Cluster) -> None:
    _, _, body = await post(cluster, "domain/query", b"\x12\x04none", PROTOBUF)
    assert protowire.decode(body, m.QueryDomainResponse)["status"]["code"] == 11305


async def test_empty_protobuf_body_is_empty_message(cluster: Cluster) -> None:
    _, _, body = await post(cluster, "domain/query", b"", PROTOBUF)
    assert b"domain id can not be empty" in body


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (b"\x12\x01j\x20\x05", {"job_id": "j", "max_parallelism": 5}),
        (b"\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", {"max_parallelism": -1}),
        (b"\x2a\x05\x0a\x01a\x38\x07", {"tasks": [("a", 7)]}),
        (b"\x32\x06\x0a\x01k\x12\x01v", {"custom_fields": {"k": "v"}}),
        (b"\x9a\x06\x01x\x12\x01j", {"job_id": "j"}),
    ],
)
def test_fields_have_numbers_of_kuscia(text: bytes, fields: dict[str, Any]) -> None:
    found = protowire.decode(text, job.CreateJobRequest)
    for name, value in fields.items():
        got = found[name]
        assert ([(t["app_image"], t["priority"]) for t in got] if name == "tasks" else got) == value


def test_delete_route_fields_are_numbered_as_in_kuscia() -> None:
    """Kuscia declares the two in a different order than it numbers them."""
    assert protowire.decode(b"\x12\x01s\x1a\x01d", m.DeleteDomainRouteRequest)["source"] == "s"
    assert protowire.decode(b"\x12\x01d\x1a\x01s", m.QueryDomainRouteRequest)["source"] == "s"


@pytest.mark.parametrize("text", [b"\x12", b"\x12\x05ab", b"\x12\x01\xff", b"\x00", b"\x10\x01", b"\xff" * 11])
def test_rejects_invalid_protobuf(text: bytes) -> None:
    with pytest.raises(DecodeError):
        protowire.decode(text, m.QueryDomainRequest)


def test_protobuf_round_trip() -> None:
    grant = {
        "domaindata_id": "t",
        "limit": {"expiration_time": -(2**63), "components": ["a", ""]},
        "description": {"k": ""},
    }
    data = protowire.encode(grant, m.CreateDomainDataGrantRequest)
    found = protowire.decode(data, m.CreateDomainDataGrantRequest)
    assert found["limit"]["expiration_time"] == -(2**63)
    assert (found["limit"]["components"], found["description"], found["signature"]) == (["a", ""], {"k": ""}, "")


@pytest.mark.parametrize(
    "headers",
    [{}, {"Content-Type": "text/plain"}, {"Content-Type": "application/json"},
     {"Content-Type": "application/json; charset=utf-8"}],
)  # fmt: skip
async def test_treats_content_types_as_json(cluster: Cluster, headers: dict[str, str]) -> None:
    client = cluster.clients["master"]
    request = client.post(
        "/api/v1/domain/query", data=b'{"domainId": "bob"}', headers=headers, skip_auto_headers=["Content-Type"]
    )
    async with request as answer:
        assert (await answer.json())["data"]["domain_id"] == "bob"


async def test_other_content_types_lose_the_body(cluster: Cluster) -> None:
    for kind in ("application/x-www-form-urlencoded", "application/x-yaml", "application/octet-stream"):
        _, _, body = await post(cluster, "domain/query", b'{"domain_id": "bob"}', {"Content-Type": kind})
        assert json.loads(body)["status"]["message"] == "domain id can not be empty", kind


@pytest.mark.parametrize("protocol", ["NOTLS", "TLS", "MTLS", ""])
async def test_token_is_required_unless_notls(cluster: Cluster, protocol: str) -> None:
    node = make_node("master", MASTER, cluster.store, protocol)
    right = credentials.api_token(node.key, MASTER)
    async with TestClient(TestServer(api.kusciaapi_app(node))) as client:
        for token, known in (("", False), (right[:-1], False), (right, True)):
            async with client.post("/api/v1/domain/query", data=b"{}", headers={"token": token}) as answer:
                assert answer.status == (200 if known or protocol == "NOTLS" else 401)
                assert known or protocol == "NOTLS" or await answer.read() == b""


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_returns_404_for_other_methods(cluster: Cluster, method: str) -> None:
    async with cluster.clients["master"].request(method, "/api/v1/domain/query", data=b"{}") as answer:
        assert (answer.status, await answer.text()) == (404, "404 page not found")


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("/api/v1//domain/query", 301, "/api/v1/domain/query"),
        ("/api/v1/domain/query/?a=b", 307, "/api/v1/domain/query?a=b"),
    ],
)
async def test_redirects_unclean_paths(cluster: Cluster, path: str, status: int, location: str) -> None:
    async with cluster.clients["master"].post(path, data=b"{}", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (status, location)


async def test_null_in_list_panics_or_is_empty(cluster: Cluster) -> None:
    """protojson rejects it, encoding/json decodes nil: code that dereferences it panics."""
    answer = await cluster.ask("master", "config/create", {"data": [None]})
    assert answer == {"status": {"code": 11101, "message": NIL}}
    assert await cluster.refused("master", "route/status/batchQuery", {"route_keys": [None]}) == (
        11100,
        "source can not be empty",
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"domain_id": 7}, f"json: cannot unmarshal number into {FIELD}"),
        ({"domain_id": ["a"]}, f"json: cannot unmarshal array into {FIELD}"),
        ("[]", "json: cannot unmarshal array into Go value of type kusciaapi.QueryDomainRequest"),
        ("", "EOF"),
        ("{", "unexpected EOF"),
    ],
)  # fmt: skip
async def test_rejects_wrong_types(cluster: Cluster, body: Any, text: str) -> None:
    assert await cluster.refused("master", "domain/query", body) == (11101, text)


async def test_accepts_numbers_as_strings_and_null(cluster: Cluster) -> None:
    await cluster.ok("master", "appimage/list", {"page_size": "5", "page_token": None})
    job_body = {"job_id": "j", "initiator": ALICE, "max_parallelism": "2", "custom_fields": None,
                "tasks": [{"app_image": "a", "alias": "a", "parties": [{"domain_id": ALICE}]}]}  # fmt: skip
    await cluster.ok("master", "job/create", job_body)
    assert (await cluster.ok("master", "job/query", {"jobId": "j"}))["max_parallelism"] == 2


@pytest.mark.parametrize(
    ("result", "code"), [("APPROVE_RESULT_ACCEPT", 11206), (1, 11206), ("APPROVE_RESULT_UNKNOWN", 11100), (0, 11100)]
)
async def test_accepts_enums_as_names_or_numbers(cluster: Cluster, result: Any, code: int) -> None:
    assert (await cluster.refused("master", "job/approve", {"job_id": "j", "result": result}))[0] == code


async def test_lite_checks_approval_result_itself(cluster: Cluster) -> None:
    for result, text in ((0, "approve result must be set"), (7, "request result must be legal")):
        body = {"job_id": "j", "result": result}
        assert await cluster.refused(ALICE, "job/approve", body) == (11100, text)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"timeout_seconds": "x"}'])
async def test_streams_reject_invalid_body_with_400(cluster: Cluster, body: bytes) -> None:
    status, _, text = await post(cluster, "job/watch", body, {"Content-Type": "application/json"})
    assert (status, text) == (400, b"")


async def test_watch_with_invalid_timeout_ends_at_once(cluster: Cluster) -> None:
    body = b'{"timeout_seconds": -1}'
    status, _, text = await post(cluster, "job/watch", body, {"Content-Type": "application/json"})
    assert (status, text) == (200, b"")


@pytest.mark.parametrize(
    ("path", "status"),
    [("domain/query", 200), ("job/query", 200), ("route/create", 200), ("domaindata/list", 200),
     ("domain/create", 401), ("domain/delete", 401), ("appimage/query", 401), ("config/query", 401),
     ("domaindatasource/query", 401)],
)  # fmt: skip
async def test_internal_api_serves_only_paths_for_domains(cluster: Cluster, path: str, status: int) -> None:
    headers = {"Kuscia-Source": ALICE, "Content-Type": "application/json"}
    async with cluster.clients["internal"].post(f"/api/v1/{path}", data=b"{}", headers=headers) as answer:
        assert answer.status == status
    async with cluster.clients["internal"].post(f"/api/v1/{path}", data=b"{}") as answer:
        assert answer.status == 401
