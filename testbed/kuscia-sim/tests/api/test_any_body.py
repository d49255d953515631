"""Every endpoint with random bodies: the answer is always one that Go could give."""

import json
import random
from typing import Any

import pytest

from kuscia_sim.api import TABLES, datamesh
from kuscia_sim.transport.endpoints import NIL_POINTER, Endpoint
from kuscia_sim.transport.protojson import BOOL, STR, Enum, Field, Message, Type
from kuscia_sim_testing.inprocess import ALICE, JSON, Cluster

ENDPOINTS = [endpoint for table in TABLES for endpoint in table.items if endpoint.call]
ROUNDS = 12
NAMES = ["", "alice", "bob", "nobody", "kuscia-system", "master", "a..b", "a/b", "..", "UPPER", "中文", "x" * 300, "%"]
ODD: list[Any] = [None, 5, -1, 1.5, "", "text", True, [], {}, [None], [[]], {"a": None}, [5], 2**70, "9" * 30]


def _value(type_: Type, rng: random.Random) -> Any:
    if rng.random() < 0.08:
        return rng.choice(ODD)
    if isinstance(type_, Message):
        return _body(type_, rng)
    if isinstance(type_, Enum):
        return rng.choice([*type_.names, 0, 1, 99, "NO_SUCH"])
    if type_ is STR:
        return rng.choice(NAMES)
    return rng.choice([True, False]) if type_ is BOOL else rng.choice([0, 1, -1, "7", 2**31, 2**62])


def _member(field: Field, rng: random.Random) -> Any:
    if rng.random() < 0.05:
        return rng.choice(ODD)
    if field.kind == "repeated":
        return [_value(field.type, rng) for _ in range(rng.randrange(3))]
    if field.kind == "map":
        return {rng.choice(NAMES): _value(field.type, rng) for _ in range(rng.randrange(3))}
    return _value(field.type, rng)


def _body(type_: Message, rng: random.Random) -> dict[str, Any]:
    return {name: _member(field, rng) for name, field in type_.fields.items() if rng.random() < 0.8}


def _problem(endpoint: Endpoint, status: int, text: str, flat: bool) -> str:
    """Return what Go would not answer, or ""."""
    if status != 200:
        return f"HTTP {status}"
    answer = json.loads(text)
    said = answer if flat and "code" in answer else answer["status"]
    if not isinstance(said["code"], int) or not isinstance(said["message"], str):
        return f"a status that is none: {text}"
    if said["message"].startswith("doBizProcess panic") and not said["message"].endswith(NIL_POINTER):
        return said["message"]
    if "details" in said and list(answer) != list(endpoint.response.fields):
        return f"fields {list(answer)}, not {list(endpoint.response.fields)}"
    return ""


@pytest.mark.parametrize("node", ["master", ALICE])
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path.removeprefix("/api/v1/"))
async def test_kusciaapi_answers_as_go(cluster: Cluster, node: str, endpoint: Endpoint) -> None:
    await _try(cluster, node, endpoint, flat=False)


@pytest.mark.parametrize("endpoint", datamesh.endpoints.items, ids=lambda endpoint: endpoint.path.split("/", 4)[4])
async def test_datamesh_answers_as_go(cluster: Cluster, endpoint: Endpoint) -> None:
    await _try(cluster, "mesh", endpoint, flat=True)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path.removeprefix("/api/v1/"))
async def test_null_in_any_list_is_an_error(cluster: Cluster, endpoint: Endpoint) -> None:
    """encoding/json decodes it as a nil pointer: Go panics, or the handler checks for it."""
    for name, field in endpoint.request.fields.items():
        if field.kind != "repeated" or not isinstance(field.type, Message):
            continue
        others = {other: "alice" for other, f in endpoint.request.fields.items() if f.kind == "one" and f.type is STR}
        image = {"image": {"name": "i"}} if "image" in endpoint.request.fields else {}
        body = {**others, **image, name: [None]}
        for node in ("master", ALICE):
            response = await cluster.clients[node].post(endpoint.path, data=json.dumps(body), headers=JSON)
            assert not _problem(endpoint, response.status, await response.text(), flat=False)


async def _try(cluster: Cluster, node: str, endpoint: Endpoint, flat: bool) -> None:
    rng = random.Random(endpoint.path)
    problems = []
    for _ in range(ROUNDS):
        body = json.dumps(_body(endpoint.request, rng))
        response = await cluster.clients[node].post(endpoint.path, data=body, headers=JSON)
        problem = _problem(endpoint, response.status, await response.text(), flat)
        if problem:
            problems.append(f"{problem}\n    {body}")
    assert not problems, "\n".join(problems)
