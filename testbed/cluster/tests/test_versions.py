"""Which Kubernetes a cluster runs."""

import pytest

from testbed.cluster import names, versions
from testbed.cluster.errors import ClusterError
from testbed.cluster.names import Names


@pytest.fixture
def cluster(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> Names:
    monkeypatch.setattr(names, "STATE_ROOT", tmp_path)
    return Names("clutest")


def test_new_cluster_runs_the_wanted_version_or_the_default(cluster: Names) -> None:
    assert versions.resolve(cluster, None) == versions.DEFAULT
    assert versions.resolve(cluster, "1.26") == "1.26"
    assert versions.of(cluster).suffix == ""


def test_existing_cluster_keeps_its_version(cluster: Names) -> None:
    cluster.state.mkdir()
    versions.record(cluster, "1.26")
    assert versions.resolve(cluster, None) == "1.26"
    assert versions.of(cluster).name == "kubernetes-1.26"
    assert versions.older_than(cluster, 27)
    assert not versions.older_than(cluster, 26)
    with pytest.raises(ClusterError):
        versions.resolve(cluster, versions.DEFAULT)


def test_builds_have_a_supported_minor_version() -> None:
    """The chart requires 1.26 or newer."""
    assert sorted(versions.BUILDS) == ["1.26", versions.DEFAULT]
