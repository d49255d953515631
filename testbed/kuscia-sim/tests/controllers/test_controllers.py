"""The domain and route controllers of a master (Kuscia facts 5.3, 6.2, 6.4, 14.3)."""

import datetime
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kuscia_sim import credentials
from kuscia_sim.controllers import domain as domains
from kuscia_sim.controllers import route as routes
from kuscia_sim.gateway.handshake import GATEWAY_LIVE, public_pem
from kuscia_sim.node.config import Config
from kuscia_sim.node.heartbeat import NODE_NAMESPACE_LABEL
from kuscia_sim.node.node import Node
from kuscia_sim.state.datastore import datastore_url
from kuscia_sim.state.objects import format_time
from kuscia_sim.state.store import LocalStore, NotFound, Object

KEYS = {name: credentials.new_key() for name in ("kuscia-system", "alice", "bob")}
CENTER = {"authenticationType": "Token", "tokenGenMethod": "RSA-GEN"}


def certificate(name: str) -> str:
    return credentials.b64(credentials.cert_pem(credentials.ca_certificate(KEYS[name], name)))


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    store = await LocalStore.open(datastore_url("", str(tmp_path / "state.db")), "kuscia-system")
    yield Node(
        config=Config("master", "kuscia-system"),
        mode="master",
        domain_id="kuscia-system",
        master_id="kuscia-system",
        hostname="pod-m",
        version="v1",
        store=store,
        key=KEYS["kuscia-system"],
        started=datetime.datetime.now(datetime.UTC),
        master_reachable=lambda: True,
        cert_pem=credentials.cert_pem(credentials.ca_certificate(KEYS["kuscia-system"], "kuscia-system")),
    )
    await store.close()


async def add_domain(node: Node, name: str, **spec: Any) -> None:
    await node.store.create("domains", "", name, {"spec": {"cert": "", "authCenter": CENTER, **spec}})
    await domains.reconcile(node)


async def tokens(node: Node, name: str) -> list[Object]:
    found: list[Object] = (await node.store.get("domains", "", name))["status"]["deployTokenStatuses"]
    return found


async def test_master_creates_its_domain(node: Node) -> None:
    await domains.bootstrap(node)
    await domains.bootstrap(node)
    own = await node.store.get("domains", "", "kuscia-system")
    assert own["spec"] == {"cert": credentials.b64(node.cert_pem)}
    await domains.reconcile(node)
    assert [token["state"] for token in await tokens(node, "kuscia-system")] == ["unused"]
    assert await node.store.list("clusterdomainroutes") == []


async def test_new_domain_gets_namespace_route_and_token(node: Node) -> None:
    await domains.bootstrap(node)
    await add_domain(node, "alice")
    assert (await node.store.get("namespaces", "", "alice"))["metadata"]["labels"]
    route = await node.store.get("clusterdomainroutes", "", "alice-kuscia-system")
    assert route["spec"]["tokenConfig"] == {"tokenGenMethod": "RSA-GEN", "rollingUpdatePeriod": 86400}
    (token,) = await tokens(node, "alice")
    assert (token["state"], len(token["token"])) == ("unused", 32)
    before = await node.store.get("domains", "", "alice")
    await domains.reconcile(node)
    assert await node.store.get("domains", "", "alice") == before


@pytest.mark.parametrize(
    ("name", "spec", "namespace", "route"),
    [
        # create in Kuscia's pkg/controllers/domain/controller.go omits only the configuration and the tokens.
        ("partner", {"role": "partner"}, True, True),
        ("with.dot", {}, False, False),
        ("no-center", {"authCenter": None}, True, False),
    ],
)
async def test_some_domains_get_fewer_objects(
    node: Node, name: str, spec: Object, namespace: bool, route: bool
) -> None:
    await domains.bootstrap(node)
    await add_domain(node, name, **spec)
    namespaces = [item["metadata"]["name"] for item in await node.store.list("namespaces")]
    assert (name in namespaces) == namespace
    assert bool(await node.store.list("clusterdomainroutes")) == route


async def test_replaces_used_token_by_one_new(node: Node) -> None:
    await domains.bootstrap(node)
    await add_domain(node, "alice")
    for _ in range(3):
        domain = await node.store.get("domains", "", "alice")
        for token in domain["status"]["deployTokenStatuses"]:
            token["state"] = "used"
        await node.store.update("domains", "", "alice", domain)
        await domains.reconcile(node)
    found = await tokens(node, "alice")
    assert [token["state"] for token in found] == ["used", "unused"]
    assert found[0]["token"] != found[1]["token"]


async def test_deleted_domain_keeps_namespace_but_no_route(node: Node) -> None:
    await domains.bootstrap(node)
    await add_domain(node, "alice")
    await node.store.delete("domains", "", "alice")
    await domains.reconcile(node)
    with pytest.raises(NotFound):
        await node.store.get("clusterdomainroutes", "", "alice-kuscia-system")
    labels = (await node.store.get("namespaces", "", "alice"))["metadata"]["labels"]
    assert labels["kuscia.secretflow/deleted"] == "true"
    await add_domain(node, "alice")
    labels = (await node.store.get("namespaces", "", "alice"))["metadata"]["labels"]
    assert "kuscia.secretflow/deleted" not in labels


