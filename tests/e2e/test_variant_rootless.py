"""Kuscia as user 1000."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from tests.e2e.variants import Variant, variant

pytestmark = pytest.mark.cluster
# The local cluster's volumes are hostPath ones, which belong to root whatever fsGroup says.
NO_VOLUME = {"master": {"persistence": {"enabled": False}}}


@pytest.fixture(scope="module")
def rootless(demo: Demo, images: Path) -> Iterator[Variant]:
    """In namespaces where the API server refuses pods beyond Pod Security "baseline"."""
    with variant(demo, images, "rootless", presets=("rootless",), values=NO_VOLUME) as made:
        for party in made.parties:
            namespace = made.namespace(party)
            demo.kubectl.ensure_namespace(namespace)
            demo.kubectl.run("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=baseline")
        made.install_all()
        yield made


@pytest.mark.parametrize("party", ["master", "alice"])
def test_runs_as_kuscias_user(rootless: Variant, party: str) -> None:
    assert rootless.exec(party, "id", "-u").strip() == "1000"
    status = rootless.pod(party)["status"]["containerStatuses"][0]
    assert status["ready"]
    assert status["restartCount"] == 0


@pytest.mark.parametrize("party", ["master", "alice"])
def test_dns_goes_through_kuscia(rootless: Variant, party: str) -> None:
    """The pod asks Kuscia's own DNS, which answers names in .svc itself and forwards others."""
    assert rootless.exec(party, "cat", "/etc/resolv.conf") == "nameserver 127.0.0.1\n"
    upstream = rootless.exec(party, "cat", "/home/kuscia/var/tmp/resolv.conf")
    assert f"search {rootless.namespace(party)}.svc.cluster.local" in upstream
    host = f"kuscia-master.{rootless.namespace('master')}.svc.cluster.local"
    service = rootless.kubectl.get("service", "kuscia-master", "-n", rootless.namespace("master"))
    assert rootless.exec(party, "getent", "ahostsv4", host).split()[0] == service["spec"]["clusterIP"]


def test_low_ports_are_bound(rootless: Variant) -> None:
    """80 and 53 need the file capability, which allowPrivilegeEscalation: false would cancel."""
    program = "import socket; socket.create_connection(('127.0.0.1', {}), 5)"
    for port in (80, 1080):
        rootless.exec("alice", "python3", "-c", program.format(port))


def test_helm_test(rootless: Variant) -> None:
    assert "Succeeded" in rootless.test()


def test_a_volume_of_roots_is_named(demo: Demo, images: Path) -> None:
    """Where the storage driver ignores fsGroup, prepare says so, and Kuscia is not started to crash."""
    with variant(demo, images, "rootless-pv", parties=("master",), presets=("rootless",)) as made:
        with pytest.raises(CommandError):
            made.install("master", timeout="40s")
        log = made.log("master", "prepare")
        assert "/home/kuscia/var/k3s" in log
        assert "cannot be written to" in log
