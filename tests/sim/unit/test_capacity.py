"""What a lite offers to jobs (Kuscia facts 1.9, 2.3)."""

from pathlib import Path

import pytest

from kuscia_sim.agent import AgentStartError
from kuscia_sim.capacity import room
from kuscia_sim.config import Capacity, Config, ReservedResources

GIVEN = Capacity(cpu="4", memory="8Gi", storage="100Gi")


def config(runtime: str, **more: object) -> Config:
    return Config(mode="lite", domain_id="alice", runtime=runtime, **more)  # type: ignore[arg-type]


def write(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


def test_runk_offers_what_is_configured(tmp_path: Path) -> None:
    found = room(config("runk", capacity=GIVEN), tmp_path)
    assert found.allocatable == found.capacity == {"cpu": "4", "memory": "8Gi", "storage": "100Gi", "pods": "500"}


@pytest.mark.parametrize(
    "limits",
    [
        {"memory.max": "1073741824\n", "cpu.max": "100000 100000\n"},
        {
            "memory/memory.limit_in_bytes": "1073741824\n",
            "cpu/cpu.cfs_quota_us": "100000",
            "cpu/cpu.cfs_period_us": "100000",
        },
    ],
)
def test_runp_offers_its_containers_limits_less_its_own_part(tmp_path: Path, limits: dict[str, str]) -> None:
    found = room(config("runp"), write(tmp_path, limits))
    assert (found.capacity["cpu"], found.capacity["memory"]) == ("1", str(1 << 30))
    assert (found.allocatable["cpu"], found.allocatable["memory"]) == ("500m", str((1 << 30) - (500 << 20)))


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"memory.max": "max\n", "cpu.max": "max 100000\n"},
        {
            "memory/memory.limit_in_bytes": "9223372036854771712",
            "cpu/cpu.cfs_quota_us": "-1",
            "cpu/cpu.cfs_period_us": "100000",
        },
    ],
)
def test_without_limits_it_is_the_machine(tmp_path: Path, limits: dict[str, str]) -> None:
    found = room(config("runc"), write(tmp_path, limits))
    assert int(found.capacity["cpu"]) >= 1
    assert 1 << 28 < int(found.capacity["memory"]) < 1 << 60


def test_what_is_configured_wins(tmp_path: Path) -> None:
    limits = write(tmp_path, {"memory.max": "1073741824", "cpu.max": "100000 100000"})
    reserved = ReservedResources(cpu="1", memory="1Gi", bandwidth="10")
    found = room(config("runp", capacity=GIVEN, reserved_resources=reserved), limits)
    assert found.capacity["memory"] == "8Gi"
    assert (found.allocatable["cpu"], found.allocatable["memory"]) == ("3", str(7 << 30))


def test_too_small_for_kuscia_itself(tmp_path: Path) -> None:
    limits = write(tmp_path, {"memory.max": str(400 << 20), "cpu.max": "20000 100000"})
    with pytest.raises(
        AgentStartError, match=r"cpu 200m is less than reserved 0\.5, memory \d+ is less than reserved 500Mi"
    ):
        room(config("runp"), limits)


def test_an_amount_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(AgentStartError, match="failed to parse capacity"):
        room(config("runp", reserved_resources=ReservedResources(cpu="half")), tmp_path)