async def test_node_without_heartbeats_becomes_not_ready(node: Node) -> None:
    await domains.bootstrap(node)
    await add_domain(node, "alice")
    for name, seconds in (("new", 0), ("old", domains.NODE_LOST + 1)):
        moment = format_time(datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds))
        ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": moment, "lastTransitionTime": moment}
        labels = {NODE_NAMESPACE_LABEL: "alice"}
        status = {"conditions": [ready], "nodeInfo": {"kubeletVersion": "v1"}}
        await node.store.create("nodes", "", name, {"metadata": {"labels": labels}, "status": status})
    await domains.reconcile(node)
    found = (await node.store.get("domains", "", "alice"))["status"]["nodeStatuses"]
    assert {(item["name"], item["status"]) for item in found} == {("new", "Ready"), ("old", "NotReady")}


async def two_domains(node: Node, **certs: str) -> None:
    await domains.bootstrap(node)
    for name in ("alice", "bob"):
        await add_domain(node, name, cert=certs.get(name, ""))
    endpoint = {"host": "bob.example", "ports": [{"name": "http", "port": 1080, "protocol": "HTTP"}]}
    spec = {
        "source": "alice",
        "destination": "bob",
        "authenticationType": "Token",
        "endpoint": endpoint,
        "tokenConfig": {"tokenGenMethod": "RSA-GEN"},
    }
    await node.store.create("clusterdomainroutes", "", "alice-bob", {"spec": spec})
    await settle(node)


async def settle(node: Node) -> None:
    for _ in range(3):
        await routes.reconcile(node.store)


async def uids(node: Node) -> set[str]:
    return {(await node.store.get("domainroutes", name, "alice-bob"))["metadata"]["uid"] for name in ("alice", "bob")}


async def test_creates_domain_routes_and_reports_reason(node: Node) -> None:
    await two_domains(node)
    whole = await node.store.get("clusterdomainroutes", "", "alice-bob")
    (condition,) = whole["status"]["conditions"]
    assert (condition["status"], condition["reason"], condition["message"]) == (
        "False",
        "DestinationIsNotAuthrized",
        "TokenNotGenerate",
    )
    assert len(await uids(node)) == 2


async def test_new_certificate_repeats_handshake(node: Node) -> None:
    await two_domains(node)
    before = await uids(node)
    domain = await node.store.get("domains", "", "alice")
    domain["spec"]["cert"] = certificate("alice")
    await node.store.update("domains", "", "alice", domain)
    await settle(node)
    side = await node.store.get("domainroutes", "bob", "alice-bob")
    assert side["spec"]["tokenConfig"]["sourcePublicKey"] == public_pem(KEYS["alice"])
    assert not before & await uids(node)


async def test_changed_endpoint_recreates_domain_routes(node: Node) -> None:
    await two_domains(node, alice=certificate("alice"), bob=certificate("bob"))
    before = await uids(node)
    await settle(node)
    assert await uids(node) == before
    whole = await node.store.get("clusterdomainroutes", "", "alice-bob")
    whole["spec"]["endpoint"]["host"] = "other.example"
    await node.store.update("clusterdomainroutes", "", "alice-bob", whole)
    await settle(node)
    assert not before & await uids(node)


async def test_reports_silent_destination(node: Node) -> None:
    await two_domains(node, alice=certificate("alice"), bob=certificate("bob"))
    for name in ("alice", "bob"):
        side = await node.store.get("domainroutes", name, "alice-bob")
        side["status"] = {"tokenStatus": {"tokens": [{"revision": 1, "isReady": True}]}}
        await node.store.update("domainroutes", name, "alice-bob", side)
    await settle(node)
    assert await ready(node) == ("True", "")
    moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=GATEWAY_LIVE + 1)
    await node.store.create("gateways", "bob", "pod-b", {"status": {"heartbeatTime": format_time(moment)}})
    await settle(node)
    assert await ready(node) == ("False", "HeartBeatTimeout")


async def test_repeats_handshake_when_tokens_stay_different(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    await two_domains(node, alice=certificate("alice"), bob=certificate("bob"))
    for name, revision in (("alice", 1), ("bob", 2)):
        side = await node.store.get("domainroutes", name, "alice-bob")
        token = {"revision": revision, "isReady": True}
        side["status"] = {"tokenStatus": {"tokens": [token], "revisionToken": token}}
        await node.store.update("domainroutes", name, "alice-bob", side)
    await settle(node)
    assert await ready(node) == ("False", "TokenRevisionNotMatch")
    monkeypatch.setattr(routes, "PATIENCE", -1)
    await settle(node)
    side = await node.store.get("domainroutes", "alice", "alice-bob")
    assert side["status"]["tokenStatus"] == {"revisionToken": {"revision": 1}}


async def ready(node: Node) -> tuple[str, str]:
    (condition,) = (await node.store.get("clusterdomainroutes", "", "alice-bob"))["status"]["conditions"]
    return condition["status"], condition["reason"]


TOKEN = {"tokenStatus": {"tokens": [{"revision": 1}]}}
NEWER = {"tokenStatus": {"tokens": [{"revision": 1}, {"revision": 2}]}}


@pytest.mark.parametrize(
    ("source", "destination", "reason"),
    [
        ({}, {}, "DestinationIsNotAuthrized"),
        ({"isDestinationAuthorized": True}, {}, "TokenNotGenerate"),
        (TOKEN, {}, "TokenNotGenerate"),
        ({**TOKEN, "isDestinationUnreachable": True}, TOKEN, "DestinationUnreachable"),
        (TOKEN, {**TOKEN, "heartBeatTimeout": True}, "HeartBeatTimeout"),
        (TOKEN, NEWER, "TokenRevisionNotMatch"),
        (TOKEN, TOKEN, ""),
    ],
)
def test_route_condition_reasons(source: Object, destination: Object, reason: str) -> None:
    status, found, _ = routes.condition({"status": source}, {"status": destination}, False)
    assert (status, found) == ("True" if not reason else "False", reason)
