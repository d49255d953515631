"""A lite that reads no token of its master: admitted by certificate, or by a token that was carried."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from kuscia_hooks.kuscia import domain_key
from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import kusciaapi
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


def certificate(made: Variant, party: str) -> str:
    """What a partner prints and sends: the public certificate of its domain."""
    release = made.release(party)
    found = made.kubectl.get("configmap", f"{release.fullname}-domain-cert", "-n", release.namespace)
    return str(found["data"]["domain.crt"])


def admit(pem: str, **more: bool) -> dict[str, Any]:
    """Values of a master that admits alice by that certificate."""
    return {"master": {"domains": {"alice": {"cert": pem, **more}}}}


def test_by_certificate(demo: Demo, images: Path) -> None:
    """The lite comes first and waits; the master gets its certificate, and it goes on by itself."""
    with variant(demo, images, "certificate", presets=("by-certificate",)) as made:
        notes = made.install("alice", wait=False)
        assert "kuscia-lite-alice-domain-cert" in notes
        sent = certificate(made, "alice")
        made.install("master", values=admit(sent))
        made.install("alice")

        eventually(lambda: node_ready(made), 120, "alice's node Ready")
        assert made.kuscia_yaml("alice")["liteDeployToken"] == "admitted-by-certificate"
        assert not may_get_secret(made, "kuscia-deploy-token-alice", "master")
        kinds = "secrets,roles.rbac.authorization.k8s.io"
        there = made.kubectl.run("get", kinds, "-n", made.namespace("master"), "-o", "name")
        assert "token-alice" not in there
        with kusciaapi(made.kubectl, made.release("master")) as api:
            domain = api.call("domain/query", {"domain_id": "alice"})
        assert base64.b64decode(domain["cert"]).decode().strip() == sent.strip()
        made.test()


def test_by_certificate_of_another_key(demo: Demo, images: Path) -> None:
    """A stranger's certificate under alice's name: alice stays out and says why, until the right one is there."""
    with variant(demo, images, "stranger", presets=("by-certificate",)) as made:
        made.install("alice", wait=False)
        stranger = domain_key.load_key(domain_key.new_key())
        made.install("master", values=admit(domain_key.ca_certificate(stranger, "alice").decode()))
        eventually(lambda: "another certificate" in made.log("alice", "prepare"), 120, "prepare says why")
        assert "running" in made.pod("alice")["status"]["initContainerStatuses"][0]["state"]

        made.install("master", values=admit(certificate(made, "alice"), allowRekey=True))
        made.install("alice")
        eventually(lambda: node_ready(made), 120, "alice's node Ready")


def test_certificate_of_another_domain(demo: Demo, images: Path) -> None:
    """The master's own certificate given for alice's: `register` says whose it is."""
    with variant(demo, images, "mixed-up", parties=("master",), presets=("by-certificate",)) as made:
        made.install("master")
        values = admit(certificate(made, "master"))
        with pytest.raises(CommandError):
            made.install("master", values=values, timeout="60s")
        selector = "app.kubernetes.io/component=register"
        log = demo.kubectl.run("logs", "-n", made.namespace("master"), "-l", selector, "--tail=-1")
        assert "domains.alice.cert is the certificate of domain kuscia-system, not of alice" in log


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


def test_a_token_that_was_used(demo: Demo, images: Path) -> None:
    """The lite is made anew with another key and the token of its first start: prepare names both ways out.

    The master's operator takes the second: one upgrade with allowRekey, and the new token is carried.
    """
    with variant(demo, images, "used-token", presets=("alice-own-token",)) as made:
        made.install("master", values={"master": {"domains": {"alice": {"reader": None}}}})
        alice = made.namespace("alice")

        def carry() -> str:
            stored = made.kubectl.get("secret", "kuscia-deploy-token-alice", "-n", made.namespace("master"))
            token = base64.b64decode(stored["data"]["token"]).decode()
            made.secret(alice, "alice-deploy-token", {"token": token})
            return token

        used = carry()
        made.install("alice")
        eventually(lambda: node_ready(made), 120, "alice's node Ready")

        release = made.release("alice")
        made.kubectl.helm("uninstall", release.name, "-n", alice, "--wait")
        identity = (f"secret/{release.fullname}-domain-key", f"configmap/{release.fullname}-domain-cert")
        made.kubectl.run("delete", *identity, "-n", alice)
        made.install("alice", wait=False)
        words = (
            f"the token in Secret {alice}/alice-deploy-token, key token, is not the domain's unused one. "
            "If the lite's key was lost or replaced, restore it, or set master.domains.<id>.allowRekey: true once"
        )
        eventually(lambda: words in made.log("alice", "prepare"), 120, "prepare says so")
        assert used not in made.log("alice", "prepare")

        again = {"master": {"domains": {"alice": {"reader": None, "allowRekey": True}}}}
        made.install("master", values=again)

        def renewed() -> bool:
            return carry() != used

        eventually(renewed, 120, "register has put the new token into the Secret")
        made.install("alice")

        def connected() -> bool:
            with kusciaapi(made.kubectl, made.release("master")) as api:
                nodes = api.call("domain/query", {"domain_id": "alice"})["node_statuses"]
            # The node of the former pod stays, not Ready.
            name = made.pod("alice")["metadata"]["name"]
            return [node["status"] for node in nodes if node["name"] == name] == ["Ready"]

        eventually(connected, 180, "alice's new node Ready")
