"""What a cluster needs of the machine, checked before anything is made; all that lacks in one message."""

import os
import shutil

from . import cgroups
from .errors import CannotRunHere
from .names import Names

PROGRAMS = {"containerd": "containerd", "ctr": "containerd", "runc": "runc", "etcd": "etcd-server",
            "iptables": "iptables", "conntrack": "conntrack", "socat": "socat", "ip": "iproute2",
            "nsenter": "util-linux", "unshare": "util-linux"}


def check_user() -> None:
    if os.geteuid() != 0:
        raise CannotRunHere("the local cluster needs root (network namespaces, mounts, cgroups). "
                            "Run it as root: sudo make cluster-up")


def check_machine(names: Names) -> None:
    missing = [f"program {p} (Debian package {d})" for p, d in PROGRAMS.items() if shutil.which(p) is None]
    missing += [f"cgroup controller {c}" for c in cgroups.missing_controllers()]
    if missing:
        raise CannotRunHere("missing: " + ", ".join(missing))
