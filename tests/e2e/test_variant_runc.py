"""RunC: a privileged lite, only where that was said."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from tests.e2e.conftest import eventually
from tests.e2e.variants import Variant, variant

pytestmark = pytest.mark.cluster
PRESET = "alice-runc"
# All that Kuscia asks for (Kuscia facts 1.6), and those of an ordinary container (recordings/startup-cases/runc.log).
FULL, ORDINARY = 0x3FFFFFFFF, 0xA80425FB


@pytest.fixture(scope="module")
def runc(demo: Demo, images: Path) -> Iterator[Variant]:
    with variant(demo, images, "runc", tables=True) as made:
        made.install("master")
        yield made


@pytest.fixture(scope="module")
def notes(runc: Variant) -> str:
    """What helm says of the lite."""
    return runc.install("alice", PRESET, values={"lite": {"persistence": {"size": "1Gi"}}}, wait=False)


def test_is_refused_unless_said(runc: Variant) -> None:
    with pytest.raises(CommandError) as error:
        runc.install("alice", PRESET, values={"lite": {"runc": {"privileged": False}}})
    for words in ("lite.runc.privileged", "RunC works in a privileged container only", "lite.runc.privileged: true"):
        assert words in str(error.value)
    assert not runc.kubectl.exists("deployment", "kuscia-lite-alice", "-n", runc.namespace("alice"))


def test_notes_warn(notes: str) -> None:
    assert "! lite.runtime is runc: its container is privileged, which gives it the node." in notes


def test_only_kuscias_container_is_privileged(runc: Variant, notes: str) -> None:
    spec = runc.pod("alice")["spec"]
    assert spec["containers"][0]["securityContext"] == {"privileged": True}
    assert [one["name"] for one in spec["initContainers"]] == ["prepare", "seed"]
    for one in spec["initContainers"]:
        assert one["securityContext"]["allowPrivilegeEscalation"] is False
        assert "privileged" not in one["securityContext"]
    mounts = {one["name"]: one["mountPath"] for one in spec["containers"][0]["volumeMounts"]}
    assert mounts["containerd"] == "/home/kuscia/containerd"
    assert "api-token" not in mounts


def test_kuscia_starts_as_far_as_the_node_lets_it(runc: Variant, notes: str) -> None:
    """A node that itself lacks a capability cannot give it; Kuscia then says what it says without privilege."""

    texts: list[str] = []

    def decided() -> bool:
        """Of one start of the container, which is started again and again where it ends."""
        texts.append(runc.log("alice", "lite"))
        return any(words in texts[-1] for words in ("Runc must run with privileged mode", "Kuscia started success"))

    eventually(decided, 300, "Kuscia starts, or refuses to")
    found = re.search(r"capeff=([0-9a-f]+)", texts[-1])
    assert found
    effective = int(found[1], 16)
    assert effective & ORDINARY == ORDINARY
    assert effective > ORDINARY
    assert ("Kuscia started success" in texts[-1]) is (effective & FULL == FULL)


def test_tables_are_in_the_volume(runc: Variant, notes: str) -> None:
    eventually(lambda: "created=1" in runc.log("alice", "seed"), 180, "the table is put into the volume")
