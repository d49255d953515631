"""A master and two lites on loopback: admission, routes, engine traffic through both gateways, restarts."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kuscia_sim import credentials
from kuscia_sim_testing.nodes import (
    MASTER_ID,
    Node,
    create_route,
    engine_server,
    free_offset,
    offer,
    request,
    until,
    unused_token,
    wait_route,
)

MEGABYTE = b"y" * 2**20


@pytest.fixture(scope="module")
def engine() -> Iterator[int]:
    with engine_server() as port:
        yield port


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Node]]:
    """Start the nodes: alice is admitted by certificate and uses plain HTTP; bob by token, and uses TLS like the
    master.
    """
    directory = tmp_path_factory.mktemp("nodes")
    master = Node(directory / "master", {"mode": "master", "domainID": MASTER_ID, "protocol": "TLS"}, free_offset())
    found = {"master": master.start().wait_started()}
    try:
        for name, protocol in (("alice", "NOTLS"), ("bob", "TLS")):
            config = {
                "mode": "lite",
                "domainID": name,
                "protocol": protocol,
                "masterEndpoint": master.gateway,
                "runtime": "runp",
                "liteDeployToken": "admitted-by-certificate",
            }
            node = Node(directory / name, config, free_offset())
            certificate = credentials.b64(credentials.cert_pem(credentials.ca_certificate(node.key, name)))
            master.api("domain/create", {"domain_id": name, "cert": certificate if name == "alice" else ""})
            if name == "bob":
                node.config["liteDeployToken"] = unused_token(master, name)
            found[name] = node.start()
        for node in found.values():
            node.wait_started()
        create_route(master, "alice", found["bob"])
        create_route(master, "bob", found["alice"])
        yield found
    finally:
        for node in found.values():
            node.stop()


def test_routes_become_ready(nodes: dict[str, Node]) -> None:
    master = nodes["master"]
    for source, destination in (("alice", "bob"), ("bob", "alice"), ("alice", MASTER_ID), ("bob", MASTER_ID)):
        wait_route(master, source, destination, "Succeeded", timeout=20)


def test_registration_uses_token_but_certificate_keeps_it(nodes: dict[str, Node]) -> None:
    states = {}
    for name in ("alice", "bob"):
        data = nodes["master"].api("domain/query", {"domain_id": name})["data"]
        states[name] = sorted(entry["state"] for entry in data["deploy_token_statuses"])
        assert [(n["name"], n["status"]) for n in data["node_statuses"]] == [(f"host-{name}", "Ready")]
    assert states == {"alice": ["unused"], "bob": ["unused", "used"]}


def test_engine_traffic_passes_both_gateways(nodes: dict[str, Node], engine: int) -> None:
    wait_route(nodes["master"], "alice", "bob", "Succeeded")
    wait_route(nodes["master"], "bob", "alice", "Succeeded")
    for source, destination in (("alice", "bob"), ("bob", "alice")):
        offer(nodes[destination], "job-0-psi", engine)
        host = f"job-0-psi.{destination}.svc"
        until(lambda: request(nodes[source], host)[0] == 200)  # noqa: B023
        status, headers, body = request(nodes[source], f"{host}:80", MEGABYTE)
        seen = json.loads(body)
        assert (status, seen["size"], seen["path"]) == (200, len(MEGABYTE), "/a?b=c")
        assert headers["server"] == "envoy"  # recorded: "lite internal gateway port 80"
        assert seen["headers"]["host"] == host
        assert seen["headers"]["kuscia-origin-source"] == seen["headers"]["kuscia-source"] == source
        assert seen["headers"]["kuscia-host"] == host
        assert len(seen["headers"]["kuscia-token"]) == 44
        assert "x-request-id" in seen["headers"]
        assert request(nodes[destination], host)[0] == 200


@pytest.mark.parametrize(
    ("host", "headers", "status"),
    [
        ("kuscia-handshake.alice.svc", {}, 400),
        ("x", {"Kuscia-Host": "kuscia-handshake.alice.svc"}, 400),
        ("kuscia-handshake.alice.svc", {"Kuscia-Host": "elsewhere"}, 401),
        ("x", {}, 401),
    ],
)
def test_handshake_is_recognized_by_either_header(
    nodes: dict[str, Node], host: str, headers: dict[str, str], status: int
) -> None:
    """400 is the handshake server's answer to an empty body."""
    assert request(nodes["alice"], host, path="/handshake", headers=headers, port=1080)[0] == status


