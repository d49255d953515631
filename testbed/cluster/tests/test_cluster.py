"""The local cluster itself, with throw-away clusters of other names than the demo's."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.cluster import archives, cgroups, components, lifecycle, namespaces, preflight, processes, versions
from testbed.cluster.errors import CannotRunHere, ClusterError
from testbed.cluster.local import Cluster
from testbed.cluster.names import Names

ROOT = Path(__file__).parents[3]
NAME = "clutest"
DAEMONS = [daemon.name for group in components.all_daemons(Names(NAME)) for daemon in group]
# The node has no image with a shell; the machine's own programs do, mounted over the empty pause image.
MACHINE_DIRS = ("/usr", "/lib", "/lib64", "/bin")


def command(*arguments: str, name: str = NAME, code: int = 0, prefix: tuple[str, ...] = ()) -> str:
    """Output of `python -m testbed.cluster ...`, which must end with `code`."""
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "testbed.cluster", *arguments, "--name", name],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def kubectl(cluster: Cluster, *arguments: str, input: str | None = None) -> str:
    """Output of kubectl, which must succeed."""
    done = subprocess.run(
        [str(cluster.bin / "kubectl"), "--kubeconfig", str(cluster.kubeconfig), *arguments],
        capture_output=True, text=True, input=input, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def pid(cluster: Cluster, daemon: str) -> int:
    return int(json.loads((cluster.names.pids / f"{daemon}.json").read_text())["pid"])


def web(cluster: Cluster, name: str = "web") -> None:
    """Runs a small web server on a dynamic volume, behind a Service, until it is ready."""
    volumes = [
        {"name": f"machine{i}", "hostPath": {"path": path}} for i, path in enumerate(MACHINE_DIRS)
    ]  # fmt: skip
    mounts = [{"name": f"machine{i}", "mountPath": path, "readOnly": True} for i, path in enumerate(MACHINE_DIRS)]
    container = {
        "name": "web",
        "image": components.PAUSE_IMAGE,
        "command": ["/usr/bin/python3", "-m", "http.server", "8000", "--directory", "/data"],
        "readinessProbe": {"httpGet": {"port": 8000, "path": "/"}, "periodSeconds": 1},
        "volumeMounts": [*mounts, {"name": "data", "mountPath": "/data"}],
    }
    pod = {
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsUser": 0},
        "containers": [container],
        "volumes": [*volumes, {"name": "data", "persistentVolumeClaim": {"claimName": name}}],
    }
    labels = {"app": name}
    objects: list[dict[str, object]] = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8000}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
    ]
    kubectl(cluster, "apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    kubectl(cluster, "rollout", "status", f"deployment/{name}", "--timeout=60s")


def in_pod(cluster: Cluster, program: str, name: str = "web") -> str:
    """Output of a Python program run in a web server's pod."""
    return kubectl(cluster, "exec", "-i", f"deployment/{name}", "--", "/usr/bin/python3", "-", input=program)


def serves(cluster: Cluster, seconds: float = 90) -> None:
    """Waits until the web server answers its own Service by name, from inside its pod."""
    url = "http://web.default.svc.cluster.local"
    program = f"import urllib.request as u; print(u.urlopen({url!r}, timeout=3).status)"
    deadline = time.monotonic() + seconds
    while True:
        try:
            assert in_pod(cluster, program) == "200\n"
            return
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def traces(names: Names, inodes: set[int]) -> list[str]:
    """All that the machine still shows of a cluster whose namespaces had these inode numbers."""
    found = [f"cgroup {p}" for point in set(cgroups.hierarchies().values()) for p in point.glob(names.cgroup[1:])]
    found += [f"file {path}" for path in (names.state, names.run, names.netns_path) if path.exists()]
    found += [f"mount {point}" for point, _ in namespaces.mounts() if re.search(rf"\b{names.name}\b", point)]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            groups = (process / "cgroup").read_text()
            ours = f"{names.cgroup}/" in groups
            if "/kuscia-chart-" not in groups:  # a freed inode number may already be another cluster's
                ours |= any((process / "ns" / kind).stat().st_ino in inodes for kind in ("net", "mnt"))
            if ours and state not in "ZX":
                found.append(f"process {process.name} {(process / 'cmdline').read_text()}")
        except (FileNotFoundError, ProcessLookupError, PermissionError):  # gone, or not root's to see
            continue
    return found


