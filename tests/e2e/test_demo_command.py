"""The commands of the last screen; `make demo` with another Kuscia image, and on the user's own cluster."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.cluster.kubectl import Kubectl
from testbed.cluster.local import Cluster
from testbed.demo.demo import NEEDS_PREFIX, Demo
from testbed.demo.releases import RELEASES, ROOT
from testbed.images import builder
from testbed.servers.registry import registry
from tests.e2e import messages

pytestmark = pytest.mark.cluster


def demo_up(**env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "testbed.demo", "up"]
    return subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=False)


def plain_shell(kubeconfig: Path | None) -> dict[str, str]:
    """The environment of a shell outside of this project; a user's own kubeconfig is in it."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    own = {"KUBECONFIG": str(kubeconfig)} if kubeconfig else {}
    return {"PATH": path, "HOME": os.environ["HOME"], "TERM": "dumb", **own}


def run_lines(directory: Path, env: dict[str, str], *lines: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-euo", "pipefail", "-c", "\n".join(lines)]
    return subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, check=False)


def test_commands_of_the_screen_work_in_a_plain_shell(
    demo: Demo, kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = plain_shell(None if demo.local else kubectl.kubeconfig)
    monkeypatch.setenv("PATH", env["PATH"])
    screen = demo.commands
    for line in screen.look():
        done = run_lines(tmp_path, env, *screen.setup(), line)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        assert done.stdout.strip(), line
    stop = screen.stop().replace("make ", "make --dry-run ", 1)
    done = run_lines(tmp_path, env, stop)
    assert done.returncode == 0, done.stderr
    assert "testbed.demo down" in done.stdout


def test_logs_command_prints_lines_of_engines(demo: Demo, kubectl: Kubectl, tmp_path: Path) -> None:
    (line,) = [line for line in demo.commands.look() if "kubectl-kuscia logs" in line]
    done = run_lines(tmp_path, kubectl.env, line)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = messages.counts(done.stdout)
    assert (counts["printed"], counts["lost"]) == (1, 0)
    assert any(text.startswith("alice ") and "psi" in text.lower() for text in done.stdout.splitlines())


def test_own_cluster_requires_a_prefix() -> None:
    done = demo_up(CLUSTER="current", IMAGE_PREFIX="")
    assert done.returncode == 2
    assert NEEDS_PREFIX in done.stderr


def test_reports_missing_requirements() -> None:
    """Root without capabilities cannot create namespaces."""
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-m", "testbed.demo", "up"]
    done = subprocess.run(command, env=os.environ | {"CLUSTER": "nowhere"}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unshare" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
def test_uses_a_kuscia_image_from_a_file(kubectl: Kubectl, tmp_path: Path, transport: str) -> None:
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
def test_fails_when_the_kuscia_image_does_not_exist() -> None:
    done = demo_up(KUSCIA_IMAGE="oci-archive:nosuch.tar")
    assert done.returncode != 0
    assert "oci-archive:nosuch.tar" in done.stderr


PORT = 15018


def make_inside(cluster: Cluster, kubeconfig: Path, target: str, prefix: str) -> subprocess.CompletedProcess[str]:
    """Run `make TARGET CLUSTER=current IMAGE_PREFIX=…` in the network of a cluster."""
    return subprocess.run(
        [*cluster.nsenter, "make", target, "CLUSTER=current", f"IMAGE_PREFIX={prefix}"],
        cwd=ROOT,
        env=os.environ | {"KUBECONFIG": str(kubeconfig), "KUSCIA_IMAGE": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def inner_kubeconfig(cluster: Cluster, path: Path) -> Path:
    """Write a kubeconfig for the network of the cluster, which cannot reach the loopback port of the machine."""
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
def test_runs_on_another_cluster_with_a_registry(own_cluster: Cluster, tmp_path: Path) -> None:
    """And `make demo-down` removes it."""
    built = builder.build(["registry"])["registry"]
    builder.load(own_cluster, [built])
    kubectl = Kubectl(own_cluster.kubeconfig)
    with registry(own_cluster, kubectl, "registry", built.ref, PORT, private=False) as running:
        prefix = f"{running.host}/kuscia"
        kubeconfig = inner_kubeconfig(own_cluster, tmp_path / "kubeconfig")
        done = make_inside(own_cluster, kubeconfig, "demo", prefix)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert messages.passed(done.stdout, messages.EXAMPLE_JOB)
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
        assert kubectl.get("nodes")["items"], "the cluster is kept"
