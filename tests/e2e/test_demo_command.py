"""`make demo` with another Kuscia image, and on a cluster of the user's own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import images
from tests.cluster.demo import NEEDS_PREFIX
from tests.cluster.kubectl import Kubectl

pytestmark = pytest.mark.cluster


def demo_up(**env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.cluster.demo", "up"]
    return subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=False)


def test_own_cluster_without_prefix_is_refused() -> None:
    done = demo_up(CLUSTER="current", IMAGE_PREFIX="")
    assert done.returncode == 2
    assert NEEDS_PREFIX in done.stderr


def test_a_machine_that_cannot_run_it_is_told_so() -> None:
    """Without its capabilities root may make no namespaces."""
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-m", "tests.cluster.demo", "up"]
    done = subprocess.run(command, env=os.environ | {"CLUSTER": "nowhere"}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "this machine cannot run the local cluster; it lacks:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
def test_kuscia_image_from_a_file(kubectl: Kubectl, tmp_path: Path, transport: str) -> None:
    """The demo runs with a Kuscia image given as a file, with no other change."""
    built = images.build(["kuscia-sim"])["kuscia-sim"]
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
