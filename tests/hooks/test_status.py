import io
import json
import sys
from typing import Any

import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.inspect import status
from kuscia_hooks.kuscia import gateway
from tests.hooks.builders import lite_release, master_release
from tests.hooks.fakes.cluster import FakeCore
from tests.hooks.scripted import Reply, Scripted

MASTER = master_release()
WATCH = (
    b'{"object":{"job_id":"old","status":{"state":"Succeeded","create_time":"2026-11-23T16:57:11Z"}}}'
    b'{"object":{"job_id":"new","status":{"state":"Running","create_time":"2026-11-23T16:58:11Z"}}}{"type":4}'
)


def pod(name: str, component: str, **found: Any) -> dict[str, Any]:
    labels = {
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/instance": "kuscia",
        "kuscia-chart/domain": "kuscia-system",
    }
    return {
        "metadata": {"name": name, "labels": labels, "creationTimestamp": "2026-11-24T00:00:00Z"},
        "spec": {"containers": [{"name": component}]},
        "status": {"phase": "Running", "startTime": "2026-11-24T00:00:00Z", **found},
    }


def container(name: str, **state: Any) -> dict[str, Any]:
    return {"name": name, "ready": "running" in state, "restartCount": 2, "state": state}


def domain_query(body: dict[str, Any]) -> Reply:
    if body["domain_id"] == "bob":
        return {"domain_id": "bob", "cert": "", "node_statuses": []}
    node = {"name": "n1", "status": "Ready", "version": "v1.1.0b0", "last_heartbeat_time": "2026-11-24T00:00:00Z"}
    return {"domain_id": "alice", "cert": "x", "node_statuses": [node]}


def route_status(body: dict[str, Any]) -> Reply:
    keys = [(key["source"], key["destination"]) for key in body["route_keys"]]
    if ("alice", "bob") in keys:
        return 11404, 'clusterdomainroutes.kuscia.secretflow "alice-bob" not found'
    ready = {"status": "Succeeded", "reason": ""}
    failed = {"status": "Failed", "reason": "Reason:DestinationUnreachable"}
    return {
        "routes": [
            {
                "name": "-".join(key),
                "source": key[0],
                "destination": key[1],
                "status": ready if key[0] == "alice" else failed,
            }
            for key in keys
        ]
    }


def tables(body: dict[str, Any]) -> Reply:
    owner = body["data"]["domain_id"]
    if owner == "bob":
        return 11503, 'namespaces "bob" not found'
    common = {"datasource_id": "src", "columns": [{}, {}]}
    own = {"domaindata_id": "alice-table", "author": "alice", **common}
    return {"domaindata_list": [own, {"domaindata_id": "bob-table", "author": "bob", **common}]}


def grants(_: dict[str, Any]) -> Reply:
    grant = {"author": "alice", "domaindata_id": "alice-table", "grant_domain": "bob"}
    return {"domaindatagrant_list": [{"data": grant}]}


@pytest.fixture
def master(key_pem: bytes) -> Scripted:
    replies: dict[str, Any] = {
        "domain__query": domain_query,
        "route__status__batchQuery": route_status,
        "domaindata__list": tables,
        "domaindatagrant__list": grants,
        "job__watch": WATCH,
    }
    return Scripted(key_pem, "kuscia-system", **replies)


def test_collects_all_parts_of_master(core: FakeCore, kube: Kube, master: Scripted) -> None:
    core.pods["ns"] = [
        pod("kuscia-master-doctor-x", "doctor"),
        pod("kuscia-master-keys-x", "keys", phase="Succeeded"),
        pod("kuscia-master-x", "master", containerStatuses=[container("master", running={})]),
    ]
    found = status.collect(MASTER, kube, lambda: master.api)
    assert [row["name"] for row in found["pods"]] == ["kuscia-master-x", "kuscia-master-keys-x"]
    assert found["pods"][0] | {"started": ""} == {
        "name": "kuscia-master-x",
        "step": "master",
        "ready": "1/1",
        "phase": "Running",
        "restarts": 2,
        "started": "",
    }
    assert found["version"] == "v1.1.0b0"
    assert [(row["domain"], row["status"]) for row in found["domains"]] == [
        ("alice", "Ready"),
        ("bob", "never registered"),
    ]
    assert [(row["route"], row["ready"], row["reason"]) for row in found["routes"]] == [
        ("alice-kuscia-system", "True", ""),
        ("bob-kuscia-system", "False", "Reason:DestinationUnreachable"),
        ("alice-bob", "False", "no such route"),
    ]
    assert [(row["table"], row["columns"], row["grantedTo"]) for row in found["tables"]] == [("alice-table", 2, "bob")]
    assert [row["job"] for row in found["jobs"]] == ["new", "old"]
    (unknown,) = found["unknown"]
    assert unknown.startswith("tables of bob: [kusciaapi-")
    assert "11503" in unknown
    assert json.loads(status.as_json(found)) == found


