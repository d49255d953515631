"""Traffic that the NetworkPolicies of a master and a lite admit, and traffic that they drop.

Requires a network plugin that enforces NetworkPolicies; the local cluster has one. The other tests run with the same
policies and show that steps and engines work. Here, pods with the labels of each kind of client try every port of
docs/network.md, and some that no client may reach.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.cluster.kubectl import Kubectl
from testbed.demo.demo import Demo
from tests.e2e.engines import DOMAIN, sleeper
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.cluster

NAME = "policies"
OUTSIDE = f"v-{NAME}-outside"
SERVING = 8000
JOB = "probes"
Port = tuple[int, str]


def release(component: str, instance: str = "kuscia", domain: str = "alice") -> dict[str, str]:
    """Return labels of a pod of a release."""
    return {
        "app.kubernetes.io/name": "kuscia",
        "app.kubernetes.io/instance": instance,
        "app.kubernetes.io/component": component,
        "kuscia-chart/domain": domain,
    }


# Client -> the namespace of its pod ("" is outside of the parties), and its labels.
CLIENTS: dict[str, tuple[str, dict[str, str]]] = {
    "stranger": ("", {}),
    "partner": ("", {"role": "partner"}),
    "backend": ("", {"role": "backend"}),
    "monitoring": ("", {"role": "monitoring"}),
    "engine of nobody": ("", {DOMAIN: "alice"}),
    "step of nobody": ("", release("check")),
    "engine of bob": ("engines", {DOMAIN: "bob"}),
    "check of alice": ("alice", release("check")),
    "keys of alice": ("alice", release("keys")),
    "check of another release": ("alice", release("check", instance="other")),
    "check of master": ("master", release("check", domain="kuscia-system")),
}
# A real one: a lite deletes pods with its label that it did not create.
ENGINE = "engine of alice"
EVERYONE = {*CLIENTS, ENGINE}
ADMITTED: dict[str, dict[Port, set[str]]] = {
    "master": {
        (1080, "TCP"): EVERYONE,
        (8082, "TCP"): {"check of master", "backend"},
        (8083, "TCP"): {"check of master", "backend"},
        (9091, "TCP"): {"monitoring"},
    },
    "alice": {
        (1080, "TCP"): EVERYONE,
        (8082, "TCP"): {"check of alice", "backend"},
        (8083, "TCP"): {"check of alice", "backend"},
        (9091, "TCP"): {"monitoring"},
        (80, "TCP"): {ENGINE},
        (53, "UDP"): {ENGINE},
        (53, "TCP"): {ENGINE},
        (8070, "TCP"): {ENGINE},
        (8071, "TCP"): {ENGINE},
    },
}
CLOSED: dict[str, tuple[Port, ...]] = {
    "master": ((80, "TCP"), (53, "UDP"), (6443, "TCP"), (8092, "TCP")),
    "alice": ((8081, "TCP"), (8092, "TCP"), (10000, "TCP")),
}

# Prints for each [address, port, protocol] whether a packet came back: an answer, or the refusal of a closed port.
PROBE = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

QUERY = bytes.fromhex("000001000001000000000000") + b"\\x07example\\x00" + bytes.fromhex("00010001")

def admitted(target):
    address, port, protocol = target
    kind = socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.settimeout(4)
        try:
            sock.connect((address, port))
            if protocol == "UDP":
                sock.send(QUERY)
                sock.recv(512)
        except ConnectionRefusedError:
            return True
        except TimeoutError:
            return False
    return True

targets = json.loads(sys.argv[1])
with ThreadPoolExecutor(len(targets)) as pool:
    print(json.dumps(list(pool.map(admitted, targets))))
"""


def peer(**labels: str) -> list[dict[str, Any]]:
    """Return the NetworkPolicy peers for pods outside of the parties."""
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": OUTSIDE}}
    return [{"namespaceSelector": namespace, "podSelector": {"matchLabels": labels}}]


def pod_name(client: str) -> str:
    return f"{JOB}-task-0" if client == ENGINE else client.replace(" ", "-")


def pod(client: str, namespace: str, image: str) -> dict[str, Any]:
    """Return the pod of a client. It also serves a port, to show which pods accept connections."""
    container = {
        "name": "client",
        "image": image,
        "command": ["python3", "-m", "http.server", str(SERVING), "--directory", "/etc"],
        "readinessProbe": {"tcpSocket": {"port": SERVING}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod_name(client), "namespace": namespace, "labels": CLIENTS[client][1]},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }


@pytest.fixture(scope="module")
def policies(demo: Demo, images: Path, image_refs: dict[str, str]) -> Iterator[Variant]:
    component = {
        "service": {"grpc": {"enabled": True}},
        "networkPolicy": {"apiFrom": peer(role="backend"), "metricsFrom": peer(role="monitoring")},
    }
    engine = sleeper(image_refs["psi-engine"], args=["exec sleep 3600"])
    values = {"master": component | {"appImages": {"sleeper": engine}}, "lite": component}
    with variant(demo, images, NAME, presets=("alice-engines-apart",), values=values) as made:
        demo.kubectl.run("delete", "namespace", OUTSIDE, "--ignore-not-found", "--wait", timeout=300)
        for namespace in (OUTSIDE, made.namespace("engines")):
            demo.kubectl.ensure_namespace(namespace)
        try:
            made.install_all()
            pods = [pod(name, where(made, name), image_refs["kuscia-hooks"]) for name in CLIENTS]
            demo.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": pods}))
            for name in CLIENTS:
                demo.kubectl.run(
                    "wait", f"pod/{pod_name(name)}", "-n", where(made, name), "--for=condition=Ready", "--timeout=120s",
                    timeout=150,
                )  # fmt: skip
            made.run_engine("sleeper", JOB)
            eventually(lambda: engine_runs(made), 180, "the engine pod runs")
            yield made
        finally:
            demo.kubectl.run("delete", "namespace", OUTSIDE, "--wait", timeout=300)


