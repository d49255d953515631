"""Requirements of a cluster, checked before anything is created. One message lists all that are missing."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from . import cgroups, namespaces
from .errors import CannotRunHere
from .names import STATE_ROOT, Names

PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "socat": "socat",
    "ip": "iproute2",
    "sysctl": "procps",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
}
CNI_PLUGINS = Path("/usr/lib/cni")
# Tested in a temporary network and mount namespace: feature -> shell command.
KERNEL_TRIALS = {
    "bridge interfaces (module bridge)": "ip link add trial0 type bridge",
    "veth interfaces (module veth)": "ip link add trial1 type veth peer name trial2",
    "netfilter NAT by iptables (nf_nat, or iptable_nat)": "iptables -t nat -A POSTROUTING -j MASQUERADE",
    "iptables matches comment, mark, conntrack, statistic": (
        "iptables -A FORWARD -m comment --comment x -m mark --mark 1 -m conntrack --ctstate NEW "
        "-m statistic --mode random --probability 0.5 -j ACCEPT"
    ),
    "iptables target NFQUEUE (module xt_NFQUEUE)": (
        "iptables -t mangle -A FORWARD -m conntrack --ctstate NEW -j NFQUEUE --queue-num 1"
    ),
    "netfilter on bridges (module br_netfilter)": "test -e /proc/sys/net/bridge/bridge-nf-call-iptables",
    "overlay file systems (module overlay)": (
        'mkdir "$TRIAL/lower" "$TRIAL/upper" "$TRIAL/work" "$TRIAL/merged" && '
        'mount -t overlay overlay -o "lowerdir=$TRIAL/lower,upperdir=$TRIAL/upper,workdir=$TRIAL/work" '
        '"$TRIAL/merged"'
    ),
}


def check_user() -> None:
    """Check that the user is root.

    Raises:
        CannotRunHere: the user is not root.
    """
    if os.geteuid() != 0:
        raise CannotRunHere(
            "the local cluster requires root (network namespaces, mounts, cgroups). "
            "Run the command as root, or use your own cluster with CLUSTER=current."
        )


def check_machine(names: Names) -> None:
    """Check programs, cgroups, kernel features, address range and port.

    Raises:
        CannotRunHere: the message lists everything that is missing.
    """
    programs = _programs()
    kernel = [] if programs else _kernel()  # the trials need the programs
    missing = [*programs, *_cgroups(), *kernel, *_other_clusters(names), *_port(names)]
    if missing:
        raise CannotRunHere(
            "this machine cannot run the local cluster; missing:\n" + "\n".join(f"  - {line}" for line in missing)
        )


def _programs() -> list[str]:
    gone = {
        package for program, package in PROGRAMS.items() if shutil.which(program, path=namespaces.SYSTEM_PATH) is None
    }
    if not (CNI_PLUGINS / "bridge").exists():
        gone.add("containernetworking-plugins")
    return [f"Debian packages {' '.join(sorted(gone))}: run testbed/cluster/packages.sh"] if gone else []


def _cgroups() -> list[str]:
    missing = [f"cgroup controller {c} (see /proc/cgroups)" for c in cgroups.missing_controllers()]
    locked = sorted({str(p) for p in cgroups.hierarchies().values() if not os.access(p, os.W_OK)})
    return missing + [f"write access to {p} (a container without privileges?)" for p in locked]


def _kernel() -> list[str]:
    STATE_ROOT.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STATE_ROOT.parent, prefix=".kuscia-chart-trial-") as directory:
        first = _trial("true", directory)
        if first is not None:
            return [f"network and mount namespaces (unshare: {first})"]
        failed = {what: _trial(command, directory) for what, command in KERNEL_TRIALS.items()}
    return [f"{what}: {error}" for what, error in failed.items() if error is not None]


def _trial(command: str, directory: str) -> str | None:
    """Run a shell command in temporary namespaces; return its error, or None if it succeeds."""
    result = subprocess.run(
        ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", command],
        capture_output=True,
        text=True,
        timeout=60,
        env=namespaces.environment() | {"TRIAL": directory},
    )
    return None if result.returncode == 0 else (result.stderr or result.stdout).strip() or "does not exist"


def _other_clusters(names: Names) -> list[str]:
    if not STATE_ROOT.is_dir():
        return []
    others = [Names(path.name) for path in STATE_ROOT.iterdir() if path.is_dir() and path.name != names.name]
    return [
        f"a free address range: {names.network} is also that of cluster {other.name!r}; choose another name"
        for other in others
        if other.slot == names.slot
    ]


def _port(names: Names) -> list[str]:
    """Report the port if another process uses it; the forwarder of this cluster may."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", names.loopback_port))
        except OSError as error:
            if cgroups.all_processes(names):
                return []
            return [
                f"port {names.loopback_port} of 127.0.0.1: {error.strerror}; "
                f"to find its process: ss -ltnp 'sport = :{names.loopback_port}'"
            ]
    return []
