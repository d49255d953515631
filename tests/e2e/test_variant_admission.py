"""A lite that reads no token of its master: admitted by certificate, or by a token that was carried."""

import base64
import json
from pathlib import Path

import pytest

from tests.cluster.demo import Demo
from tests.cluster.kusciaapi import kusciaapi
from tests.e2e.conftest import eventually
from tests.e2e.variants import Variant, variant

pytestmark = [pytest.mark.cluster, pytest.mark.long]


def node_ready(made: Variant) -> bool:
    with kusciaapi(made.kubectl, made.release("master")) as api:
        nodes = api.call("domain/query", {"domain_id": "alice"})["node_statuses"]
    return [node["status"] for node in nodes] == ["Ready"]


def may_get_secret(made: Variant, name: str, party: str) -> bool:
    """What the API server says of alice's ServiceAccount."""
    return made.allowed("alice", "get", "secrets", made.namespace(party), name)


def test_by_certificate(demo: Demo, images: Path) -> None:
    """The lite comes first and waits; the master gets its certificate, and it goes on by itself."""
    with variant(demo, images, "certificate", presets=("by-certificate",)) as made:
        notes = made.install("alice", wait=False)
        assert "kuscia-lite-alice-domain-cert" in notes
        certificate = made.kubectl.get("configmap", "kuscia-lite-alice-domain-cert", "-n", made.namespace("alice"))[
            "data"
        ]["domain.crt"]
        made.install("master", values={"master": {"domains": {"alice": {"cert": certificate}}}})
        made.install("alice")

        eventually(lambda: node_ready(made), 120, "alice's node Ready")
        assert made.kuscia_yaml("alice")["liteDeployToken"] == "admitted-by-certificate"
        assert not may_get_secret(made, "kuscia-deploy-token-alice", "master")
        kinds = "secrets,roles.rbac.authorization.k8s.io"
        there = made.kubectl.run("get", kinds, "-n", made.namespace("master"), "-o", "name")
        assert "token-alice" not in there
        with kusciaapi(made.kubectl, made.release("master")) as api:
            domain = api.call("domain/query", {"domain_id": "alice"})
        assert base64.b64decode(domain["cert"]).decode().strip() == certificate.strip()
        made.test()


def test_by_certificate_of_another_key(demo: Demo, images: Path) -> None:
    """The master has somebody else's certificate under alice's name: alice stays out and says why."""
    with variant(demo, images, "stranger", presets=("by-certificate",)) as made:
        made.install("alice", wait=False)
        made.install("master")  # without alice's certificate
        stranger = made.kubectl.get("configmap", "kuscia-master-domain-cert", "-n", made.namespace("master"))["data"][
            "domain.crt"
        ]
        values = {"master": {"domains": {"alice": {"cert": stranger}}}}
        made.install("master", values=values, wait=False)
        eventually(lambda: "certificate" in made.log("alice", "prepare"), 120, "prepare names the certificate")
        state = made.pod("alice")["status"]["initContainerStatuses"][0]["state"]
        assert "running" in state
        assert not made.pod("alice")["status"]["containerStatuses"][0]["started"]


def test_with_a_token_from_hand_to_hand(demo: Demo, images: Path) -> None:
    """The token is carried into a Secret of the lite's own namespace, as the guide does."""
    with variant(demo, images, "own-token", presets=("alice-own-token",)) as made:
        made.install("alice", wait=False)
        nobody = {"master": {"domains": {"alice": {"reader": None}}}}
        made.install("master", values=nobody)
        eventually(lambda: "alice-deploy-token" in made.log("alice", "prepare"), 120, "prepare names the Secret")
        assert not may_get_secret(made, "kuscia-deploy-token-alice", "master")
        assert may_get_secret(made, "alice-deploy-token", "alice")

        token = made.kubectl.get("secret", "kuscia-deploy-token-alice", "-n", made.namespace("master"))
        data = {"token": base64.b64decode(token["data"]["token"]).decode()}
        made.secret(made.namespace("alice"), "alice-deploy-token", data)
        made.install("alice")
        eventually(lambda: node_ready(made), 120, "alice's node Ready")
        assert made.kuscia_yaml("alice")["liteDeployToken"] == data["token"]
        seen = json.dumps(made.kubectl.get("configmaps", "-n", made.namespace("alice")))
        assert data["token"] not in seen + made.log("alice", "prepare")
        made.test()