def test_returns_404_for_unknown_and_private_services(nodes: dict[str, Node], engine: int) -> None:
    alice, bob = nodes["alice"], nodes["bob"]
    offer(bob, "job-1-local", engine, scope="Local")
    until(lambda: request(bob, "job-1-local.bob.svc")[0] == 200)
    status, headers, _ = request(alice, "job-1-local.bob.svc")
    assert status == 404
    assert headers["kuscia-error-message"] == (
        "<alice/host-alice/internal> => <bob/host-bob/external> => "
        '<bob/host-bob/internal $local$ Service "job-1-local.bob.svc" not found.>'
    )
    for host in ("nosuch.carol.svc", "job-1-local.bob.svc.cluster.local", "x"):
        assert request(alice, host)[0] == 404


def test_lite_reads_only_its_part_of_the_state(nodes: dict[str, Node]) -> None:
    alice = nodes["alice"]
    base = "/sim/v1/objects"
    for path in (f"{base}/domainroutes/bob/alice-bob", f"{base}/configmaps/bob/x"):
        status, _, body = request(alice, "apiserver.master.svc", b"{}", path, {"Content-Type": "application/json"})
        assert (status, json.loads(body)["reason"]) == (403, "Forbidden")


@pytest.mark.parametrize("host", ["kuscia-lite-bob.lite-bob.svc", "kuscia-lite-bob"])
def test_reports_unresolvable_route_hosts(nodes: dict[str, Node], host: str) -> None:
    master, reason = nodes["master"], "DestinationIsNotAuthrized"
    name = "carol" if host.endswith("svc") else "dave"
    certificate = credentials.ca_certificate(credentials.new_key(), name)
    master.api("domain/create", {"domain_id": name, "cert": credentials.b64(credentials.cert_pem(certificate))})
    target = Node(Path(), {"domainID": name}, nodes["bob"].offset)
    create_route(master, "alice", target, host=host)
    wait_route(master, "alice", name, "Failed", f"Message=TokenNotGenerate, Reason:{reason}")
    nodes["alice"].wait_for(f"DomainRoute alice-{name}: handshake fail:", 30)


def test_route_with_wrong_scheme_fails(nodes: dict[str, Node]) -> None:
    master = nodes["master"]
    master.api("route/delete", {"source": "bob", "destination": "alice"})
    create_route(master, "bob", nodes["alice"], tls=True)
    wait_route(master, "bob", "alice", "Failed", "DestinationIsNotAuthrized")
    nodes["bob"].wait_for("DomainRoute bob-alice: handshake fail:response status code [503]", 30)
    master.api("route/delete", {"source": "bob", "destination": "alice"})
    create_route(master, "bob", nodes["alice"])
    wait_route(master, "bob", "alice", "Succeeded")


def test_lites_continue_after_master_restart(nodes: dict[str, Node], engine: int) -> None:
    master = nodes["master"]
    wait_route(master, "alice", "bob", "Succeeded")
    assert master.stop() == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", master.port(1080))) != 0
    assert request(nodes["alice"], "job-0-psi.bob.svc")[0] == 200, "routes between lites need no master"
    assert nodes["alice"].api("domain/query", {"domain_id": "alice"})["status"]["code"] == 11103
    master.start().wait_started()
    wait_route(master, "alice", "bob", "Succeeded", timeout=20)
    until(lambda: nodes["alice"].api("domain/query", {"domain_id": "alice"})["status"]["code"] == 0)
    offer(nodes["bob"], "job-2-psi", engine)
    until(lambda: request(nodes["alice"], "job-2-psi.bob.svc")[0] == 200)


def test_reports_stopped_lite_until_it_returns(nodes: dict[str, Node]) -> None:
    master, bob = nodes["master"], nodes["bob"]
    wait_route(master, "alice", "bob", "Succeeded")
    assert bob.stop() == 0
    assert master.api("domain/query", {"domain_id": "bob"})["data"]["node_statuses"] == []
    assert wait_route(master, "alice", "bob", "Failed", "DestinationUnreachable", 40) < 35
    wait_route(master, "bob", "alice", "Failed", "HeartBeatTimeout", 60)
    bob.start().wait_started()
    wait_route(master, "alice", "bob", "Succeeded", timeout=40)
    wait_route(master, "bob", "alice", "Succeeded", timeout=40)


def test_deleted_domain_loses_routes_and_access(nodes: dict[str, Node]) -> None:
    master = nodes["master"]
    master.api("domain/delete", {"domain_id": "alice"})
    until(lambda: _code(master, "alice", MASTER_ID) == 11404)
    until(lambda: request(nodes["alice"], "apiserver.master.svc", b"", "/sim/v1/objects/domains")[0] == 401)


def _code(master: Node, source: str, destination: str) -> int:
    return int(master.api("route/query", {"source": source, "destination": destination})["status"]["code"])
