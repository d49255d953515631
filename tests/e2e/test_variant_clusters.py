"""Parties in different clusters, connected only through exposed ports."""

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.cluster.join import Opening, load_balancer_address
from testbed.cluster.local import Cluster
from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import kusciaapi
from testbed.images import builder
from testbed.servers import ingress
from testbed.servers.ingress import Controller, Settings
from tests.e2e import messages
from tests.e2e.messages import Message
from tests.e2e.partners import Away, Partners, away_cluster, name_for, node_port, own_tables, partners
from tests.e2e.plugin import kuscia
from tests.e2e.variants import Variant
from tests.e2e.waiting import RECONNECT_SECONDS, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]


@pytest.fixture(scope="module")
def away(demo: Demo) -> Iterator[Away]:
    with away_cluster(demo) as second:
        yield second


def certificate(made: Variant, party: str) -> str:
    """Return the public certificate of a party's domain, which it sends to the master."""
    release = made.release(party)
    found = made.kubectl.get("configmap", f"{release.fullname}-domain-cert", "-n", release.namespace)
    return str(found["data"]["domain.crt"])


def nodes(both: Partners, domain: str) -> list[str]:
    with kusciaapi(both.here.kubectl, both.here.release("master")) as api:
        return [node["status"] for node in api.call("domain/query", {"domain_id": domain})["node_statuses"]]


def route_ready(both: Partners, source: str, destination: str) -> bool:
    return bool(both.here.route(source, destination)["status"]["status"] == "Succeeded")


def reach(both: Partners, **endpoints: str) -> dict[str, Any]:
    """Return values of the master: the endpoints of its domains."""
    return {"master": {"domains": {domain: {"endpoint": endpoint} for domain, endpoint in endpoints.items()}}}


def knows(endpoint: str) -> dict[str, Any]:
    """Return values of a lite: the endpoint of its master."""
    return {"lite": {"master": {"endpoint": endpoint}}}


def reachable(source: Cluster, address: object, port: int) -> bool:
    """Return whether the node of a cluster can open a TCP connection."""
    probe = f"import socket; socket.create_connection(('{address}', {port}), 2)"
    return subprocess.run([*source.nsenter, "python3", "-c", probe], capture_output=True, check=False).returncode == 0


