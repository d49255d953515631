"""The control groups of the cluster: the root of kubelet, and a way to find every process of the cluster.

A process cannot leave its cgroup, whatever happens to its parents, PID files or this program.
"""

import os
import signal
import time
from pathlib import Path

from .errors import ClusterError
from .names import Names

MOUNT = Path("/sys/fs/cgroup")
NEEDED = ("cpu", "cpuacct", "cpuset", "memory", "pids")  # kubelet does not start without these
ALSO = ("systemd", "unified", "freezer", "devices", "blkio", "hugetlb")  # groups appear there as well
KILL_SECONDS = 30


def unified() -> bool:
    """Return whether this machine has cgroup v2 only."""
    return (MOUNT / "cgroup.controllers").exists()


def hierarchies() -> dict[str, Path]:
    """Return controller (v1), or "" (v2) -> where its hierarchy is mounted."""
    if unified():
        return {"": MOUNT}
    found = {}
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, kind, options, *_ = line.split()
        if kind == "cgroup2":  # next to v1: no controllers, but runc creates its groups there too
            found["unified"] = Path(point)
        elif kind == "cgroup":
            found |= {option.removeprefix("name="): Path(point) for option in options.split(",")}
    return {controller: found[controller] for controller in (*NEEDED, *ALSO) if controller in found}


def missing_controllers() -> list[str]:
    if unified():
        there = (MOUNT / "cgroup.controllers").read_text().split()
        return [c for c in NEEDED if c not in there and c != "cpuacct"]
    return [c for c in NEEDED if c not in hierarchies()]


def _tracking() -> Path:
    """Return the hierarchy that tracks daemons; it sets no limits."""
    return MOUNT if unified() else hierarchies()["pids"]


def _roots(names: Names) -> list[Path]:
    points = dict.fromkeys(hierarchies().values())
    return [p for point in points if (p := point / names.cgroup.lstrip("/")).is_dir()]


def create(names: Names) -> None:
    """Create the cgroup of the cluster in every hierarchy; safe to repeat."""
    if unified():
        wanted = " ".join(f"+{c}" for c in ("cpu", "cpuset", "memory", "pids", "io"))
        root = MOUNT / names.cgroup.lstrip("/")
        (MOUNT / "cgroup.subtree_control").write_text(wanted)
        root.mkdir(exist_ok=True)
        (root / "cgroup.subtree_control").write_text(wanted)
        return
    for controller, point in hierarchies().items():
        root = point / names.cgroup.lstrip("/")
        root.mkdir(exist_ok=True)
        if controller == "cpuset":  # is empty at first, and then accepts no process
            for file in ("cpuset.cpus", "cpuset.mems"):
                (root / file).write_text((point / file).read_text())


def daemon_group(names: Names, component: str) -> Path:
    """Return the directory of the cgroup of a daemon; create it if it does not exist."""
    group = _tracking() / names.cgroup.lstrip("/") / "daemons" / component
    group.mkdir(parents=True, exist_ok=True)
    return group


def processes(root: Path) -> list[int]:
    """Return the PIDs in `root` and below."""
    found = []
    for directory, _, files in os.walk(root):
        if "cgroup.procs" in files:
            try:
                found += [int(pid) for pid in (Path(directory) / "cgroup.procs").read_text().split()]
            except OSError:  # the group was deleted in the meantime
                continue
    return found


def all_processes(names: Names) -> list[int]:
    """Return the PIDs of all daemons and pods of the cluster."""
    return sorted({pid for root in _roots(names) for pid in processes(root)})


def kill_all(names: Names) -> None:
    """Send SIGKILL to every process of the cluster until all have exited.

    Raises:
        ClusterError: processes (in an uninterruptible state) still run after KILL_SECONDS.
    """
    deadline = time.monotonic() + KILL_SECONDS
    while pids := all_processes(names):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise ClusterError(f"processes do not end {KILL_SECONDS} s after SIGKILL: {pids}; see: ps -fp {pids[0]}")
        time.sleep(0.05)


def remove(names: Names) -> None:
    """Remove the cgroups of the cluster, which have no processes any more."""
    deadline = time.monotonic() + KILL_SECONDS
    while roots := _roots(names):
        for root in roots:
            for directory, _, _ in os.walk(root, topdown=False):
                try:
                    os.rmdir(directory)
                except OSError:  # a process of it still exits; the next round tries again
                    continue
        if _roots(names):
            if time.monotonic() > deadline:
                raise ClusterError(f"cgroups cannot be removed: {', '.join(map(str, _roots(names)))}")
            time.sleep(0.1)
