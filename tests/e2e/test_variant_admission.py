"""A lite that cannot read Secrets of its master: admitted by certificate, or by a token that a person copies."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from kuscia_hooks.kuscia import domain_key
from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import kusciaapi
from tests.e2e import messages
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]


def may_get_secret(made: Variant, name: str, party: str) -> bool:
    """Return whether alice's ServiceAccount may read a Secret."""
    return made.allowed("alice", "get", "secrets", made.namespace(party), name)


def certificate(made: Variant, party: str) -> str:
    """Return the public certificate of a party's domain, which it sends to the master."""
    release = made.release(party)
    found = made.kubectl.get("configmap", f"{release.fullname}-domain-cert", "-n", release.namespace)
    return str(found["data"]["domain.crt"])


def admit(pem: str, **more: bool) -> dict[str, Any]:
    """Return the values of a master that admits alice by a certificate."""
    return {"master": {"domains": {"alice": {"cert": pem, **more}}}}


def test_admits_by_certificate(demo: Demo, images: Path) -> None:
    """The lite is installed first. It continues automatically once the master has its certificate."""
    with variant(demo, images, "certificate", presets=("by-certificate",)) as made:
        notes = made.install("alice", wait=False)
        assert "kuscia-lite-alice-domain-cert" in notes
        sent = certificate(made, "alice")
        made.install("master", values=admit(sent))
        made.install("alice")

        made.wait_for_node("alice")
        assert made.kuscia_yaml("alice")["liteDeployToken"] == "admitted-by-key"
        assert not may_get_secret(made, "kuscia-deploy-token-alice", "master")
        kinds = "secrets,roles.rbac.authorization.k8s.io"
        there = made.kubectl.run("get", kinds, "-n", made.namespace("master"), "-o", "name")
        assert "token-alice" not in there
        with kusciaapi(made.kubectl, made.release("master")) as api:
            domain = api.call("domain/query", {"domain_id": "alice"})
        assert base64.b64decode(domain["cert"]).decode().strip() == sent.strip()
        made.test()


def test_lite_waits_when_the_master_has_another_certificate(demo: Demo, images: Path) -> None:
    """A certificate with alice's name and a different key, then the right one."""
    with variant(demo, images, "stranger", presets=("by-certificate",)) as made:
        made.install("alice", wait=False)
        stranger = domain_key.load_key(domain_key.new_key())
        made.install("master", values=admit(domain_key.ca_certificate(stranger, "alice").decode()))
        messages.wait_for_message(made, "alice", messages.CERTIFICATE_MISMATCH)
        assert "running" in made.pod("alice")["status"]["initContainerStatuses"][0]["state"]

        made.install("master", values=admit(certificate(made, "alice"), allowRekey=True))
        made.install("alice")
        made.wait_for_node("alice")


def test_register_rejects_a_certificate_of_another_domain(demo: Demo, images: Path) -> None:
    """The certificate of the master itself, in place of alice's."""
    with variant(demo, images, "mixed-up", parties=("master",), presets=("by-certificate",)) as made:
        made.install("master")
        values = admit(certificate(made, "master"))
        made.install("master", values=values)
        selector = "app.kubernetes.io/component=register"

        def reported() -> bool:
            log = demo.kubectl.run("logs", "-n", made.namespace("master"), "-l", selector, "--tail=-1")
            return messages.INVALID_CONFIG.printed_in(log, "alice", "kuscia-system")

        eventually(reported, 60, "the register step reports the certificate")
        with pytest.raises(CommandError):
            made.test("master")


def test_admits_by_a_copied_token(demo: Demo, images: Path) -> None:
    """The token is copied to a Secret in the lite's namespace, as in the guide."""
    with variant(demo, images, "own-token", presets=("alice-own-token",)) as made:
        made.install("alice", wait=False)
        nobody = {"master": {"domains": {"alice": {"reader": None}}}}
        made.install("master", values=nobody)
        messages.wait_for_message(made, "alice", messages.SECRET_NOT_FOUND, "alice-deploy-token")
        assert not may_get_secret(made, "kuscia-deploy-token-alice", "master")
        assert may_get_secret(made, "alice-deploy-token", "alice")

        token = made.kubectl.get("secret", "kuscia-deploy-token-alice", "-n", made.namespace("master"))
        data = {"token": base64.b64decode(token["data"]["token"]).decode()}
        made.secret(made.namespace("alice"), "alice-deploy-token", data)
        made.install("alice")
        made.wait_for_node("alice")
        assert made.kuscia_yaml("alice")["liteDeployToken"] == data["token"]
        seen = json.dumps(made.kubectl.get("configmaps", "-n", made.namespace("alice")))
        assert data["token"] not in seen + made.log("alice", "prepare")
        made.test()


def test_readmits_a_lite_that_lost_its_key(demo: Demo, images: Path) -> None:
    """The lite is reinstalled with a new key and the used token. `prepare` names both fixes.

    The operator of the master applies one: an upgrade with allowRekey. Then the new token is copied.
    """
    with variant(demo, images, "used-token", presets=("alice-own-token",)) as made:
        made.install("master", values={"master": {"domains": {"alice": {"reader": None}}}})
        alice = made.namespace("alice")

        def copy_token() -> str:
            stored = made.kubectl.get("secret", "kuscia-deploy-token-alice", "-n", made.namespace("master"))
            token = base64.b64decode(stored["data"]["token"]).decode()
            made.secret(alice, "alice-deploy-token", {"token": token})
            return token

        used = copy_token()
        made.install("alice")
        made.wait_for_node("alice")

        release = made.release("alice")
        made.kubectl.helm("uninstall", release.name, "-n", alice, "--wait")
        identity = (f"secret/{release.fullname}-domain-key", f"configmap/{release.fullname}-domain-cert")
        made.kubectl.run("delete", *identity, "-n", alice)
        made.install("alice", wait=False)
        facts = f"{alice}/alice-deploy-token", "allowRekey"
        messages.wait_for_message(made, "alice", messages.DEPLOY_TOKEN_MISMATCH, *facts)
        assert used not in made.log("alice", "prepare")

        again = {"master": {"domains": {"alice": {"reader": None, "allowRekey": True}}}}
        made.install("master", values=again)

        def renewed() -> bool:
            return copy_token() != used

        eventually(renewed, 120, "register writes the new token")
        made.install("alice")

        made.wait_for_node("alice")
