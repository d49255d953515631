"""Parties in different clusters, joined by exposed ports alone."""

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.cluster.join import Opening, load_balancer_address
from testbed.cluster.local import Cluster
from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import kusciaapi
from testbed.images import builder
from testbed.servers import ingress
from testbed.servers.ingress import Controller, Settings
from tests.e2e.partners import Away, Partners, away_cluster, name_for, node_port, own_tables, partners
from tests.e2e.variants import Variant
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]


@pytest.fixture(scope="module")
def away(demo: Demo) -> Iterator[Away]:
    with away_cluster(demo) as second:
        yield second


def certificate(made: Variant, party: str) -> str:
    """What a partner sends: the public certificate of its domain."""
    release = made.release(party)
    found = made.kubectl.get("configmap", f"{release.fullname}-domain-cert", "-n", release.namespace)
    return str(found["data"]["domain.crt"])


def nodes(both: Partners, domain: str) -> list[str]:
    with kusciaapi(both.here.kubectl, both.here.release("master")) as api:
        return [node["status"] for node in api.call("domain/query", {"domain_id": domain})["node_statuses"]]


def route_ready(both: Partners, source: str, destination: str) -> bool:
    return bool(both.here.route(source, destination)["status"]["status"] == "Succeeded")


def reach(both: Partners, **endpoints: str) -> dict[str, Any]:
    """Values of the master: how its domains are called."""
    return {"master": {"domains": {domain: {"endpoint": endpoint} for domain, endpoint in endpoints.items()}}}


def knows(endpoint: str) -> dict[str, Any]:
    """Values of a lite: the one thing it is told."""
    return {"lite": {"master": {"endpoint": endpoint}}}


def reachable(source: Cluster, address: object, port: int) -> bool:
    """Whether a TCP connection comes about, from the node of a cluster."""
    probe = f"import socket; socket.create_connection(('{address}', {port}), 2)"
    return subprocess.run([*source.nsenter, "python3", "-c", probe], capture_output=True, check=False).returncode == 0


