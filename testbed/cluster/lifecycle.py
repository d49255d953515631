"""Start and remove a cluster, whatever state it is in."""

import fcntl
import hashlib
import http.client
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import (
    archives,
    cgroups,
    components,
    namespaces,
    nodeimages,
    pki,
    preflight,
    probes,
    processes,
    toolchain,
    versions,
)
from .errors import CannotRunHere, ClusterError
from .names import Names

LOCK_SECONDS = 900
READY_SECONDS = 120
PATIENCE_SECONDS = 30
BOOTSTRAP = Path(__file__).with_name("bootstrap.yaml")


def say(text: str) -> None:
    print(text, flush=True, file=sys.stderr)


def up(names: Names, kubernetes: str | None = None) -> None:
    """Start the cluster, repair it, or do nothing if it is healthy.

    An existing cluster that cannot be repaired is recreated, with a message.

    Args:
        kubernetes: minor version to run, a key of versions.BUILDS. By default that of the existing cluster, or the
            newest.

    Raises:
        ClusterError: a daemon does not start, or the cluster runs another version.
        CannotRunHere: the machine does not meet the requirements.
    """
    preflight.check_user()
    with locked(names):
        version = versions.resolve(names, kubernetes)
        toolchain.ensure((*toolchain.CLUSTER_TOOLS, versions.BUILDS[version].name))
        if unhealthy(names) == []:
            say(f"cluster {names.name} is up; KUBECONFIG={names.kubeconfig}")
            return
        preflight.check_machine(names)
        existed = names.state.exists()
        try:
            _bring_up(names, version)
        except CannotRunHere:
            raise
        except ClusterError as error:
            if not existed:
                raise
            say(f"{error}\ncluster {names.name} cannot be repaired: recreating it")
            _tear_down(names)
            _bring_up(names, version)


def down(names: Names) -> None:
    """Remove the cluster: processes, mounts, namespaces, cgroups, files. Built tools are kept."""
    preflight.check_user()
    with locked(names):
        _tear_down(names)
    say(f"cluster {names.name} is down")


def restart(names: Names) -> None:
    """Stop the node as a power failure does, and start it again with the data on disk.

    Raises:
        ClusterError, CannotRunHere: as `up` does.
    """
    preflight.check_user()
    with locked(names):
        _clear_run(names)
    up(names)


def unhealthy(names: Names) -> list[str]:
    """Return the reasons why the cluster is not healthy."""
    if not names.pki.is_dir() or not namespaces.exist(names):
        return ["not started"]
    daemons = [daemon for group in components.all_daemons(names) for daemon in group]
    # Stopped processes first, because probes of daemons that depend on them take long.
    found = [
        f"{daemon.name} is not running with its current configuration"
        for daemon in daemons
        if not processes.current(names, daemon)
    ]
    if not found:
        found = [f"{daemon.name}: {reason}" for daemon in daemons if (reason := daemon.healthy())]
    if not found and not _bootstrapped(names).exists():
        found.append("bootstrap objects are missing")
    if not found and (reason := node_not_ready(names)):
        found.append(reason)
    return found


def node_not_ready(names: Names) -> str | None:
    """Return why pods cannot run, or None."""
    paths = f"/api/v1/nodes/{names.name}", "/api/v1/namespaces/default/serviceaccounts/default"
    try:
        answers = [probes.get(names, names.api_url + path, admin=True) for path in paths]
    except (OSError, http.client.HTTPException) as error:
        return f"API server: {error}"
    for path, (status, _) in zip(paths, answers, strict=True):
        if status != 200:
            return f"GET {path}: {status}"
    for condition in json.loads(answers[0][1]).get("status", {}).get("conditions", []):
        if condition["type"] == "Ready":
            return None if condition["status"] == "True" else f"node {names.name}: {condition['message']}"
    return f"node {names.name}: no condition Ready yet"


