"""Kuscia as user 1000."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from tests.e2e import messages
from tests.e2e.variants import Variant, variant

pytestmark = pytest.mark.cluster
# The local cluster has hostPath volumes, which belong to root and ignore fsGroup.
NO_VOLUME = {"master": {"persistence": {"enabled": False}}}


@pytest.fixture(scope="module")
def rootless(demo: Demo, images: Path) -> Iterator[Variant]:
    """In namespaces with Pod Security level "baseline"."""
    with variant(demo, images, "rootless", presets=("rootless",), values=NO_VOLUME) as made:
        for party in made.parties:
            namespace = made.namespace(party)
            demo.kubectl.ensure_namespace(namespace)
            demo.kubectl.run("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=baseline")
        made.install_all()
        yield made


@pytest.mark.parametrize("party", ["master", "alice"])
def test_runs_as_user_1000(rootless: Variant, party: str) -> None:
    assert rootless.exec(party, "id", "-u").strip() == "1000"
    status = rootless.pod(party)["status"]["containerStatuses"][0]
    assert status["ready"]
    assert status["restartCount"] == 0


@pytest.mark.parametrize("party", ["master", "alice"])
def test_pod_resolves_names_through_kuscia(rootless: Variant, party: str) -> None:
    """Kuscia answers names in .svc and forwards others."""
    assert rootless.exec(party, "cat", "/etc/resolv.conf") == "nameserver 127.0.0.1\n"
    upstream = rootless.exec(party, "cat", "/home/kuscia/var/tmp/resolv.conf")
    assert f"search {rootless.namespace(party)}.svc.cluster.local" in upstream
    host = f"kuscia-master.{rootless.namespace('master')}.svc.cluster.local"
    service = rootless.kubectl.get("service", "kuscia-master", "-n", rootless.namespace("master"))
    assert rootless.exec(party, "getent", "ahostsv4", host).split()[0] == service["spec"]["clusterIP"]


def test_listens_on_low_ports(rootless: Variant) -> None:
    """Ports 80 and 53 require the file capability, which allowPrivilegeEscalation: false would disable."""
    assert {80, 1080} <= listening_ports(rootless.exec("alice", "sh", "-c", "cat /proc/net/tcp*"))
    assert 53 in bound_ports(rootless.exec("alice", "sh", "-c", "cat /proc/net/udp*"))


def listening_ports(table: str) -> set[int]:
    """Return the ports in state LISTEN (0A) of /proc/net/tcp."""
    rows = [line.split() for line in table.splitlines() if ":" in line]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}


def bound_ports(table: str) -> set[int]:
    """Return the local ports of /proc/net/udp."""
    return {int(line.split()[1].rpartition(":")[2], 16) for line in table.splitlines() if ":" in line}


def test_helm_test_passes(rootless: Variant) -> None:
    assert "Succeeded" in rootless.test()


def test_prepare_reports_root_owned_volume(demo: Demo, images: Path) -> None:
    """Where the storage driver ignores fsGroup, Kuscia does not start."""
    with variant(demo, images, "rootless-pv", parties=("master",), presets=("rootless",)) as made:
        with pytest.raises(CommandError):
            made.install("master", timeout="40s")
        log = made.log("master", "prepare")
        assert messages.STATE_NOT_WRITABLE.printed_in(log, "/home/kuscia/var/k3s")
