"""Parties in different clusters, joined by exposed ports alone."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.demo import Demo
from tests.cluster.kusciaapi import kusciaapi
from tests.e2e.conftest import eventually
from tests.e2e.partners import Away, Partners, away_cluster, node_port, own_tables, partners
from tests.e2e.variants import Variant

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


def test_node_port_by_certificate(demo: Demo, images: Path, away: Away) -> None:
    """bob comes first, knows a URL, and sends its certificate; then a PSI job runs between the clusters."""
    openings = node_port("master", "alice"), node_port("bob")
    with partners(demo, images, away, "node-port", *openings) as both:
        here, there = both.here, both.there
        bob = own_tables(there, "bob", away.refs["versitygw"], "node-port") | {}
        bob["lite"] |= knows(both.node_port("master"))["lite"]
        alice = own_tables(here, "alice", away.refs["versitygw"], "node-port")
        notes = there.install("bob", "partner", "nodeport", values=bob, wait=False)
        assert "master.domains.bob.cert" in notes

        master = reach(both, alice=both.node_port("alice"), bob=both.node_port("bob"))
        master["master"]["domains"]["bob"]["cert"] = certificate(there, "bob")
        master["master"]["exampleJob"] = {"enabled": True, "appImage": "psi-engine"}
        notes = here.install("master", "partner", "nodeport", values=master)
        assert "outside    https://<address of a node>:31080" in notes
        here.install("alice", "nodeport", values=alice)
        there.install("bob", "partner", "nodeport", values=bob)

        eventually(lambda: nodes(both, "bob") == ["Ready"], 120, "bob's node Ready")
        eventually(lambda: route_ready(both, "alice", "bob"), 120, "alice reaches bob")
        eventually(lambda: route_ready(both, "bob", "alice"), 120, "bob reaches alice")
        logs = here.test()
        assert "psi-output" in logs
        assert "FAIL" not in logs + there.test()