def engine_runs(made: Variant) -> bool:
    return bool(made.kubectl.get("pod", pod_name(ENGINE), "-n", where(made, ENGINE))["status"]["phase"] == "Running")


def where(made: Variant, client: str) -> str:
    """Return the namespace of a client."""
    if client == ENGINE:
        return made.namespace("engines")
    return made.namespace(CLIENTS[client][0]) if CLIENTS[client][0] else OUTSIDE


def address(made: Variant, client: str) -> str:
    found = made.kubectl.get("pod", pod_name(client), "-n", where(made, client))
    return str(found["status"]["podIP"])


def reach(made: Variant, client: str, targets: list[tuple[str, int, str]]) -> list[bool]:
    """Return for each target (address, port, protocol) whether a client reaches it."""
    output = made.kubectl.run(
        "exec", pod_name(client), "-n", where(made, client), "--", "python3", "-c", PROBE, json.dumps(targets)
    )
    found: list[bool] = json.loads(output)
    return found


def clients_of(made: Variant, party: str, ports: list[Port], clients: Iterable[str] = EVERYONE) -> dict[Port, set[str]]:
    """Return for each port of a party's Kuscia the clients that reach it."""
    host = made.pod(party)["status"]["podIP"]
    found: dict[Port, set[str]] = {port: set() for port in ports}
    for client in clients:
        for port, admitted in zip(ports, reach(made, client, [(host, *port) for port in ports]), strict=True):
            if admitted:
                found[port].add(client)
    return found


@pytest.mark.parametrize("party", ADMITTED)
def test_admits_exactly_the_clients_of_each_port(policies: Variant, party: str) -> None:
    expected = ADMITTED[party] | {port: set() for port in CLOSED[party]}
    assert clients_of(policies, party, list(expected)) == expected


@pytest.mark.parametrize("party", ADMITTED)
def test_tries_every_port_of_the_policy(policies: Variant, party: str) -> None:
    name = policies.release(party).fullname
    rules = policies.kubectl.get("networkpolicy", name, "-n", policies.namespace(party))["spec"]["ingress"]
    ports = {(port["port"], port["protocol"]) for rule in rules for port in rule["ports"]}
    assert ports == set(ADMITTED[party])


def test_services_lead_to_the_admitted_ports(policies: Variant) -> None:
    """A policy applies to the pod, also when the client uses the Service."""
    service = policies.kubectl.get("service", "kuscia-lite-alice", "-n", policies.namespace("alice"))["spec"]
    ports = {(port["port"], port["protocol"]) for port in service["ports"]}
    targets = [(service["clusterIP"], *port) for port in sorted(ports)]
    for client in ("stranger", "backend", "monitoring", ENGINE):
        expected = [client in ADMITTED["alice"][port] for port in sorted(ports)]
        assert reach(policies, client, targets) == expected, client


def test_pods_of_the_steps_accept_no_connections(policies: Variant) -> None:
    for client in ("stranger", "backend", "keys of alice"):
        steps = [(address(policies, step), SERVING, "TCP") for step in ("check of alice", "check of master")]
        assert reach(policies, client, steps) == [False, False], client
    assert reach(policies, "check of alice", [(address(policies, "stranger"), SERVING, "TCP")]) == [True]


def test_gateway_from_limits_the_clients_of_the_gateway(policies: Variant) -> None:
    """The pods of the release are admitted in any case, and a lite whose namespace is listed still connects."""
    lites = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": policies.namespace("alice")}}}]
    alice = policies.namespace("alice")
    policies.install("master", values={"master": {"networkPolicy": {"gatewayFrom": lites}}})
    policies.install("alice", values={"lite": {"networkPolicy": {"gatewayFrom": peer(role="partner")}}})
    # `helm test` rejects an engine pod of another domain.
    policies.kubectl.run("delete", "pod", pod_name("engine of bob"), "-n", policies.namespace("engines"))
    clients = CLIENTS.keys() - {"engine of bob"}
    gateway = (1080, "TCP")
    own = {"check of alice", "keys of alice"}
    assert clients_of(policies, "alice", [gateway], clients) == {gateway: own | {"partner"}}
    in_alice = {client for client, (party, _) in CLIENTS.items() if party == "alice"}
    assert clients_of(policies, "master", [gateway], clients) == {gateway: in_alice | {"check of master"}}
    policies.kubectl.run("rollout", "restart", "deployment/kuscia-lite-alice", "-n", alice)
    policies.kubectl.run(
        "rollout", "status", "deployment/kuscia-lite-alice", "-n", alice, "--timeout=300s", timeout=330
    )
    assert "Succeeded" in policies.test()


def test_disabled_policies_admit_everyone(policies: Variant, kubectl: Kubectl) -> None:
    """And show that the ports were dropped by the policies before."""
    policies.install("alice", values={"lite": {"networkPolicy": {"enabled": False}}})
    assert kubectl.get("networkpolicies", "-n", policies.namespace("alice"))["items"] == []
    ports = [(1080, "TCP"), (8082, "TCP"), (9091, "TCP"), *CLOSED["alice"]]
    host = policies.pod("alice")["status"]["podIP"]
    assert all(reach(policies, "stranger", [(host, *port) for port in ports]))
