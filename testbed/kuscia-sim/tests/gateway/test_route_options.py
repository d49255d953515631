"""Transit, body encryption and token rotation between three lites (Kuscia facts 6.1, 6.4, 6.5)."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

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
    wait_route,
)

MARKER = b"secret-rows-of-alice " * 5000
BOB = "job-0-psi.bob.svc"


class Relay:
    """Forwards TCP connections to `port` and records what the callers sent."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.seen = bytearray()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._server.accept()
                callee = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            threading.Thread(target=self._pass, args=(caller, callee, self.seen), daemon=True).start()
            threading.Thread(target=self._pass, args=(callee, caller, self.seen), daemon=True).start()

    @staticmethod
    def _pass(source: socket.socket, sink: socket.socket, seen: bytearray) -> None:
        with source, sink:
            try:
                while data := source.recv(65536):
                    seen += data
                    sink.sendall(data)
            except OSError:
                return


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Node]]:
    """Start a master, alice, bob and carol, all plain HTTP, without routes between the lites."""
    directory = tmp_path_factory.mktemp("nodes")
    master = Node(directory / "master", {"mode": "master", "domainID": MASTER_ID, "protocol": "NOTLS"}, free_offset())
    found = {"master": master.start().wait_started()}
    try:
        for name in ("alice", "bob", "carol"):
            config = {
                "mode": "lite",
                "domainID": name,
                "protocol": "NOTLS",
                "masterEndpoint": master.gateway,
                "runtime": "runp",
                "liteDeployToken": "admitted-by-certificate",
            }
            node = Node(directory / name, config, free_offset())
            certificate = credentials.cert_pem(credentials.ca_certificate(node.key, name))
            master.api("domain/create", {"domain_id": name, "cert": credentials.b64(certificate)})
            found[name] = node.start()
        for node in found.values():
            node.wait_started()
        yield found
    finally:
        for node in found.values():
            node.stop()


@pytest.fixture
def relay(nodes: dict[str, Node]) -> Iterator[Relay]:
    """Start a relay in front of bob's gateway."""
    made = Relay(nodes["bob"].port(1080))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def no_routes_left(nodes: dict[str, Node]) -> Iterator[None]:
    yield
    for source in ("alice", "bob", "carol"):
        for destination in ("alice", "bob", "carol"):
            nodes["master"].api("route/delete", {"source": source, "destination": destination})
    # A gateway with an outdated configuration would answer the next test by the previous route.
    for source in ("alice", "carol"):
        until(lambda source=source: request(nodes[source], BOB)[0] == 404, 60)


@pytest.fixture(scope="module", autouse=True)
def engine(nodes: dict[str, Node]) -> Iterator[None]:
    with engine_server() as port:
        offer(nodes["bob"], "job-0-psi", port)
        yield


def call(nodes: dict[str, Node], host: str = BOB) -> dict[str, Any]:
    """Return what bob's engine received of alice's request."""
    until(lambda: request(nodes["alice"], host)[0] == 200)
    status, _, body = request(nodes["alice"], host, MARKER)
    assert status == 200, body
    seen: dict[str, Any] = json.loads(body)
    assert (seen["size"], seen["path"]) == (len(MARKER), "/a?b=c")
    return seen


def through(domain: str) -> dict[str, Any]:
    return {"transit": {"transit_method": "THIRD-DOMAIN", "domain": {"domain_id": domain}}, "endpoint": None}


def test_transit_goes_through_third_domain(nodes: dict[str, Node], relay: Relay) -> None:
    """alice has no direct route to bob; the relay records carol's name and token only."""
    master = nodes["master"]
    create_route(master, "alice", nodes["bob"], through("carol"))
    wait_route(master, "alice", "bob", "Failed", "DestinationIsNotAuthrized")
    assert request(nodes["alice"], BOB)[0] == 404

    create_route(master, "carol", nodes["bob"], port=relay.port)
    create_route(master, "alice", nodes["carol"])
    wait_route(master, "alice", "bob", "Succeeded")
    headers = call(nodes)["headers"]
    assert (headers["kuscia-origin-source"], headers["kuscia-source"]) == ("alice", "carol")
    assert headers["kuscia-host"] == headers["host"] == BOB
    assert MARKER[:60] in relay.seen

    status, answered, _ = request(nodes["alice"], "nobody-here.bob.svc")
    assert (status, "carol/host-carol/external" in answered["kuscia-error-message"]) == (404, True)

    master.api("route/delete", {"source": "carol", "destination": "bob"})
    wait_route(master, "alice", "bob", "Failed", "DestinationUnreachable", 40)