def inodes(cluster: Cluster) -> set[int]:
    names = cluster.names
    return {names.netns_path.stat().st_ino, names.mntns_path.stat().st_ino}


def machine() -> dict[str, str]:
    """What a cluster must not change on the machine outside itself."""
    mounted = [point for point, _ in namespaces.mounts() if "/storage" not in point]  # buildah's come and go
    return {
        "iptables": re.sub(r"\[\d+:\d+\]|^#.*$", "", namespaces.run("iptables-save"), flags=re.M),
        "links": re.sub(r"^\d+: |\bstate \w+", "", namespaces.run("ip", "-oneline", "link"), flags=re.M),
        "routes": namespaces.run("ip", "route"),
        "network namespaces": namespaces.run("ip", "netns", "list"),
        "mounts": "\n".join(mounted),
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
        "directories": "\n".join(str(p) for p in Names(NAME).mount_points if p.exists()),
        "xtables lock": str(Path("/run/xtables.lock").exists()),
    }


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A throw-away cluster with a web server in it."""
    command("up")
    cluster = Cluster(NAME)
    web(cluster)
    yield cluster
    command("down")


@pytest.mark.cluster
def test_down_removes_everything() -> None:
    command("down")
    before = machine()
    try:
        command("up")
        cluster = Cluster(NAME)
        web(cluster)
        numbers = inodes(cluster)
        assert traces(cluster.names, numbers)  # the search does see a cluster
    finally:
        command("down")
    assert traces(cluster.names, numbers) == []
    assert machine() == before
    command("down")  # nothing to do is no error


def test_requires_root() -> None:
    program = "import os; from testbed.cluster.__main__ import run; os.setuid(65534); run()"
    done = subprocess.run(
        [sys.executable, "-c", program, "up", "--name", NAME], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "root" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_reports_missing_kernel_feature() -> None:
    name = "clutest-none"
    without_rights = ("setpriv", "--bounding-set=-sys_admin,-net_admin", "--inh-caps=-sys_admin,-net_admin")
    assert "network and mount namespaces" in command("up", name=name, code=2, prefix=without_rights)
    assert not Names(name).state.exists()


def test_lists_all_missing_requirements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "SYSTEM_PATH", "/nowhere")
    monkeypatch.setattr(cgroups, "missing_controllers", lambda: ["memory", "pids"])
    with pytest.raises(CannotRunHere) as caught:
        preflight.check_machine(Names("clutest-none"))
    for word in (
        "containerd",
        "iptables",
        "runc",
        "socat",
        "packages.sh",
        "controller memory",
        "controller pids",
    ):
        assert word in str(caught.value)


def test_rejects_invalid_name() -> None:
    assert "lower-case letters" in command("up", name="Bad_Name", code=2)


@pytest.mark.long
def test_up_changes_nothing_on_healthy_cluster(cluster: Cluster) -> None:
    before = {daemon: pid(cluster, daemon) for daemon in DAEMONS}
    began = time.monotonic()
    command("up")
    assert time.monotonic() - began < 5
    assert {daemon: pid(cluster, daemon) for daemon in DAEMONS} == before
    command("status")


@pytest.mark.long
def test_pods_reach_dns_services_and_api_server(cluster: Cluster) -> None:
    serves(cluster)
    program = """
import os, socket, ssl, urllib.error, urllib.request
print(sorted(os.listdir("/sys/class/net")))
for name in "web", "web.default", "kubernetes.default.svc", "absent.default.svc.cluster.local", "example.com":
    try:
        print(name, socket.gethostbyname(name))
    except OSError as error:
        print(name, "absent")
account = "/var/run/secrets/kubernetes.io/serviceaccount/"
trusted = ssl.create_default_context(cafile=account + "ca.crt")
for token in (open(account + "token").read(), "wrong"):
    headers = {"Authorization": "Bearer " + token}
    request = urllib.request.Request("https://kubernetes.default.svc/api", headers=headers)
    try:
        print(urllib.request.urlopen(request, context=trusted).status)
    except urllib.error.HTTPError as error:
        print(error.code)