def upload(source: Cluster, address: object, port: int, host: str, path: str, size: int) -> int:
    """Return the HTTP status of a POST of `size` bytes over TLS, from the node of a cluster."""
    program = f"""
import contextlib, http.client, ssl
# A server may respond before it has read the whole body.
connection = http.client.HTTPSConnection("{address}", {port}, context=ssl._create_unverified_context(), timeout=60)
with contextlib.suppress(BrokenPipeError, ConnectionResetError):
    connection.request("POST", "{path}", b"x" * {size}, {{"Host": "{host}"}})
print(connection.getresponse().status)
"""
    done = subprocess.run([*source.nsenter, "python3", "-c", program], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_node_ports_and_admission_by_certificate(demo: Demo, images: Path, away: Away) -> None:
    """bob is installed first, with a URL, and sends its certificate. A PSI job runs between the clusters."""
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
        assert ":31080" in notes
        here.install("alice", "nodeport", values=alice)
        there.install("bob", "partner", "nodeport", values=bob)

        check_connection(both)
        home, away_node = both.home.node_address, both.away.node_address
        assert reachable(both.away, home, 31080)
        assert not reachable(both.away, home, 6443)
        assert not reachable(both.home, away_node, 6443)


def check_connection(both: Partners) -> None:
    """Check the node, both routes, and `helm test` of all parties, which runs the PSI job."""
    wait_for_routes(both)
    logs = both.here.test()
    assert "psi-output" in logs
    assert messages.failures(logs) == []
    assert messages.failures(both.there.test()) == []


def wait_for_routes(both: Partners) -> None:
    """Wait until bob's node is Ready and the routes between alice and bob are READY."""
    eventually(lambda: nodes(both, "bob") == ["Ready"], RECONNECT_SECONDS, "node of bob Ready")
    for source, destination in (("alice", "bob"), ("bob", "alice")):
        what = f"route {source} to {destination}"
        eventually(lambda: route_ready(both, source, destination), RECONNECT_SECONDS, what)  # noqa: B023


def behind(host: str, component: str) -> dict[str, Any]:
    """Return values of a component with an Ingress for a host."""
    return {component: {"ingress": {"host": host, "tls": [{"hosts": [host]}]}}}


def merged(*layers: dict[str, Any]) -> dict[str, Any]:
    """Merge values as helm does."""
    found: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(found.get(key), dict)
            found[key] = merged(found[key], value) if both else value
    return found


# (mistake of the Ingress controller, its settings, annotations that it ignores, message of `prepare`, fact)
MISTAKES: list[tuple[str, Settings, dict[str, str | None], Message, str]] = [
    (
        "drops the header",
        Settings(custom_http_errors=(401,)),
        {},
        messages.NOT_A_GATEWAY,
        "kuscia-error-message",
    ),
    (
        "requires a login",
        Settings(global_auth_signin="https://login.example.com/"),
        {"enable-global-auth": None},
        messages.NOT_A_GATEWAY,
        "https://login.example.com/",
    ),
    ("sends HTTP to an HTTPS gateway", Settings(), {"backend-protocol": None}, messages.MASTER_UNAVAILABLE, "502"),
    ("does not strip the path", Settings(), {"rewrite-target": None}, messages.PATH_NOT_STRIPPED, "/master"),
]


def test_ingresses_and_a_copied_token(demo: Demo, images: Path, away: Away) -> None:
    """All parties behind Ingresses with paths. bob reports each mistake of the master's Ingress until it works."""
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
            run_behind_ingresses(both, alice, bob, outer, inner)
        finally:
            outer.remove()
            inner.remove()


def run_behind_ingresses(
    both: Partners, alice: dict[str, Any], bob: dict[str, Any], outer: Controller, inner: Controller
) -> None:
    """Install all parties with their tables, behind the Ingress controllers of the two clusters."""
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
    assert f"https://{ours}/master\n" in notes
    here.install("alice", "ingress-nginx", values=merged(alice, behind(ours, "lite")))
    inner.serve([there.namespace("bob")], Settings(ignore_invalid_headers=False))

    served = [here.namespace("master"), here.namespace("alice")]
    for _, settings, ignored, message, fact in MISTAKES:
        outer.serve(served, settings, ignored)
        messages.wait_for_message(there, "bob", message, fact)
    outer.serve(served, Settings(ignore_invalid_headers=False))
    messages.wait_for_message(there, "bob", messages.SECRET_NOT_FOUND, "bob-deploy-token")
    assert "running" in there.pod("bob")["status"]["initContainerStatuses"][0]["state"]

    secret = here.kubectl.get("secret", "kuscia-deploy-token-bob", "-n", here.namespace("master"))
    token = base64.b64decode(secret["data"]["token"]).decode()
    there.secret(there.namespace("bob"), "bob-deploy-token", {"token": token})
    there.install("bob", "partner", "ingress-nginx", values=bob)
    check_connection(both)
    assert token not in there.log("bob", "prepare")
    assert "POST /master/register HTTP/1.1" in outer.log()
    assert " /lite/" in inner.log()
    home = both.home.node_address
    assert upload(both.away, home, port, ours, "/master/", 3 * 2**20) == 401
    assert upload(both.away, home, port, "other.example.com", "/master/", 1) == 404
    assert not reachable(both.away, home, 31080)


def test_invitation_and_token_from_the_master(demo: Demo, images: Path, away: Away) -> None:
    """bob installs only what `kubectl kuscia invite` printed: the values, and the Secret with the token apart."""
    openings = node_port("master", "alice"), node_port("bob")
    with partners(demo, images, away, "invited", *openings) as both:
        here, there = both.here, both.there
        here.install("master", "partner", "nodeport", values=reach(both, **ends(both)))
        namespace = here.namespace("master")
        said = kuscia(here.kubectl, "invite", "bob", "--endpoint", both.node_port("master"), "-n", namespace)
        assert said.code == 0, said
        secret = kuscia(here.kubectl, "invite", "bob", "--token", "-n", namespace)
        assert secret.code == 0, secret
        token = yaml.safe_load(secret.text)
        assert token["data"]["token"] not in said.text
        assert base64.b64decode(token["data"]["token"]).decode() not in said.text

        release = there.release("bob")
        there.kubectl.ensure_namespace(release.namespace)
        # The test bed has its own names of namespaces.
        token["metadata"]["namespace"] = release.namespace
        there.kubectl.apply(json.dumps(token))
        invited = merged(yaml.safe_load(said.text), {"lite": {"master": {"tokenSecret": token["metadata"]["name"]}}})
        there.install("bob", "nodeport", values=invited)
        eventually(lambda: nodes(both, "bob") == ["Ready"], RECONNECT_SECONDS, "node of bob Ready")
        assert base64.b64decode(token["data"]["token"]).decode() not in there.log("bob", "prepare")


def ends(both: Partners) -> dict[str, str]:
    """Return the endpoints of the lites."""
    return {"alice": both.node_port("alice"), "bob": both.node_port("bob")}


def give_address(made: Variant, party: str, address: object) -> None:
    """Set the address of a Service of type LoadBalancer, as a cloud controller does."""
    status = {"status": {"loadBalancer": {"ingress": [{"ip": str(address)}]}}}
    release = made.release(party)
    made.kubectl.run(
        "patch", "service", f"{release.fullname}-external", "-n", release.namespace,
        "--subresource=status", "--type=merge", "-p", json.dumps(status),
    )  # fmt: skip


def test_load_balancers_and_admission_by_certificate(demo: Demo, images: Path, away: Away) -> None:
    """The test sets the addresses of the Services, and kube-proxy serves them."""
    assert demo.local is not None
    ours, theirs = load_balancer_address(demo.local), load_balancer_address(away.cluster)
    openings = [Opening(1080, ours), *node_port("alice")], [Opening(1080, theirs)]
    with partners(demo, images, away, "balancer", *openings) as both:
        here, there = both.here, both.there
        bob = knows(f"https://{ours}:1080")
        there.install("bob", "partner", "loadbalancer", values=bob, wait=False)
        give_address(there, "bob", theirs)
        master = reach(both, alice=both.node_port("alice"), bob=f"https://{theirs}:1080")
        master["master"]["domains"]["bob"]["cert"] = certificate(there, "bob")
        here.install("master", "partner", "loadbalancer", values=master)
        give_address(here, "master", ours)
        here.install("alice", "nodeport")
        there.install("bob", "partner", "loadbalancer", values=bob)
        wait_for_routes(both)
        there.test()
