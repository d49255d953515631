"""Join two local clusters like two organizations: through single ports, with a firewall at each end.

A veth pair connects the network namespaces of the clusters. Each end accepts connections to its openings, and replies
to connections that it opened. It drops everything else silently.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.cluster import namespaces
from testbed.cluster.errors import ClusterError
from testbed.cluster.local import Cluster
from testbed.cluster.names import Names

# The chains at each end: (table, built-in chain, option that matches the interface of the join).
CHAINS = (("mangle", "PREROUTING", "-i"), ("nat", "POSTROUTING", "-o"))


@dataclass(frozen=True)
class Opening:
    """A TCP port of a cluster that the other one may reach.

    Args:
        address: of this cluster; None: its node's.
    """

    port: int
    address: IPv4Address | None = None


def load_balancer_address(cluster: Cluster) -> IPv4Address:
    """Return an address of the cluster's range for a load balancer; no node, pod or Service uses it."""
    return cluster.names.network[256 + 10]


@contextmanager
def joined(
    one: Cluster, other: Cluster, *, into_one: Sequence[Opening] = (), into_other: Sequence[Opening] = ()
) -> Iterator[None]:
    """Let two running clusters reach the openings of each other, and nothing else.

    Raises:
        ClusterError: a command failed; nothing is left behind.
    """
    _part(one.names, other.names)
    try:
        _join(one.names, other.names)
        _guard(one.names, other.names, into_one)
        _guard(other.names, one.names, into_other)
        yield
    finally:
        _part(one.names, other.names)


def _interface(peer: Names) -> str:
    return f"join-{peer.slot}"


def _chain(peer: Names) -> str:
    return f"KUSCIA-JOIN-{peer.slot}"


def _join(one: Names, other: Names) -> None:
    namespaces.run(
        "ip", "link", "add", _interface(other), "netns", one.netns,
        "type", "veth", "peer", "name", _interface(one), "netns", other.netns,
    )  # fmt: skip
    for here, there in ((one, other), (other, one)):
        script = f"""
            set -e
            ip link set {_interface(there)} up
            ip route add {there.node_address} dev {_interface(there)} src {here.node_address}
            ip route add {there.network} via {there.node_address} dev {_interface(there)} onlink src {here.node_address}
        """
        namespaces.run(*namespaces.enter_network(here), "sh", "-c", script)


def _guard(here: Names, there: Names, openings: Sequence[Opening]) -> None:
    """Accept connections to the openings. The rules precede those of kube-proxy, which change the port."""
    interface, ours = _interface(there), _chain(there)
    accepted = "\n".join(
        f"iptables -w -t mangle -A {ours} -p tcp -d {opening.address or here.node_address} "
        f"--dport {opening.port} -j ACCEPT"
        for opening in openings
    )
    jumps = "\n".join(
        f"iptables -w -t {table} -N {ours}\niptables -w -t {table} -I {chain} {flag} {interface} -j {ours}"
        for table, chain, flag in CHAINS
    )
    script = f"""
        set -e
        {jumps}
        iptables -w -t mangle -A {ours} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
        {accepted}
        iptables -w -t mangle -A {ours} -j DROP
        iptables -w -t nat -A {ours} -j SNAT --to-source {here.node_address}
    """
    namespaces.run(*namespaces.enter_network(here), "sh", "-c", script)


def _part(one: Names, other: Names) -> None:
    """Remove a complete or partial join. Deleting the interface at one end deletes the other one too."""
    for here, there in ((one, other), (other, one)):
        interface, ours = _interface(there), _chain(there)
        commands = [f"ip link delete {interface}"]
        for table, chain, flag in CHAINS:
            commands += [
                f"iptables -w -t {table} -D {chain} {flag} {interface} -j {ours}",
                f"iptables -w -t {table} -F {ours}",
                f"iptables -w -t {table} -X {ours}",
            ]
        # Each may be gone already; what must not stay is looked for afterwards.
        namespaces.run(
            *namespaces.enter_network(here), "sh", "-c", "\n".join(f"{c} 2>/dev/null || :" for c in commands)
        )
        left = namespaces.run(
            *namespaces.enter_network(here), "sh", "-c", f"ip -o link; iptables-save | grep {ours} || :"
        )
        if interface in left or ours in left:
            raise ClusterError(f"the join of {here.name} with {there.name} could not be removed:\n{left}")
