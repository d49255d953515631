"""Derive paths, address ranges, ports and namespaces from the name of a cluster.

Pure: nothing here accesses the machine. Two clusters share an address slot with a probability of 1 in 120, and
nothing else; `check_slot` in preflight.py reports this before anything starts.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

DEFAULT_NAME = "kuscia"
NAME_RULE = "1 to 20 characters: lower-case letters, digits and '-', starting with a letter, ending with neither '-'"
SLOTS = 120
STATE_ROOT = Path("/var/lib/kuscia-chart")
RUN_ROOT = Path("/run/kuscia-chart")


def cache_root() -> Path:
    """Return the directory of what all clusters share: built tools and locks. It follows XDG_CACHE_HOME."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "kuscia-chart"


@dataclass(frozen=True)
class Names:
    """The names of one cluster.

    Raises ValueError for a name that breaks NAME_RULE.
    """

    name: str = DEFAULT_NAME

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z]([-a-z0-9]{0,18}[a-z0-9])?", self.name):
            raise ValueError(f"cluster name {self.name!r}: {NAME_RULE}. Example: kuscia")
        if self.name == "current":  # `make demo CLUSTER=current` means the user's own cluster
            raise ValueError("cluster name 'current' means your kubeconfig's context. Example: kuscia")

    @cached_property
    def slot(self) -> int:
        """Number from 0 to SLOTS-1 that separates address ranges and ports of clusters."""
        return int(hashlib.sha256(self.name.encode()).hexdigest(), 16) % SLOTS

    # Addresses. One /16 per cluster: clusters can be joined by routes without a collision.
    @property
    def network(self) -> IPv4Network:
        """All addresses of this cluster; what two joined clusters route to each other."""
        return IPv4Network(f"10.{128 + self.slot}.0.0/16")

    @property
    def node_network(self) -> IPv4Network:
        return IPv4Network(f"10.{128 + self.slot}.0.0/24")

    @property
    def node_address(self) -> IPv4Address:
        return self.node_network[1]

    @property
    def service_network(self) -> IPv4Network:
        return IPv4Network(f"10.{128 + self.slot}.32.0/20")

    @property
    def kubernetes_service(self) -> IPv4Address:
        return self.service_network[1]

    @property
    def pod_network(self) -> IPv4Network:
        return IPv4Network(f"10.{128 + self.slot}.128.0/17")

    @property
    def loopback_port(self) -> int:
        """Port on 127.0.0.1 of the machine that leads to the API server."""
        return 16443 + self.slot

    @property
    def api_url(self) -> str:
        """API server as processes inside the network namespace reach it."""
        return f"https://{self.node_address}:6443"

    @property
    def loopback_url(self) -> str:
        """API server as an ordinary shell reaches it."""
        return f"https://127.0.0.1:{self.loopback_port}"

    # Kernel objects.
    @property
    def netns(self) -> str:
        return f"kuscia-chart-{self.name}"

    @property
    def netns_path(self) -> Path:
        return Path("/run/netns") / self.netns

    @property
    def cgroup(self) -> str:
        """Path of the cluster's cgroup below the root of each hierarchy."""
        return f"/kuscia-chart-{self.name}"

    # Paths.
    @property
    def state(self) -> Path:
        """Survives a reboot; `down` removes it."""
        return STATE_ROOT / self.name

    @property
    def run(self) -> Path:
        """Has no use after a reboot; `down` removes it."""
        return RUN_ROOT / self.name

    @property
    def lock(self) -> Path:
        return cache_root() / "locks" / f"{self.name}.lock"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def config(self) -> Path:
        return self.state / "config"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def kubernetes_version(self) -> Path:
        """File with the minor version of Kubernetes that the cluster runs."""
        return self.state / "kubernetes-version"

    @property
    def kubeconfig(self) -> Path:
        """For the user: cluster-admin through the loopback port."""
        return self.state / "kubeconfig"

    @property
    def pids(self) -> Path:
        return self.run / "pids"

    @property
    def mntns_path(self) -> Path:
        """The pinned mount namespace (a bind mount, as `ip netns` pins network namespaces)."""
        return self.run / "ns" / "mnt"

    @property
    def containerd_socket(self) -> Path:
        """containerd's socket as seen from the machine; inside it is /run/containerd/containerd.sock."""
        return self.run / "run" / "containerd" / "containerd.sock"

    @property
    def binds(self) -> dict[Path, Path]:
        """Directory of this cluster -> where its processes see it.

        The values are compiled into kubelet, containerd, the CNI library and the host-path provisioner. The binds
        separate the clusters from each other, and from a containerd of the machine.
        """
        return {
            self.state / "kubelet": Path("/var/lib/kubelet"),
            self.state / "cni": Path("/var/lib/cni"),
            self.state / "volumes": Path("/tmp/hostpath_pv"),
            self.state / "var-log": Path("/var/log"),
            self.run / "run": Path("/run"),
        }

    @property
    def mount_points(self) -> list[Path]:
        """Return the mount points of `binds` that `up` creates and `down` removes."""
        return [p for p in self.binds.values() if p not in (Path("/run"), Path("/var/log"))]