def _bring_up(names: Names, version: str) -> None:
    began = time.monotonic()
    if not namespaces.exist(names):
        if names.state.exists() or names.run.exists():
            say("no namespaces (reboot or interrupted start): starting with the existing data")
        _clear_run(names)
        say(f"starting cluster {names.name}: node {names.node_address}, API server {names.loopback_url}")
        names.state.mkdir(parents=True, exist_ok=True)
        versions.record(names, version)
        names.run.mkdir(parents=True, exist_ok=True)
        namespaces.create(names)
    cgroups.create(names)
    pki.ensure(names)
    for group in components.all_daemons(names):
        running = [daemon for daemon in group if processes.current(names, daemon)]
        # Stopped daemons first: running ones may be unhealthy because of them.
        _start(names, [daemon for daemon in group if daemon not in running])
        _start(names, [daemon for daemon in running if not _recovers(daemon)])
        processes.wait_healthy(names, group)
        if any(daemon.name == "kube-apiserver" for daemon in group):
            _bootstrap(names)  # includes permissions of the daemons that follow
    _wait_node(names)
    say(f"cluster {names.name} is up after {time.monotonic() - began:.0f} s; KUBECONFIG={names.kubeconfig}")


def _start(names: Names, daemons: list[processes.Daemon]) -> None:
    for daemon in daemons:
        if daemon.name == "kubelet":
            _import_pause(names)
        say(f"  start {daemon.name}")
        processes.start(names, daemon)


def _recovers(daemon: processes.Daemon) -> bool:
    """Return whether a running daemon is or becomes healthy; on a busy machine it may be late."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while reason := daemon.healthy():
        if time.monotonic() > deadline:
            say(f"  {daemon.name} is running but not healthy: {reason}")
            return False
        time.sleep(0.5)
    return True


def _tear_down(names: Names) -> None:
    _clear_run(names)
    namespaces.remove_tree(names.state)
    namespaces.remove_mount_points(names)


def _clear_run(names: Names) -> None:
    """Remove everything that does not survive a reboot: processes, cgroups, namespaces, run files."""
    cgroups.kill_all(names)
    namespaces.destroy(names)
    cgroups.remove(names)
    namespaces.remove_tree(names.run)


def _import_pause(names: Names) -> None:
    binary = (toolchain.bin_dir() / "pause").resolve()
    archive = names.state / "pause.tar"
    archives.single_binary_image(binary, archive)
    nodeimages.import_archive(names, archive, components.PAUSE_IMAGE)


def _bootstrapped(names: Names) -> Path:
    """Return the file that marks bootstrap.yaml as applied."""
    return names.state / f"bootstrapped-{hashlib.sha256(BOOTSTRAP.read_bytes()).hexdigest()[:12]}"


def _bootstrap(names: Names) -> None:
    if not _bootstrapped(names).exists():
        kubectl = str(toolchain.bin_dir() / "kubectl")
        namespaces.run(kubectl, "--kubeconfig", str(names.kubeconfig), "apply", "-f", str(BOOTSTRAP))
        _bootstrapped(names).touch()


def _wait_node(names: Names) -> None:
    began = said = time.monotonic()
    while reason := node_not_ready(names):
        now = time.monotonic()
        if now - began > READY_SECONDS:
            raise ClusterError(
                f"{reason} after {READY_SECONDS} s\n--- end of {processes.log_file(names, 'kubelet')}:\n"
                f"{processes.tail(names, 'kubelet')}"
            )
        if now - said > 10:
            said = now
            say(f"  {now - began:.0f} s, waiting for {reason} (kubectl --kubeconfig {names.kubeconfig} describe node)")
        time.sleep(0.2)


@contextmanager
def locked(names: Names) -> Iterator[None]:
    """Allow one up or down of a cluster at a time; the lock ends with its process."""
    names.lock.parent.mkdir(parents=True, exist_ok=True)
    with names.lock.open("w") as file:
        deadline = time.monotonic() + LOCK_SECONDS
        said = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not said:
                    said = True
                    say(f"waiting for another up or down of cluster {names.name} (lock {names.lock})")
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"another up or down of cluster {names.name} holds {names.lock} for more "
                        f"than {LOCK_SECONDS} s; who: fuser -v {names.lock}"
                    ) from None
                time.sleep(0.2)
        yield