def test_prints_plain_tables_without_terminal(core: FakeCore, kube: Kube, master: Scripted) -> None:
    core.pods["ns"] = [pod("kuscia-master-x", "master", containerStatuses=[container("master", running={})])]
    text = status.as_text(status.collect(MASTER, kube, lambda: master.api))
    assert "master kuscia-system: release kuscia in ns, Kuscia v1.1.0b0" in text
    assert "DOMAIN  TABLE        DATA SOURCE  COLUMNS  GRANTED TO" in text
    assert max(len(line) for line in text.splitlines()) < 160


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_prints_rich_tables_on_terminal(
    core: FakeCore, kube: Kube, master: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    core.pods["ns"] = [pod("kuscia-master-x", "master", containerStatuses=[container("master", running={})])]
    found = status.collect(MASTER, kube, lambda: master.api)
    found["jobs"] = [{"job": "[red]\x1b[1mx", "state": "Running", "created": ""}]
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    text = status.as_text(found)
    assert "\x1b[32mReady" in text
    assert "GRANTED TO" in text
    assert "[red] [1mx" in text


def test_shows_pods_and_reason_without_kusciaapi(core: FakeCore, kube: Kube) -> None:

    def closed() -> Any:
        raise RetryableError("kusciaapi-busy", "it is busy", see="kubectl get pods")

    core.pods["ns"] = [pod("kuscia-master-x", "master", initContainerStatuses=[container("prepare", running={})])]
    found = status.collect(MASTER, kube, closed)
    assert found["pods"][0]["phase"] == "Init: prepare"
    assert "routes" not in found
    assert found["unknown"] == ["KusciaAPI: [kusciaapi-busy] it is busy\n    see: kubectl get pods"]
    assert "  KusciaAPI: [kusciaapi-busy] it is busy" in status.as_text(found)


@pytest.mark.parametrize(
    ("found", "phase"),
    [
        ({"containerStatuses": [container("master", waiting={"reason": "CrashLoopBackOff"})]}, "CrashLoopBackOff"),
        ({"containerStatuses": [container("master", waiting={"reason": "PodInitializing"})]}, "Running"),
        ({"initContainerStatuses": [container("prepare", waiting={"reason": "ErrImagePull"})]}, "Init: ErrImagePull"),
        ({"phase": "Failed", "reason": "Evicted"}, "Evicted"),
        ({"phase": "Pending"}, "Pending"),
    ],
)
def test_phase_names_reason_of_waiting(found: dict[str, Any], phase: str) -> None:
    assert status.phase(pod("x", "master", **found)) == phase


def test_queries_routes_of_lite(monkeypatch: pytest.MonkeyPatch) -> None:
    lite = lite_release(partners=["bob"])
    monkeypatch.setattr(gateway, "master_id", lambda endpoint, domain: "kuscia-system")
    reader = status.PartReader()
    assert status.wanted_routes(lite, reader) == [("carl", "kuscia-system"), ("carl", "bob"), ("bob", "carl")]
    assert reader.unread == []

    def closed(endpoint: str, domain: str) -> str:
        raise RetryableError("kusciaapi-timeout", "it is down")

    monkeypatch.setattr(gateway, "master_id", closed)
    assert status.wanted_routes(lite, reader) == [("carl", "bob"), ("bob", "carl")]
    assert reader.unread == ["route to the master: [kusciaapi-timeout] it is down"]
