"""RunK with engine pods in a separate namespace."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from tests.e2e.engines import DOMAIN, sleeper
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.cluster
JOB = "sleeps"
VERBS = ("get", "list", "watch", "create", "delete")
KINDS = ("pods", "configmaps", "secrets")


@pytest.fixture(scope="module")
def apart(demo: Demo, images: Path, image_refs: dict[str, str]) -> Iterator[Variant]:
    values = {"master": {"appImages": {"sleeper": sleeper(image_refs["psi-engine"])}}}
    with variant(demo, images, "runk", presets=("alice-engines-apart",), values=values) as made:
        demo.kubectl.ensure_namespace(made.namespace("engines"))
        made.install_all()
        yield made


def test_is_ready_without_restart(apart: Variant) -> None:
    status = apart.pod("alice")["status"]["containerStatuses"][0]
    assert (status["ready"], status["restartCount"]) == (True, 0)


def test_dns_server_is_the_service_of_the_lite(apart: Variant) -> None:
    service = apart.kubectl.get("service", "kuscia-lite-alice", "-n", apart.namespace("alice"))
    runk = apart.kuscia_yaml("alice")["runk"]
    assert runk["dnsServers"] == [service["spec"]["clusterIP"]]
    assert runk["namespace"] == apart.namespace("engines")


def test_lite_has_the_permissions_of_runk_in_the_engine_namespace(apart: Variant) -> None:
    engines = apart.namespace("engines")
    for kind in KINDS:
        assert [verb for verb in VERBS if apart.allowed("alice", verb, kind, engines)] == list(VERBS)
    for verb, kind in (
        ("update", "pods"),
        ("patch", "secrets"),
        ("create", "pods/exec"),
        ("get", "services"),
    ):
        assert not apart.allowed("alice", verb, kind, engines), f"{verb} {kind}"


def test_lite_cannot_read_other_secrets_of_its_release(apart: Variant) -> None:
    own = apart.namespace("alice")
    apart.secret(own, "alice-oss", {"access_key_id": "a", "access_key_secret": "b"})
    assert apart.allowed("alice", "get", "secrets", own, "kuscia-lite-alice-domain-key")
    others = [
        secret["metadata"]["name"]
        for secret in apart.kubectl.get("secrets", "-n", own)["items"]
        if secret["metadata"]["name"] != "kuscia-lite-alice-domain-key"
    ]
    assert "alice-oss" in others
    assert any(name.startswith("sh.helm.release") for name in others)
    assert [name for name in others if apart.allowed("alice", "get", "secrets", own, name)] == []
    for kind in KINDS:
        assert [verb for verb in VERBS if apart.allowed("alice", verb, kind, own)] == []
    for verb in ("list", "create"):
        assert not apart.allowed("alice", verb, "secrets", apart.namespace("master"))


def test_engine_pods_run_in_the_engine_namespace(apart: Variant) -> None:
    """The pod of a job uses the Service of the lite as its name server, and is deleted with the job."""
    engines = apart.namespace("engines")
    apart.run_engine("sleeper", JOB)
    eventually(lambda: phases(apart, engines) == ["Running"], 180, f"one engine pod runs in {engines}")
    (pod,) = apart.kubectl.get("pods", "-n", engines)["items"]
    service = apart.kubectl.get("service", "kuscia-lite-alice", "-n", apart.namespace("alice"))
    assert pod["spec"]["dnsConfig"]["nameservers"] == [service["spec"]["clusterIP"]]
    resolv = apart.kubectl.run("exec", "-n", engines, pod["metadata"]["name"], "--", "cat", "/etc/resolv.conf")
    assert f"nameserver {service['spec']['clusterIP']}" in resolv
    own = apart.kubectl.get("pods", "-n", apart.namespace("alice"))["items"]
    assert [one for one in own if DOMAIN in one["metadata"].get("labels", {})] == []
    apart.end_job(JOB)
    eventually(lambda: phases(apart, engines) == [], 180, f"no engine pod is left in {engines}")


def phases(made: Variant, namespace: str) -> list[str]:
    return [pod["status"]["phase"] for pod in made.kubectl.get("pods", "-n", namespace)["items"]]


def test_helm_test_passes(apart: Variant) -> None:
    assert "Succeeded" in apart.test()


def test_install_fails_without_the_engine_namespace(demo: Demo, images: Path) -> None:
    """Helm names the missing namespace."""
    presets = ("alice-engines-apart",)
    missing = pytest.raises(CommandError, match='namespaces "v-runk-absent-engines" not found')
    with variant(demo, images, "runk-absent", parties=("alice",), presets=presets) as made, missing:
        made.install("alice", timeout="60s")
