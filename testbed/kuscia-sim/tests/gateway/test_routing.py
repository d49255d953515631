"""Envoy's configuration (Kuscia facts 6.5, 6.6, 16.4); test_network.py tests its effect."""

import dataclasses
import re
from pathlib import Path

from kuscia_sim.gateway.envoy import (
    Peer,
    Routing,
    Service,
    Upstream,
    bootstrap,
    clusters,
    external_routes,
    internal_routes,
)
from kuscia_sim.node.host import Host

HOST = Host(Path("/home/kuscia"), "0.0.0.0", 0, "pod-a", "10.0.0.9", in_image=True)
BOB = Upstream("alice-to-bob-http", "gw.bob.example", 1080, tls=True)
ROUTING = Routing(
    domain_id="alice",
    hostname="pod-a",
    version="v1",
    handshake_hosts=("kuscia-handshake.alice.svc",),
    services=(
        Service(Upstream("service-a", "10.0.0.5", 29000), ("job-0-psi.alice.svc",), external=True),
        Service(Upstream("service-b", "10.0.0.6", 29001), ("job-0-x.alice.svc",), external=False),
    ),
    peers=(Peer(BOB, ("*.bob.svc",), "token-for-bob", "/kuscia/bob/"),),
    callers=(("bob", ("new+token=", "old/token=")),),
)


def test_first_matching_external_route_wins() -> None:
    routes = external_routes(ROUTING)["virtual_hosts"][0]["routes"]
    answers = [route.get("direct_response", {}).get("status") or route["route"]["cluster"] for route in routes]
    assert answers == ["handshake-cluster", "handshake-cluster", "service-a", "alice-to-bob-http", 404, 401]
    absent, authority = routes[1]["match"]["headers"]
    assert (absent["name"], absent["invert_match"], authority["name"]) == ("kuscia-host", True, ":authority")
    source, token, wanted = routes[2]["match"]["headers"]
    assert source["string_match"] == {"exact": "bob"}
    assert token["string_match"]["safe_regex"]["regex"] == r"new\+token=|old/token="
    assert wanted["string_match"]["safe_regex"]["regex"] == r"job\-0\-psi\.alice\.svc"
    assert routes[2]["route"]["host_rewrite_header"] == "kuscia-host"
    assert routes[-1]["direct_response"]["body"]["inline_string"] == (
        '{"domain":"alice","instance":"pod-a","kuscia":"v1","reason":"unauthorized."}\n'
    )


def test_forwards_callers_to_peers_but_not_to_master() -> None:
    master = Peer(Upstream("service-masterproxy", "m.example", 1080), ("*.master.svc",), "own", forwards=False)
    routing = dataclasses.replace(ROUTING, peers=(master, *ROUTING.peers))
    routes = external_routes(routing)["virtual_hosts"][0]["routes"]
    (forward,) = [route for route in routes if "to-bob" in route.get("route", {}).get("cluster", "")]
    assert not [route for route in routes if route.get("route", {}).get("cluster") == "service-masterproxy"]
    wanted = forward["match"]["headers"][2]["string_match"]["safe_regex"]["regex"]
    assert re.fullmatch(wanted, "job-0-psi.bob.svc")
    assert re.fullmatch(wanted, "kuscia-handshake.bob.svc")
    assert not re.fullmatch(wanted, "apiserver.master.svc")
    added = {item["header"]["key"]: item["header"]["value"] for item in forward["request_headers_to_add"]}
    assert (added["Kuscia-Source"], added["Kuscia-Token"]) == ("alice", "token-for-bob")


def test_encrypted_route_uses_body_cipher() -> None:
    peers = tuple(dataclasses.replace(peer, sealed="alice-bob") for peer in ROUTING.peers)
    routing = dataclasses.replace(ROUTING, peers=peers, sealed_origins=(("carol", "carol-alice"),))
    hosts = {host["name"]: host["routes"][0] for host in internal_routes(routing)["virtual_hosts"]}
    out = hosts["alice-to-bob-http"]
    assert out["route"]["cluster"] == "body-cipher"
    added = {item["header"]["key"]: item["header"]["value"] for item in out["request_headers_to_add"]}
    assert added["kuscia-sim-cipher"] == "seal alice-bob alice-to-bob-http"
    sealed, plain = external_routes(routing)["virtual_hosts"][0]["routes"][2:4]
    assert (sealed["route"]["cluster"], plain["route"]["cluster"]) == ("body-cipher", "service-a")
    assert sealed["match"]["headers"][-1] == {"name": "kuscia-origin-source", "string_match": {"exact": "carol"}}


def test_without_callers_only_handshakes_pass() -> None:
    routes = external_routes(dataclasses.replace(ROUTING, callers=()))["virtual_hosts"][0]["routes"]
    wanted = [[header["name"] for header in route["match"].get("headers", [])] for route in routes]
    assert wanted == [["kuscia-host"], ["kuscia-host", ":authority"], []]


def test_calls_to_peer_carry_its_token() -> None:
    hosts = {host["name"]: host for host in internal_routes(ROUTING)["virtual_hosts"]}
    peer = hosts["alice-to-bob-http"]
    assert peer["domains"] == ["*.bob.svc"]
    assert peer["routes"][0]["route"]["prefix_rewrite"] == "/kuscia/bob/"
    added = {item["header"]["key"]: item["header"]["value"] for item in peer["routes"][0]["request_headers_to_add"]}
    assert added == {
        "Kuscia-Host": "%REQ(:authority)%",
        "Kuscia-Source": "alice",
        "Kuscia-Token": "token-for-bob",
        "Kuscia-Origin-Source": "alice",
    }
    assert hosts["service-a"]["domains"] == ["job-0-psi.alice.svc"]
    assert hosts["service-b"]["domains"] == ["job-0-x.alice.svc"]


def test_uses_each_name_once() -> None:
    twice = Service(Upstream("service-c", "10.0.0.7", 1), ("job-0-psi.alice.svc",), external=True)
    routing = dataclasses.replace(ROUTING, services=(*ROUTING.services, twice), peers=ROUTING.peers * 2)
    names = [name for host in internal_routes(routing)["virtual_hosts"] for name in host["domains"]]
    assert len(names) == len(set(names))
    assert len({cluster["name"] for cluster in clusters(routing, HOST)}) == len(clusters(routing, HOST))


def test_resolves_names_with_dns_server_of_node() -> None:
    found = {cluster["name"]: cluster for cluster in clusters(ROUTING, HOST)}
    bob = found["alice-to-bob-http"]
    assert bob["type"] == "STRICT_DNS"
    resolver = bob["typed_dns_resolver_config"]["typed_config"]["resolvers"][0]["socket_address"]
    assert resolver == {"address": "127.0.0.1", "port_value": 53}
    assert set(bob["transport_socket"]["typed_config"]) == {"@type"}, "upstream's Envoy sends no server name"
    assert found["service-a"]["type"] == "STATIC"
    assert "transport_socket" not in found["service-a"]


def test_only_external_listener_uses_tls() -> None:
    listeners = bootstrap(ROUTING, HOST, Path("/x"), ("CERT", "KEY"))["static_resources"]["listeners"]
    tls = {item["name"]: "transport_socket" in item["filter_chains"][0] for item in listeners}
    assert tls == {"external": True, "internal": False}
    ports = {item["name"]: item["address"]["socket_address"]["port_value"] for item in listeners}
    assert ports == {"external": 1080, "internal": 80}