"""
    service = kubectl(cluster, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    assert in_pod(cluster, program).splitlines() == [
        "['eth0', 'lo']",
        f"web {service}",
        f"web.default {service}",
        f"kubernetes.default.svc {cluster.names.kubernetes_service}",
        "absent.default.svc.cluster.local absent",
        "example.com absent",
        "200",
        "401",
    ]


@pytest.mark.long
def test_pod_security_labels_are_enforced(cluster: Cluster) -> None:
    kubectl(cluster, "create", "namespace", "restricted")
    kubectl(cluster, "label", "namespace", "restricted", "pod-security.kubernetes.io/enforce=restricted")
    done = subprocess.run(
        [str(cluster.bin / "kubectl"), "--kubeconfig", str(cluster.kubeconfig), "--namespace", "restricted",
         "run", "x", f"--image={components.PAUSE_IMAGE}"], capture_output=True, text=True,
    )  # fmt: skip
    assert 'violates PodSecurity "restricted' in done.stderr
    kubectl(cluster, "delete", "namespace", "restricted")


@pytest.mark.long
def test_network_policies_are_enforced(cluster: Cluster) -> None:
    """For new connections between pods, through a Service too. The node reaches every pod."""
    web(cluster, "client")
    spec = {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]}
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web"}, "spec": spec}
    address = kubectl(cluster, "get", "pod", "-l", "app=web", "-o", "jsonpath={.items[0].status.podIP}")
    program = f"""
import urllib.request
for url in "http://web", "http://{address}:8000":
    try:
        print(urllib.request.urlopen(url, timeout=3).status)
    except OSError:
        print("dropped")
