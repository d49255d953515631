"""`doctor` and `status` against nodes of the stand-in: the causes that need no broken host (Kuscia facts 12.6).

A master and two lites run as processes on loopback; the cluster of their releases is in memory.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config.release import Release
from kuscia_hooks.inspect import diagnosis, reading, status
from kuscia_hooks.kuscia.api import brief_api
from kuscia_sim import credentials as sim_credentials
from kuscia_sim_testing.hostcluster import HostClusterServer
from kuscia_sim_testing.nodes import MASTER_ID, Node, create_route, free_offset, until, unused_token, wait_route
from tests.hooks.builders import container, lite_release, master_release, pod, secret_data
from tests.hooks.fakes.cluster import FakeCore

pytestmark = pytest.mark.long
CAPACITY = {"cpu": "4", "memory": "8Gi", "pods": "500", "storage": "100Gi"}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Node]]:
    """The master, alice and bob; the route from alice to bob is missing."""
    directory, host = tmp_path_factory.mktemp("doctor"), HostClusterServer(set())
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(host.kubeconfig)
    config = {"mode": "master", "domainID": MASTER_ID, "protocol": "NOTLS"}
    master = Node(directory / "master", config, free_offset()).start().wait_started()
    found = {MASTER_ID: master}
    for domain_id in ("alice", "bob"):
        assert master.api("domain/create", {"domain_id": domain_id})["status"]["code"] == 0
        lite = {
            "mode": "lite",
            "domainID": domain_id,
            "protocol": "NOTLS",
            "liteDeployToken": unused_token(master, domain_id),
            "masterEndpoint": master.gateway,
            "runtime": "runk",
            "runk": {"namespace": f"lite-{domain_id}", "kubeconfigFile": str(kubeconfig)},
            "capacity": CAPACITY,
        }
        found[domain_id] = Node(directory / domain_id, lite, free_offset()).start()
    for node in found.values():
        node.wait_started()
    create_route(master, "bob", found["alice"])
    yield found
    for node in reversed(found.values()):
        node.stop()
    host.close()


def release(node: Node, **fields: Any) -> Release:
    """Return the release of a node."""
    make = master_release if node.domain_id == MASTER_ID else lite_release
    api = {"endpoint": f"http://127.0.0.1:{node.port(8082)}", "protocol": "NOTLS"}
    fixed = {"domainId": node.domain_id, "gateway": node.gateway, "api": api, "datastore": None}
    return make(**fixed | fields)


def cluster(config: Release, node: Node) -> Kube:
    """Return a cluster that has the release, with a Kuscia pod that is ready."""
    core = FakeCore()
    pem = sim_credentials.key_pem(node.key)
    core.put("secrets", config.namespace, config.key_secret.name, data=secret_data(**{config.key_secret.key: pem}))
    state = [container(config.mode, running={})]
    core.pods[config.namespace] = [pod("node", config.mode, config.domain_id, containerStatuses=state)]
    core.logs[config.namespace, "node", config.mode, False] = b""
    return Kube(core)


def findings(node: Node, **fields: Any) -> list[str]:
    """Return the IDs that `doctor` prints for the release of a node."""
    config = release(node, **fields)
    kube = cluster(config, node)
    with brief_api(kube, config) as open_api:
        seen = reading.collect(config, kube, open_api)
    assert seen.unread == ()
    return [finding.id for finding in diagnosis.diagnose(config, seen)]


def lites(nodes: dict[str, Node]) -> dict[str, Any]:
    return {name: {"endpoint": nodes[name].gateway} for name in ("alice", "bob")}


def ready(nodes: dict[str, Node]) -> None:
    for source, destination in (("alice", MASTER_ID), ("bob", MASTER_ID), ("bob", "alice")):
        wait_route(nodes[MASTER_ID], source, destination, "Succeeded")


def test_finds_nothing_wrong_with_healthy_nodes(nodes: dict[str, Node]) -> None:
    ready(nodes)
    assert findings(nodes[MASTER_ID], domains=lites(nodes), routes=[{"source": "bob", "destination": "alice"}]) == []
    assert findings(nodes["alice"], master={"endpoint": nodes[MASTER_ID].gateway}) == []


def test_status_shows_domains_and_routes(nodes: dict[str, Node]) -> None:
    ready(nodes)
    config = release(
        nodes[MASTER_ID],
        domains=lites(nodes),
        routes=[{"source": "bob", "destination": "alice"}, {"source": "alice", "destination": "bob"}],
    )
    kube = cluster(config, nodes[MASTER_ID])
    with brief_api(kube, config) as open_api:
        found = status.collect(config, kube, open_api)
    assert found["unknown"] == []
    assert [(row["domain"], row["status"]) for row in found["domains"]] == [("alice", "Ready"), ("bob", "Ready")]
    assert {row["route"]: row["ready"] for row in found["routes"]} == {
        f"alice-{MASTER_ID}": "True",
        f"bob-{MASTER_ID}": "True",
        "bob-alice": "True",
        "alice-bob": "False",
    }


@pytest.mark.parametrize(
    ("endpoint", "finding"),
    [
        ("https://127.0.0.1:{master}", "wrong-scheme"),
        ("http://127.0.0.1:1", "master-down"),
        ("http://kuscia-master.invalid:1080", "host-not-found"),
        ("http://127.0.0.1:{api}", "not-a-gateway"),
        ("http://127.0.0.1:{bob}", "gateway-of-another-domain"),
    ],
)
def test_names_what_is_wrong_with_the_master_endpoint(nodes: dict[str, Node], endpoint: str, finding: str) -> None:
    """Causes 1 to 4 and 6."""
    master = nodes[MASTER_ID]
    url = endpoint.format(master=master.port(1080), api=master.port(8082), bob=nodes["bob"].port(1080))
    config = release(nodes["alice"], master={"endpoint": url})
    kube = cluster(config, nodes["alice"])
    with brief_api(kube, config) as open_api:
        found = [one.id for one in diagnosis.diagnose(config, reading.collect(config, kube, open_api))]
    assert found == [finding]


def test_names_missing_route_and_domain(nodes: dict[str, Node]) -> None:
    """Causes 5 and 8."""
    ready(nodes)
    found = findings(
        nodes[MASTER_ID], domains=lites(nodes) | {"carol": {}}, routes=[{"source": "alice", "destination": "bob"}]
    )
    assert found == ["domain-not-found", "route-missing", "route-missing"]


def test_names_engine_without_room(nodes: dict[str, Node], monkeypatch: pytest.MonkeyPatch) -> None:
    """Cause 21: Kuscia gives no reason."""
    ready(nodes)
    monkeypatch.setattr(diagnosis, "_SLOW_START", 0.0)
    master = nodes[MASTER_ID]
    resources = {"requests": {"cpu": "16"}, "limits": {"cpu": "16"}}
    template = {"name": "e", "replicas": 1, "containers": [{"name": "e", "command": ["e"], "resources": resources}]}
    image = {"name": "large", "image": {"name": "e", "tag": "1"}, "deploy_templates": [template]}
    assert master.api("appimage/create", image)["status"]["code"] == 0
    task = {
        "app_image": "large",
        "alias": "t",
        "task_id": "large-t",
        "parties": [{"domain_id": "alice", "role": ""}],
        "task_input_config": "{}",
    }
    body = {"job_id": "large", "initiator": "alice", "max_parallelism": 1, "tasks": [task]}
    assert master.api("job/create", body)["status"]["code"] == 0
    until(lambda: findings(master, domains=lites(nodes), routes=[]) == ["engine-no-room"], 30)
    assert findings(nodes["alice"], master={"endpoint": master.gateway}) == ["engine-no-room"]
