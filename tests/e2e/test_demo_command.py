"""`make demo` with another Kuscia image, and on a cluster of the user's own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.cluster.kubectl import Kubectl
from testbed.cluster.local import Cluster
from testbed.demo.demo import NEEDS_PREFIX
from testbed.demo.releases import RELEASES, ROOT
from testbed.images import builder
from testbed.servers.registry import registry

pytestmark = pytest.mark.cluster


def demo_up(**env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "testbed.demo", "up"]
    return subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=False)


def test_own_cluster_without_prefix_is_refused() -> None:
    done = demo_up(CLUSTER="current", IMAGE_PREFIX="")
    assert done.returncode == 2
    assert NEEDS_PREFIX in done.stderr


def test_a_machine_that_cannot_run_it_is_told_so() -> None:
    """Without its capabilities root may make no namespaces."""
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-m", "testbed.demo", "up"]
    done = subprocess.run(command, env=os.environ | {"CLUSTER": "nowhere"}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "this machine cannot run the local cluster; it lacks:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
def test_kuscia_image_from_a_file(kubectl: Kubectl, tmp_path: Path, transport: str) -> None:
    """The demo runs with a Kuscia image given as a file, with no other change."""
    built = builder.build(["kuscia-sim"])["kuscia-sim"]
    archive = tmp_path / "kuscia.tar"
    name = "example.com/kuscia:file"
    subprocess.run(
        ["skopeo", "copy", "--quiet", f"oci-archive:{built.archive}", f"{transport}:{archive}:{name}"], check=True
    )
    done = demo_up(KUSCIA_IMAGE=f"{transport}:{archive}")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Succeeded" in done.stdout
    image = kubectl.run(
        "get", "deploy", "kuscia-master", "-n", "kuscia-master",
        "-o", "jsonpath={.spec.template.spec.containers[0].image}",
    )  # fmt: skip
    assert image.startswith("docker.io/local/kuscia:")


@pytest.mark.long
def test_kuscia_image_that_is_not_there() -> None:
    done = demo_up(KUSCIA_IMAGE="oci-archive:nosuch.tar")
    assert done.returncode != 0
    assert "oci-archive:nosuch.tar" in done.stderr


PORT = 15018


def make_inside(cluster: Cluster, kubeconfig: Path, target: str, prefix: str) -> subprocess.CompletedProcess[str]:
    """`make TARGET CLUSTER=current IMAGE_PREFIX=…` of someone in the cluster's network."""
    return subprocess.run(
        [*cluster.nsenter, "make", target, "CLUSTER=current", f"IMAGE_PREFIX={prefix}"],
        cwd=ROOT,
        env=os.environ | {"KUBECONFIG": str(kubeconfig), "KUSCIA_IMAGE": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def inner_kubeconfig(cluster: Cluster, path: Path) -> Path:
    """The cluster's kubeconfig for its own network, where the loopback port of the machine is not."""
    text = cluster.kubeconfig.read_text()
    path.write_text(text.replace(cluster.names.loopback_url, cluster.names.api_url))
    path.chmod(0o600)
    return path


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    cluster = Cluster("demo-own")
    cluster.up()
    try:
        yield cluster
    finally:
        cluster.down()


@pytest.mark.long
def test_own_cluster_with_a_registry(own_cluster: Cluster, tmp_path: Path) -> None:
    """The whole demo on a cluster that it did not start and that knows none of its images, and its end."""
    built = builder.build(["registry"])["registry"]
    builder.load(own_cluster, [built])
    kubectl = Kubectl(own_cluster.kubeconfig)
    with registry(own_cluster, kubectl, "registry", built.ref, PORT, private=False) as running:
        prefix = f"{running.host}/kuscia"
        kubeconfig = inner_kubeconfig(own_cluster, tmp_path / "kubeconfig")
        done = make_inside(own_cluster, kubeconfig, "demo", prefix)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert "PASS example job" in done.stdout
        assert done.stdout.count("Phase:          Succeeded") == 3
        for release in RELEASES:
            pods = kubectl.get("pods", "-n", release.namespace)["items"]
            refs = {container["image"] for pod in pods for container in pod["spec"]["containers"]}
            assert refs
            assert all(ref.startswith(f"{prefix}/") for ref in refs), refs
        done = make_inside(own_cluster, kubeconfig, "demo-down", prefix)
        assert done.returncode == 0, done.stdout + done.stderr
        for release in RELEASES:
            assert not kubectl.exists("namespace", release.namespace)
        assert kubectl.get("nodes")["items"], "the cluster itself stays"
