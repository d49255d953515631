"""The capacity that a lite offers to jobs (Kuscia's pkg/agent/provider/node/capacity_manager.go)."""

import os
import shutil
from pathlib import Path

import pytest

from kuscia_sim.agent import AgentStartError, capacity
from kuscia_sim.agent.capacity import BANDWIDTH, Room
from kuscia_sim.node.config import Capacity, Config, ReservedResources

GIVEN = Capacity(cpu="4", memory="8Gi", bandwidth="100", storage="100Gi")
GIB, MIB = 1 << 30, 1 << 20


@pytest.fixture(autouse=True)
def no_network_card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(capacity, "NETWORK_SPEED", tmp_path / "speed")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    return tmp_path / "speed"


def room(runtime: str, directory: Path, **more: object) -> Room:
    config = Config(mode="lite", domain_id="alice", runtime=runtime, **more)  # type: ignore[arg-type]
    return capacity.room(config, directory, directory)


def limits(directory: Path, memory: str, quota: str, period: str = "100000", *, version: int = 2) -> Path:
    """Write a container's limits as cgroups of that version."""
    files = (
        {"memory.max": memory, "cpu.max": f"{quota} {period}"}
        if version == 2
        else {
            "memory/memory.limit_in_bytes": memory,
            "cpu/cpu.cfs_quota_us": quota,
            "cpu/cpu.cfs_period_us": period,
        }
    )
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(f"{text}\n")
    return directory


def test_runk_offers_configured_capacity(tmp_path: Path) -> None:
    found = room("runk", tmp_path, capacity=GIVEN)
    assert found.allocatable == found.capacity
    assert found.capacity == {"cpu": "4", "memory": "8Gi", "storage": "100Gi", BANDWIDTH: "100", "pods": "500"}


@pytest.mark.parametrize("missing", ["cpu", "memory", "storage"])
def test_runk_requires_capacity(tmp_path: Path, missing: str) -> None:
    given = Capacity(**({"cpu": "1", "memory": "1Gi", "storage": "1Gi"} | {missing: ""}))
    with pytest.raises(AgentStartError, match=r"^failed to build node provider, detail-> capacity config is empty$"):
        room("runk", tmp_path, capacity=given)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("cpu", "cpu"),
        ("memory", "memory"),
        ("storage", "storage"),
        ("bandwidth", "bandwidth"),
        ("ephemeral_storage", "ephemeral storage"),
        ("pods", "pods"),
    ],
)
def test_rejects_invalid_amount(tmp_path: Path, field: str, name: str) -> None:
    given = Capacity(**({"cpu": "1", "memory": "1Gi", "storage": "1Gi"} | {field: "many"}))
    with pytest.raises(AgentStartError, match=f'failed to parse {name} "many", detail-> quantities must match'):
        room("runk", tmp_path, capacity=given)


@pytest.mark.parametrize("version", [1, 2])
def test_runp_offers_container_limits_minus_reserved(tmp_path: Path, version: int) -> None:
    """The default half CPU is reserved but not subtracted."""
    found = room("runp", limits(tmp_path, str(GIB), "200000", version=version))
    assert (found.capacity["cpu"], found.capacity["memory"]) == ("2", str(GIB))
    assert (found.allocatable["cpu"], found.allocatable["memory"]) == ("2", str(GIB - 500 * MIB))
    assert (found.capacity[BANDWIDTH], found.allocatable[BANDWIDTH]) == ("1000", "990")


@pytest.mark.parametrize(
    ("memory", "quota", "version"), [("", "", 2), ("max", "max", 2), ("9223372036854771712", "-1", 1)]
)
def test_offers_machine_without_limits(tmp_path: Path, memory: str, quota: str, version: int) -> None:
    found = room("runc", limits(tmp_path, memory, quota, version=version) if memory else tmp_path)
    assert found.capacity["cpu"] == "4"
    assert 1 << 28 < int(found.capacity["memory"]) < 1 << 60


@pytest.mark.parametrize(("quota", "cpus"), [("50000", "4"), ("250000", "2"), ("900000", "4")])
def test_rounds_cpus_and_ignores_limit_below_one(tmp_path: Path, quota: str, cpus: str) -> None:
    assert room("runp", limits(tmp_path, str(GIB), quota)).capacity["cpu"] == cpus


def test_runp_uses_only_configured_disk(tmp_path: Path) -> None:
    reserved = ReservedResources(cpu="1", memory="1Gi", bandwidth="10")
    found = room("runp", limits(tmp_path, str(2 * GIB), "200000"), capacity=GIVEN, reserved_resources=reserved)
    assert found.capacity == {
        "cpu": "2",
        "memory": str(2 * GIB),
        "storage": "100Gi",
        BANDWIDTH: "100",
        "pods": "500",
    }
    assert found.allocatable == found.capacity | {"cpu": "1", "memory": str(GIB), BANDWIDTH: "90"}


def test_measures_disk(tmp_path: Path) -> None:
    found = room("runp", tmp_path)
    assert found.capacity["storage"] == str(shutil.disk_usage(tmp_path).total)
    assert int(found.allocatable["storage"]) < int(found.capacity["storage"])


def test_reads_network_speed(tmp_path: Path, no_network_card: Path) -> None:
    no_network_card.write_text("10000\n")
    assert room("runp", tmp_path).capacity[BANDWIDTH] == "10000"
    no_network_card.write_text("-1\n")
    assert room("runp", tmp_path).capacity[BANDWIDTH] == "1000"


@pytest.mark.parametrize(
    ("reserved", "text"),
    [
        (ReservedResources(cpu="8"), "available cpu 2 is less than reserved cpu 8"),
        (ReservedResources(memory="8Gi"), "available memory 2 is less than reserved memory 1"),
        (ReservedResources(bandwidth="2000"), "available bandwidth 1000 is less than reserved bandwidth 2000"),
        (ReservedResources(cpu="half"), 'failed to parse reserved cpu "half", detail-> quantities must match'),
    ],
)
def test_does_not_start_below_reserved_resources(tmp_path: Path, reserved: ReservedResources, text: str) -> None:
    """The text about memory contains the numbers of CPUs, as in Kuscia."""
    with pytest.raises(AgentStartError, match=text):
        room("runp", limits(tmp_path, str(GIB), "200000"), reserved_resources=reserved)


def test_reserves_defaults_when_nothing_is_set(tmp_path: Path) -> None:
    nothing = ReservedResources(cpu="0", memory="0", bandwidth="0")
    found = room("runp", limits(tmp_path, str(GIB), "200000"), reserved_resources=nothing)
    assert found.allocatable["memory"] == str(GIB - 500 * MIB)
