"""The cluster's network namespace and its private mount namespace.

All mounts of the cluster (pod volumes, root file systems, CNI namespaces) are in the private namespace, and are removed
with it. The mount table of the machine has one bind mount and the pin file.
"""

import os
import shutil
import subprocess
from pathlib import Path

from .errors import ClusterError
from .names import Names

NSFS_MAGIC = "nsfs"
# The shell of root does not always have the sbin directories (`su` without `-`).
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment() -> dict[str, str]:
    """Return the environment for programs of the machine, without variables of the user, such as a proxy."""
    return {"PATH": SYSTEM_PATH, "HOME": "/root", "LANG": "C.UTF-8"}


def run(*command: str, input: str | None = None) -> str:
    """Run a short command; return its output.

    Raises:
        ClusterError: the command failed; the message is its error text.
    """
    result = subprocess.run(command, capture_output=True, text=True, input=input, timeout=60, env=environment())
    if result.returncode:
        raise ClusterError(f"{' '.join(command)}: exit {result.returncode}: {(result.stderr or result.stdout).strip()}")
    return result.stdout


def enter_network(names: Names) -> list[str]:
    """Return the prefix that runs a command in the network of the cluster, with the file systems of the machine."""
    return ["nsenter", f"--net={names.netns_path}", "--"]


def enter(names: Names) -> list[str]:
    """Return the prefix that runs a command as the daemons run: with network and mounts of the cluster."""
    return ["nsenter", f"--net={names.netns_path}", f"--mount={names.mntns_path}", "--"]


def enter_mounts(names: Names) -> list[str]:
    """Return the prefix that runs a command with the mounts of the cluster and the network of the machine."""
    return ["nsenter", f"--mount={names.mntns_path}", "--"]


def mounts() -> list[tuple[str, str]]:
    """Return (mount point, file system type) of each mount in the namespace of this process, in order."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ", 1)
        found.append((left.split()[4].encode().decode("unicode_escape"), right.split()[0]))
    return found


def _made(names: Names) -> Path:
    """Return the file that marks a complete `create`; an interrupted one leaves pins without content."""
    return names.run / "namespaces-made"


def exist(names: Names) -> bool:
    """Return whether both namespaces exist and are complete. After a reboot, only plain files are left of them."""
    if not _made(names).exists():
        return False
    pinned = {point for point, kind in mounts() if kind == NSFS_MAGIC}
    return {str(names.netns_path), str(names.mntns_path)} <= pinned


def create(names: Names) -> None:
    """Create both namespaces; they must not exist (see `destroy`)."""
    _create_network(names)
    _create_mounts(names)
    _made(names).touch()


def _create_network(names: Names) -> None:
    run("ip", "netns", "add", names.netns)
    prefix = names.node_network.prefixlen
    # A bridge without ports keeps its address reachable. Several components require a default route; it leads
    # nowhere.
    script = f"""
        set -e
        ip link set lo up
        ip link add node0 type bridge
        ip addr add {names.node_address}/{prefix} dev node0
        ip link set node0 up
        ip route add default dev node0
        sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
    """
    run(*enter_network(names), "sh", "-c", script)


def _create_mounts(names: Names) -> None:
    pin = names.mntns_path
    pin.parent.mkdir(parents=True, exist_ok=True)
    # A pin must lie on a private mount, and / is shared on many machines.
    run("mount", "--bind", str(pin.parent), str(pin.parent))
    run("mount", "--make-private", str(pin.parent))
    pin.touch()
    for source, target in names.binds.items():
        source.mkdir(parents=True, exist_ok=True)
        target.mkdir(parents=True, exist_ok=True)
    # slave: mounts made later on the machine appear inside, none inside appears on the machine.
    # shared: kubelet hands mounts on to containers (mountPropagation).
    binds = "\n".join(f"mount --bind '{source}' '{target}'" for source, target in names.binds.items())
    script = f"set -e\nmount --make-rshared /\n{binds}\n"
    run("unshare", f"--mount={pin}", "--propagation", "slave", "sh", "-c", script)


def destroy(names: Names) -> None:
    """Remove both namespaces and every mount of the cluster, complete or not."""
    _made(names).unlink(missing_ok=True)
    ours = (f"{names.run}/", f"{names.state}/")
    for point, _ in reversed(mounts()):
        if point.startswith(ours):
            run("umount", "--lazy", point)
    if str(names.netns_path) in {point for point, _ in mounts()}:
        run("ip", "netns", "delete", names.netns)
    elif names.netns_path.exists():
        names.netns_path.unlink()


def remove_mount_points(names: Names) -> None:
    """Remove the directories that are only mount points, unless another cluster uses them."""
    if names.run.parent.is_dir() and any(names.run.parent.iterdir()):
        return
    for point in names.mount_points:
        if point.is_dir() and not any(point.iterdir()):
            point.rmdir()


def remove_tree(path: Path) -> None:
    """Delete a directory tree in which nothing is mounted.

    Raises:
        ClusterError: something is mounted below it, whose content would be deleted too.
    """
    inside = [point for point, _ in mounts() if point == str(path) or point.startswith(f"{path}/")]
    if inside:
        raise ClusterError(f"not removing {path}: still mounted below it: {', '.join(inside)}")
    if path.exists():
        shutil.rmtree(path)
    parent = path.parent
    if parent.is_dir() and not os.listdir(parent):
        parent.rmdir()
