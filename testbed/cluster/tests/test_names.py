"""Names are pure: their rules and their disjointness."""

from itertools import combinations

import pytest

from testbed.cluster.names import SLOTS, Names


@pytest.mark.parametrize("name", ["kuscia", "a", "second", "c2", "a-b", "x" * 20])
def test_accepts_valid_names(name: str) -> None:
    names = Names(name)
    assert 0 <= names.slot < SLOTS
    for path in (names.state, names.run, names.netns_path):
        assert name in str(path)
    # A unix socket's path has 107 characters at most.
    assert len(str(names.containerd_socket)) < 108


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "1a", "a_b", "a/b", "..", "x" * 21, "current"])
def test_rejects_invalid_names(name: str) -> None:
    with pytest.raises(ValueError, match="Example: kuscia"):
        Names(name)


def test_networks_of_a_cluster_do_not_overlap() -> None:
    names = Names("kuscia")
    parts = [names.node_network, names.service_network, names.pod_network]
    assert all(part.subnet_of(names.network) for part in parts)
    assert not any(one.overlaps(two) for one, two in combinations(parts, 2))
    assert names.node_address in names.node_network
    assert names.kubernetes_service in names.service_network


def test_different_slots_share_nothing() -> None:
    one, two = Names("kuscia"), Names("second")
    assert one.slot != two.slot
    assert not one.network.overlaps(two.network)
    assert one.loopback_port != two.loopback_port
    assert one.cgroup != two.cgroup
    assert not set(one.binds) & set(two.binds)