"""
    try:
        assert in_pod(cluster, program, "client").split() == ["200", "200"]
        kubectl(cluster, "apply", "-f", "-", input=json.dumps(policy))
        assert in_pod(cluster, program, "client").split() == ["dropped", "dropped"]
        client = [{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": [{"port": 8000}]}]
        kubectl(cluster, "apply", "-f", "-", input=json.dumps(policy | {"spec": spec | {"ingress": client}}))
        assert in_pod(cluster, program, "client").split() == ["200", "200"]
    finally:
        kubectl(cluster, "delete", "networkpolicy", "web", "--ignore-not-found")
        kubectl(cluster, "delete", "deployment,service,pvc", "client")


@pytest.mark.long
@pytest.mark.parametrize("version", sorted(versions.BUILDS))
def test_runs_each_kubernetes_version(version: str) -> None:
    """Later commands use the version that the cluster was created with; another one is rejected."""
    name = "clutest-old"
    command("up", "--kubernetes", version, name=name)
    try:
        command("up", name=name)
        found = json.loads(kubectl(Cluster(name), "version", "-o", "json"))["serverVersion"]["gitVersion"]
        assert found.startswith(f"v{version}.")
        web(Cluster(name))
        serves(Cluster(name))
        (other,) = versions.BUILDS.keys() - {version}
        command("up", "--kubernetes", other, name=name, code=1)
        command("status", name=name)
    finally:
        command("down", name=name)


@pytest.mark.long
def test_imports_an_image_once(cluster: Cluster, tmp_path: Path) -> None:
    archive, ref = tmp_path / "image.tar", "docker.io/local/imported:1"
    archives.single_binary_image(cluster.bin / "pause", archive)
    assert cluster.import_image(archive, ref)
    assert not cluster.import_image(archive, ref)
    assert cluster.images()[ref] == archives.identity(archive)
    kubectl(cluster, "run", "imported", f"--image={ref}")
    kubectl(cluster, "wait", "pod/imported", "--for=condition=Ready", "--timeout=60s")
    kubectl(cluster, "delete", "pod", "imported", "--grace-period=1")


@pytest.mark.long
@pytest.mark.parametrize("daemon", DAEMONS)
def test_up_restarts_killed_daemon(cluster: Cluster, daemon: str) -> None:
    before = {name: pid(cluster, name) for name in DAEMONS}
    pod = kubectl(cluster, "get", "pods", "-o", "name")
    os.kill(before[daemon], signal.SIGKILL)
    assert f"{daemon} " in command("status", code=1)
    command("up")
    command("status")
    after = {name: pid(cluster, name) for name in DAEMONS}
    assert [name for name in DAEMONS if after[name] != before[name]] == [daemon]
    serves(cluster)
    assert kubectl(cluster, "get", "pods", "-o", "name") == pod


@pytest.mark.long
def test_up_restarts_hanging_daemon(cluster: Cluster) -> None:
    before = pid(cluster, "kube-scheduler")
    os.kill(before, signal.SIGSTOP)
    command("up")
    assert pid(cluster, "kube-scheduler") != before


@pytest.mark.long
def test_up_restarts_all_processes(cluster: Cluster) -> None:
    cgroups.kill_all(cluster.names)
    command("up")
    serves(cluster)


@pytest.mark.long
def test_keeps_state_after_reboot(cluster: Cluster) -> None:
    in_pod(cluster, "open('/data/kept', 'w').write('kept')")
    names = cluster.names
    cgroups.kill_all(names)
    for point, _ in reversed(namespaces.mounts()):  # the files stay, as on a /run that is not a tmpfs
        if point in (str(names.netns_path), str(names.mntns_path), str(names.mntns_path.parent)):
            namespaces.run("umount", point)
    cgroups.remove(names)
    command("up")
    serves(cluster)
    assert in_pod(cluster, "print(open('/data/kept').read())") == "kept\n"


@pytest.mark.long
def test_restart_replaces_all_processes_and_keeps_the_state(cluster: Cluster) -> None:
    in_pod(cluster, "open('/data/kept', 'w').write('kept')")
    pods = kubectl(cluster, "get", "pods", "-o", "name")
    before = set(cgroups.all_processes(cluster.names))
    command("restart")
    assert not before & set(cgroups.all_processes(cluster.names))
    command("status")
    serves(cluster)
    assert kubectl(cluster, "get", "pods", "-o", "name") == pods
    assert in_pod(cluster, "print(open('/data/kept').read())") == "kept\n"


def interrupt_up(name: str, seconds: float) -> None:
    """Kill the start of a cluster after some seconds."""
    cut = subprocess.Popen(
        [sys.executable, "-m", "testbed.cluster", "up", "--name", name], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    time.sleep(seconds)
    cut.kill()
    cut.wait()


@pytest.mark.long
@pytest.mark.parametrize("seconds", [0.3, 0.5, 0.7, 1, 1.5, 2.5, 4, 6])
def test_up_completes_an_interrupted_start(seconds: float) -> None:
    name = "clutest-cut"
    interrupt_up(name, seconds)
    try:
        command("up", name=name)
        command("status", name=name)
        numbers = inodes(Cluster(name))
    finally:
        command("down", name=name)
    assert traces(Names(name), numbers) == []


@pytest.mark.long
@pytest.mark.parametrize("seconds", [0.3, 0.5, 0.7, 1, 2, 4])
def test_down_removes_an_incomplete_cluster(seconds: float) -> None:
    name = "clutest-half"
    interrupt_up(name, seconds)
    command("down", name=name)
    assert traces(Names(name), set()) == []


@pytest.mark.long
def test_up_recreates_a_broken_cluster(cluster: Cluster) -> None:
    names = cluster.names
    os.kill(pid(cluster, "etcd"), signal.SIGKILL)
    for file in (names.state / "etcd").rglob("*"):
        if file.is_file():
            file.write_bytes(b"broken")
    command("up")
    assert not kubectl(cluster, "get", "deployment", "web", "--ignore-not-found", "-o", "name")
    command("status")
    web(cluster)
    serves(cluster)


@pytest.mark.long
def test_up_shows_the_log_of_a_failing_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names("clutest-bad")
    broken = processes.Daemon("etcd", ("/bin/sh", "-c", "echo something is wrong >&2; exit 3"), lambda: "no answer")
    monkeypatch.setattr(components, "all_daemons", lambda names: [[broken]])
    try:
        with pytest.raises(ClusterError, match=r"etcd[^\n]*\n(.*\n)*something is wrong"):
            lifecycle.up(names)
    finally:
        lifecycle.down(names)


@pytest.mark.long
def test_two_clusters_run_at_once(cluster: Cluster) -> None:
    other = Cluster("clutest-two")
    command("up", name=other.name)
    try:
        web(other)
        serves(other)
        serves(cluster)
        numbers = inodes(other)
    finally:
        command("down", name=other.name)
    assert traces(other.names, numbers) == []
    command("status")
    serves(cluster)