def upload(source: Cluster, address: object, port: int, host: str, path: str, size: int) -> int:
    """HTTP status of a POST of `size` bytes over TLS, from the node of a cluster."""
    program = f"""
import contextlib, http.client, ssl
# A server may answer before it has read all.
connection = http.client.HTTPSConnection("{address}", {port}, context=ssl._create_unverified_context(), timeout=60)
with contextlib.suppress(BrokenPipeError, ConnectionResetError):
    connection.request("POST", "{path}", b"x" * {size}, {{"Host": "{host}"}})
print(connection.getresponse().status)
"""
    done = subprocess.run([*source.nsenter, "python3", "-c", program], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_node_port_by_certificate(demo: Demo, images: Path, away: Away) -> None:
    """bob comes first, knows a URL, and sends its certificate; then a PSI job runs between the clusters."""
    openings = node_port("master", "alice"), node_port("bob")
    server = away.refs["versitygw"]
    with (
        partners(demo, images, away, "node-port", *openings) as both,
        own_tables(both.here, "alice", server) as alice,
        own_tables(both.there, "bob", server) as tables,
    ):
        here, there = both.here, both.there
        bob = merged(tables, knows(both.node_port("master")))
        notes = there.install("bob", "partner", "nodeport", values=bob, wait=False)
        assert "master.domains.bob.cert" in notes

        master = reach(both, alice=both.node_port("alice"), bob=both.node_port("bob"))
        master["master"]["domains"]["bob"]["cert"] = certificate(there, "bob")
        master["master"]["exampleJob"] = {"enabled": True, "appImage": "psi-engine"}
        notes = here.install("master", "partner", "nodeport", values=master)
        assert "outside    https://<address of a node>:31080" in notes
        here.install("alice", "nodeport", values=alice)
        there.install("bob", "partner", "nodeport", values=bob)

        works_together(both)
        home, away_node = both.home.node_address, both.away.node_address
        assert reachable(both.away, home, 31080)
        assert not reachable(both.away, home, 6443)
        assert not reachable(both.home, away_node, 6443)


def works_together(both: Partners) -> None:
    """Nodes Ready, routes READY both ways, and `helm test` of all, the master's with its PSI job."""
    eventually(lambda: nodes(both, "bob") == ["Ready"], 120, "bob's node Ready")
    eventually(lambda: route_ready(both, "alice", "bob"), 120, "alice reaches bob")
    eventually(lambda: route_ready(both, "bob", "alice"), 120, "bob reaches alice")
    logs = both.here.test()
    assert "psi-output" in logs
    assert "FAIL" not in logs + both.there.test()


def behind(host: str, component: str) -> dict[str, Any]:
    """Values of a component whose Ingress is for that host."""
    return {component: {"ingress": {"host": host, "tls": [{"hosts": [host]}]}}}


def merged(*layers: dict[str, Any]) -> dict[str, Any]:
    """Values on top of each other, as helm merges them."""
    found: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(found.get(key), dict)
            found[key] = merged(found[key], value) if both else value
    return found


# (what is wrong with the Ingress controller, its settings, annotations that it reads otherwise, words of `prepare`)
MISTAKES: list[tuple[str, Settings, dict[str, str | None], str]] = [
    ("takes the header away", Settings(custom_http_errors=(401,)), {}, "without a kuscia-error-message header"),
    (
        "asks for a login",
        Settings(global_auth_signin="https://login.example.com/"),
        {"enable-global-auth": None},
        "a redirect to https://login.example.com/",
    ),
    ("speaks http to an https gateway", Settings(), {"backend-protocol": None}, "does not reach the gateway behind it"),
    ("leaves the path as it is", Settings(), {"rewrite-target": None}, "has to take /master from the path"),
]


def test_ingress_with_a_token_from_hand_to_hand(demo: Demo, images: Path, away: Away) -> None:
    """All behind Ingresses, under paths; bob says what is wrong with the one of the master until it is right."""
    edge = [Opening(ingress.NODE_PORT)]
    image = builder.build(["nginx"])["nginx"]
    server = away.refs["versitygw"]
    with (
        partners(demo, images, away, "ingress", edge, edge) as both,
        own_tables(both.here, "alice", server) as alice,
        own_tables(both.there, "bob", server) as bob,
    ):
        here, there = both.here, both.there
        builder.load(both.home, [image])
        builder.load(both.away, [image])
        outer = Controller(here.kubectl, here.namespace("edge"), image.ref)
        inner = Controller(there.kubectl, there.namespace("edge"), image.ref)
        try:
            ingress_variant(both, alice, bob, outer, inner)
        finally:
            outer.remove()
            inner.remove()


def ingress_variant(
    both: Partners, alice: dict[str, Any], bob: dict[str, Any], outer: Controller, inner: Controller
) -> None:
    """The parties' tables, and the Ingress controllers of master's and bob's clusters."""
    here, there = both.here, both.there
    ours = name_for(there, "bob", both.home.node_address)
    theirs = name_for(here, "master", both.away.node_address)
    port = ingress.NODE_PORT
    bob = merged(
        bob,
        knows(f"https://{ours}:{port}/master"),
        {"lite": {"master": {"tokenSecret": "bob-deploy-token"}}},
        behind(theirs, "lite"),
    )
    there.install("bob", "partner", "ingress-nginx", values=bob, wait=False)
    master = merged(
        reach(both, alice=f"https://{ours}:{port}/lite", bob=f"https://{theirs}:{port}/lite"),
        {"master": {"exampleJob": {"enabled": True, "appImage": "psi-engine"}}},
        behind(ours, "master"),
    )
    notes = here.install("master", "partner", "ingress-nginx", values=master)
    assert f"outside    https://{ours}/master\n" in notes
    here.install("alice", "ingress-nginx", values=merged(alice, behind(ours, "lite")))
    inner.serve([there.namespace("bob")], Settings(ignore_invalid_headers=False))

    served = [here.namespace("master"), here.namespace("alice")]
    for what, settings, mistakes, words in MISTAKES:
        outer.serve(served, settings, mistakes)
        eventually(lambda: words in there.log("bob", "prepare"), 120, f"prepare says that the Ingress {what}")  # noqa: B023
    outer.serve(served, Settings(ignore_invalid_headers=False))
    eventually(lambda: "bob-deploy-token" in there.log("bob", "prepare"), 120, "prepare waits for the token")
    assert "running" in there.pod("bob")["status"]["initContainerStatuses"][0]["state"]

    secret = here.kubectl.get("secret", "kuscia-deploy-token-bob", "-n", here.namespace("master"))
    token = base64.b64decode(secret["data"]["token"]).decode()
    there.secret(there.namespace("bob"), "bob-deploy-token", {"token": token})
    there.install("bob", "partner", "ingress-nginx", values=bob)
    works_together(both)
    assert token not in there.log("bob", "prepare")
    assert "POST /master/register HTTP/1.1" in outer.log()
    assert " /lite/" in inner.log()
    home = both.home.node_address
    assert upload(both.away, home, port, ours, "/master/", 3 * 2**20) == 401
    assert upload(both.away, home, port, "other.example.com", "/master/", 1) == 404
    assert not reachable(both.away, home, 31080)


def give_address(made: Variant, party: str, address: object) -> None:
    """What a cloud's controller does for a Service of type LoadBalancer."""
    status = {"status": {"loadBalancer": {"ingress": [{"ip": str(address)}]}}}
    release = made.release(party)
    made.kubectl.run(
        "patch", "service", f"{release.fullname}-external", "-n", release.namespace,
        "--subresource=status", "--type=merge", "-p", json.dumps(status),
    )  # fmt: skip


def test_load_balancer_by_certificate(demo: Demo, images: Path, away: Away) -> None:
    """Services of type LoadBalancer; the test gives them addresses, and kube-proxy serves these."""
    assert demo.local is not None
    ours, theirs = load_balancer_address(demo.local), load_balancer_address(away.cluster)
    openings = [Opening(1080, ours)], [Opening(1080, theirs)]
    with partners(demo, images, away, "balancer", *openings) as both:
        here, there = both.here, both.there
        bob = knows(f"https://{ours}:1080")
        there.install("bob", "partner", "loadbalancer", values=bob, wait=False)
        give_address(there, "bob", theirs)
        master = reach(both, alice=f"https://{ours}:1081", bob=f"https://{theirs}:1080")
        master["master"]["domains"]["bob"]["cert"] = certificate(there, "bob")
        here.install("master", "partner", "loadbalancer", values=master)
        give_address(here, "master", ours)
        here.install("alice")
        there.install("bob", "partner", "loadbalancer", values=bob)
        eventually(lambda: nodes(both, "bob") == ["Ready"], 120, "bob's node Ready")
        eventually(lambda: route_ready(both, "alice", "bob"), 120, "alice reaches bob")
        there.test()
