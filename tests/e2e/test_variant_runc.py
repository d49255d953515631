"""RunC: a privileged lite, which must be confirmed."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from tests.e2e import messages
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.cluster
PRESET = "alice-runc"
# Capabilities that Kuscia requires (Kuscia facts 1.6) and those of an ordinary container (startup-cases/runc.log).
FULL, ORDINARY = 0x3FFFFFFFF, 0xA80425FB


@pytest.fixture(scope="module")
def runc(demo: Demo, images: Path) -> Iterator[Variant]:
    with variant(demo, images, "runc", tables=True) as made:
        made.install("master")
        yield made


@pytest.fixture(scope="module")
def notes(runc: Variant) -> str:
    """NOTES of the lite."""
    return runc.install("alice", PRESET, values={"lite": {"persistence": {"size": "1Gi"}}}, wait=False)


def test_requires_confirmation(runc: Variant) -> None:
    with pytest.raises(CommandError) as error:
        runc.install("alice", PRESET, values={"lite": {"runc": {"privileged": False}}})
    assert messages.chart_errors(str(error.value)) == {("runc-requires-privileged", "lite.runc.privileged")}
    assert not runc.kubectl.exists("deployment", "kuscia-lite-alice", "-n", runc.namespace("alice"))


def test_notes_warn_of_the_privileged_container(notes: str) -> None:
    assert ("runc-privileged", "lite.runtime") in messages.chart_warnings(notes)


def test_only_the_kuscia_container_is_privileged(runc: Variant, notes: str) -> None:
    spec = runc.pod("alice")["spec"]
    assert spec["containers"][0]["securityContext"] == {"privileged": True}
    assert [one["name"] for one in spec["initContainers"]] == ["prepare", "seed"]
    for one in spec["initContainers"]:
        assert one["securityContext"]["allowPrivilegeEscalation"] is False
        assert "privileged" not in one["securityContext"]
    mounts = {one["name"]: one["mountPath"] for one in spec["containers"][0]["volumeMounts"]}
    assert mounts["containerd"] == "/home/kuscia/containerd"
    assert "api-token" not in mounts


def test_kuscia_starts_if_the_node_grants_all_capabilities(runc: Variant, notes: str) -> None:
    """Otherwise it exits as it does in a container without privileges."""

    texts: list[str] = []

    def decided() -> bool:
        """Return whether one start of the container succeeded or failed; a failed one is repeated."""
        texts.append(runc.log("alice", "lite"))
        return any(words in texts[-1] for words in ("Runc must run with privileged mode", "Kuscia started success"))

    eventually(decided, 300, "Kuscia starts or exits")
    found = re.search(r"capeff=([0-9a-f]+)", texts[-1])
    assert found
    effective = int(found[1], 16)
    assert effective & ORDINARY == ORDINARY
    assert effective > ORDINARY
    assert ("Kuscia started success" in texts[-1]) is (effective & FULL == FULL)


def test_seed_writes_tables_to_the_volume(runc: Variant, notes: str) -> None:
    eventually(lambda: messages.counts(runc.log("alice", "seed"))["created"] == 1, 180, "seed writes the table")
