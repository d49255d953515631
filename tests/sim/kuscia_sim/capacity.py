"""What a lite offers to jobs (Kuscia facts 1.9, 2.3).

RunK has no machine of its own: it is what the configuration says. RunP and RunC share the lite's container: what the
configuration leaves out is that container's limit, or the machine's, and a part of all is kept for Kuscia itself.
"""

import dataclasses
import os
from decimal import Decimal
from pathlib import Path

from kuscia_sim.agent.errors import AgentStartError
from kuscia_sim.config import Config
from kuscia_sim.jobs import quantity

CGROUP = Path("/sys/fs/cgroup")
PODS = "500"


@dataclasses.dataclass(frozen=True)
class Room:
    """A node's capacity, and what of it jobs may have, as Kubernetes quantities."""

    capacity: dict[str, str]
    allocatable: dict[str, str]


def room(config: Config, cgroup: Path = CGROUP) -> Room:
    """Raises AgentStartError when less is there than Kuscia keeps for itself, or an amount is none."""
    given = config.capacity
    total = {
        "cpu": given.cpu or _text(_cpus(cgroup)),
        "memory": given.memory or _text(_memory(cgroup)),
        "pods": given.pods or PODS,
        **({"storage": given.storage} if given.storage else {}),
        **({"ephemeral-storage": given.ephemeral_storage} if given.ephemeral_storage else {}),
    }
    if config.runtime == "runk":
        return Room(total, total)
    kept = {"cpu": config.reserved_resources.cpu, "memory": config.reserved_resources.memory}
    try:
        left = {name: quantity.parse(total[name]) - quantity.parse(amount) for name, amount in kept.items()}
    except ValueError as err:
        raise AgentStartError(f"failed to parse capacity {total} or reservedResources {kept}, detail-> {err}") from err
    short = [f"{name} {total[name]} is less than reserved {kept[name]}" for name, rest in left.items() if rest < 0]
    if short:
        raise AgentStartError(f"available resources are not enough: {', '.join(short)}")
    return Room(total, total | {name: _text(rest) for name, rest in left.items()})


def _memory(cgroup: Path) -> Decimal:
    machine = Decimal(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    limit = _first(cgroup / "memory.max", cgroup / "memory/memory.limit_in_bytes")
    return min(machine, Decimal(limit)) if limit.isdecimal() else machine


def _cpus(cgroup: Path) -> Decimal:
    machine = Decimal(os.cpu_count() or 1)
    old = (_first(cgroup / f"cpu/cpu.cfs_{name}_us") for name in ("quota", "period"))
    quota, _, period = (_first(cgroup / "cpu.max") or " ".join(old)).partition(" ")
    return min(machine, Decimal(quota) / Decimal(period)) if quota.isdecimal() else machine


def _first(*paths: Path) -> str:
    return next((path.read_text().strip() for path in paths if path.exists()), "")


def _text(value: Decimal) -> str:
    return str(int(value)) if value == int(value) else f"{int(value * 1000)}m"
