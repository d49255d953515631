"""The capacity that a lite offers to jobs, computed as in Kuscia's pkg/agent/provider/node/capacity_manager.go.

Under RunK it is the configured capacity. RunP and RunC share the lite's container: CPU and memory are the limits of
that container or the machine, regardless of the configuration, and part of both is reserved for Kuscia.
"""

import dataclasses
import math
import os
import shutil
from decimal import Decimal
from pathlib import Path

from kuscia_sim.agent.errors import AgentStartError
from kuscia_sim.jobs import quantity
from kuscia_sim.node.config import Capacity, Config, ReservedResources

CGROUP = Path("/sys/fs/cgroup")
NETWORK_SPEED = Path("/sys/class/net/eth0/speed")
PODS = "500"
BANDWIDTH = "kuscia.io/bandwidth"
DEFAULT_BANDWIDTH = "1000"
DEFAULT_RESERVED = ReservedResources()


@dataclasses.dataclass(frozen=True)
class Room:
    """A node's capacity and the part available to jobs, as Kubernetes quantities."""

    capacity: dict[str, str]
    allocatable: dict[str, str]


def room(config: Config, home: Path, cgroup: Path = CGROUP) -> Room:
    """Return the capacity of this node.

    Args:
        home: a directory on the disk that RunP and RunC offer.

    Raises:
        AgentStartError: less is available than Kuscia reserves, or an amount is missing or invalid.
    """
    given = config.capacity
    try:
        if config.runtime == "runk":
            total = _configured(given)
            return Room(total, total)
        disk = shutil.disk_usage(home)
        total = {
            "cpu": str(_cpus(cgroup)),
            "memory": str(_memory(cgroup)),
            "storage": given.storage or str(disk.total),
            **_common(given),
        }
        _check("storage", total["storage"])
        left = {**({} if given.storage else {"storage": str(disk.free)}), **_left(total, config.reserved_resources)}
        return Room(total, total | left)
    except ValueError as err:
        raise AgentStartError(f"failed to build node provider, detail-> {err}") from err


def _configured(given: Capacity) -> dict[str, str]:
    if not (given.cpu and given.memory and given.storage):
        raise ValueError("capacity config is empty")
    own = {"cpu": given.cpu, "memory": given.memory, "storage": given.storage}
    for name, amount in own.items():
        _check(name, amount)
    return {**own, **_common(given)}


def _common(given: Capacity) -> dict[str, str]:
    """Return the part that is computed the same way for every runtime."""
    bandwidth, pods = given.bandwidth or _network_speed(), given.pods or PODS
    _check("bandwidth", bandwidth)
    if given.ephemeral_storage:
        _check("ephemeral storage", given.ephemeral_storage)
    _check("pods", pods)
    ephemeral = {"ephemeral-storage": given.ephemeral_storage} if given.ephemeral_storage else {}
    return {BANDWIDTH: bandwidth, "pods": pods, **ephemeral}


def _left(total: dict[str, str], reserved: ReservedResources) -> dict[str, str]:
    """Return what jobs may use of CPU, memory and bandwidth. The default half CPU is reserved but not subtracted."""
    cpus, memory, bandwidth = (quantity.parse(total[name]) for name in ("cpu", "memory", BANDWIDTH))
    kept_cpus = _reserved("cpu", reserved.cpu, DEFAULT_RESERVED.cpu)
    if cpus < kept_cpus:
        raise ValueError(f"available cpu {total['cpu']} is less than reserved cpu {_text(kept_cpus)}")
    kept_memory = _reserved("memory", reserved.memory, DEFAULT_RESERVED.memory)
    if memory < kept_memory:
        # Kuscia formats the numbers of CPUs into this text.
        numbers = f"{cpus} is less than reserved memory {math.ceil(kept_cpus)}"
        raise ValueError(f"available memory {numbers}")
    kept_bandwidth = _reserved("bandwidth", reserved.bandwidth, DEFAULT_RESERVED.bandwidth)
    if bandwidth < kept_bandwidth:
        raise ValueError(
            f"available bandwidth {total[BANDWIDTH]} is less than reserved bandwidth {_text(kept_bandwidth)}"
        )
    return {
        **({"cpu": _text(cpus - kept_cpus)} if kept_cpus > Decimal("0.5") else {}),
        "memory": _text(memory - kept_memory),
        BANDWIDTH: _text(bandwidth - kept_bandwidth),
    }


def _reserved(name: str, amount: str, default: str) -> Decimal:
    value = _check(f"reserved {name}", amount)
    return value if value > 0 else quantity.parse(default)


def _check(name: str, amount: str) -> Decimal:
    try:
        return quantity.parse(amount)
    except ValueError as err:
        raise ValueError(f'failed to parse {name} "{amount}", detail-> {err}') from err


def _memory(cgroup: Path) -> int:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _first(cgroup / "memory.max", cgroup / "memory/memory.limit_in_bytes")
    return min(machine, int(limit)) if limit.isdecimal() and int(limit) else machine


def _cpus(cgroup: Path) -> int:
    """Return whole CPUs; a limit below one CPU counts as no limit."""
    machine = os.cpu_count() or 1
    old = (_first(cgroup / f"cpu/cpu.cfs_{name}_us") for name in ("quota", "period"))
    quota, _, period = (_first(cgroup / "cpu.max") or " ".join(old)).partition(" ")
    limit = int(quota) // int(period) if quota.isdecimal() else 0
    return min(machine, limit) if limit else machine


def _network_speed() -> str:
    """Return the speed of eth0 in Mbit/s; a virtual interface may report none."""
    try:
        speed = NETWORK_SPEED.read_text().strip()
    except OSError:
        return DEFAULT_BANDWIDTH
    return speed if speed.isdecimal() and int(speed) else DEFAULT_BANDWIDTH


def _first(*paths: Path) -> str:
    return next((path.read_text().strip() for path in paths if path.exists()), "")


def _text(value: Decimal) -> str:
    return str(int(value)) if value == int(value) else f"{int(value * 1000)}m"