def test_reports_unsupported_transit_method(nodes: dict[str, Node]) -> None:
    create_route(nodes["master"], "alice", nodes["bob"], {"transit": {"transit_method": "REVERSE-TUNNEL"}})
    nodes["alice"].wait_for("alice-bob of method REVERSE-TUNNEL", 20)
    wait_route(nodes["master"], "alice", "bob", "Failed", "DestinationIsNotAuthrized")


@pytest.mark.parametrize("algorithm", ["AES", "SM4"])
def test_encrypts_bodies_between_gateways(nodes: dict[str, Node], relay: Relay, algorithm: str) -> None:
    encryption = {"body_encryption": {"algorithm": algorithm}}
    create_route(nodes["master"], "alice", nodes["bob"], encryption, port=relay.port)
    headers = call(nodes)["headers"]
    assert (headers["kuscia-source"], headers["host"]) == ("alice", BOB)
    assert len(relay.seen) > len(MARKER)
    assert MARKER[:60] not in relay.seen
    assert b'"size"' not in relay.seen, "the answer"


def test_bodies_are_readable_without_encryption(nodes: dict[str, Node], relay: Relay) -> None:
    create_route(nodes["master"], "alice", nodes["bob"], port=relay.port)
    call(nodes)
    assert MARKER[:60] in relay.seen
    assert b'"size"' in relay.seen


def test_third_domain_cannot_read_encrypted_bodies(nodes: dict[str, Node], relay: Relay) -> None:
    """carol's own traffic to bob is not affected."""
    master = nodes["master"]
    create_route(master, "carol", nodes["bob"], port=relay.port)
    create_route(master, "alice", nodes["carol"])
    create_route(master, "alice", nodes["bob"], {**through("carol"), "body_encryption": {"algorithm": "AES"}})
    assert call(nodes)["headers"]["kuscia-source"] == "carol"
    assert MARKER[:60] not in relay.seen
    assert request(nodes["carol"], BOB, MARKER)[0] == 200
    assert MARKER[:60] in relay.seen


def test_rejects_plain_body_on_encrypted_route(nodes: dict[str, Node]) -> None:
    """bob's gateway requires encryption before alice's does: it rejects plain bodies."""
    master, alice, bob = (nodes[name] for name in ("master", "alice", "bob"))
    create_route(master, "alice", bob, {"body_encryption": {"algorithm": "AES"}})
    until(lambda: request(alice, BOB)[0] == 200)
    routes = (alice.home / "var/envoy/internal.json").read_text()
    (token,) = re.findall(r'"Kuscia-Token", "value": "([^"]+)"}, "append_action": "[A-Z_]+"}, [^]]*alice-bob', routes)
    headers = {"Kuscia-Host": BOB, "Kuscia-Source": "alice", "Kuscia-Origin-Source": "alice", "Kuscia-Token": token}
    status, answered, _ = request(bob, BOB, b"clear", headers=headers, port=1080)
    assert (status, "the body is not encrypted" in answered["kuscia-error-message"]) == (400, True)


def test_replaces_tokens_without_failing_requests(nodes: dict[str, Node], relay: Relay) -> None:
    """Each period has a new revision; no request in between fails, and old tokens stop working."""
    period = {"token_config": {"token_gen_method": "RSA-GEN", "rolling_update_period": 10}}
    create_route(nodes["master"], "alice", nodes["bob"], period, port=relay.port)
    # An answer alone may have used the previous route.
    until(lambda: request(nodes["alice"], BOB)[0] == 200 and bool(tokens(relay)))
    began = time.monotonic()
    answers = set()
    while len(set(tokens(relay))) < 3:
        answers.add(request(nodes["alice"], BOB)[0])
        assert time.monotonic() - began < 60, "no third token within a minute"
        time.sleep(0.2)
    assert answers == {200}
    assert time.monotonic() - began > 19
    first = tokens(relay)[0]
    headers = {"Kuscia-Host": BOB, "Kuscia-Source": "alice", "Kuscia-Origin-Source": "alice"}

    def status(token: str) -> int:
        return request(nodes["bob"], BOB, headers={**headers, "Kuscia-Token": token}, port=1080)[0]

    until(lambda: status(first) == 401, 60)
    assert status(tokens(relay)[-1]) == 200


def tokens(relay: Relay) -> list[str]:
    """Return the recorded tokens in order."""
    return [found.decode() for found in re.findall(rb"kuscia-token: (\S+)\r\n", bytes(relay.seen))]
