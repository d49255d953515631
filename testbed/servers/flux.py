"""Flux's source-controller and helm-controller for tests: processes in the network of a local cluster.

They have the access of the cluster's administrator, as Flux has by default. Their logs are with those of the cluster.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from testbed.cluster import toolchain
from testbed.cluster.kubectl import Kubectl
from testbed.cluster.local import Cluster

TOOL = toolchain.TOOLS["flux"]
ARTIFACTS = "127.0.0.1:9790"
"""Where helm-controller downloads charts from source-controller."""
DELETE_SECONDS = 400
STOP_SECONDS = 30


@contextmanager
def flux(cluster: Cluster, kubectl: Kubectl) -> Iterator[None]:
    """Run the controllers; afterwards, delete all HelmReleases, stop them, and delete their definitions."""
    toolchain.ensure([TOOL.name])
    modules = [toolchain.module(TOOL, f"github.com/fluxcd/{binary}") for binary in TOOL.binaries]
    with ExitStack() as stack:
        for module in modules:
            definitions = str(module / "config/crd/bases")
            kubectl.run("apply", "--server-side", "-f", definitions)
            stack.callback(kubectl.run, "delete", "-f", definitions, "--ignore-not-found")
        kubectl.run("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        home = Path(stack.enter_context(TemporaryDirectory()))
        (home / "kubeconfig").touch(mode=0o600)
        access = cluster.kubeconfig.read_text().replace(cluster.names.loopback_url, cluster.names.api_url)
        (home / "kubeconfig").write_text(access)
        for binary in TOOL.binaries:
            stack.enter_context(_running(cluster, binary, home))
        # A finalizer holds a HelmRelease until helm-controller has uninstalled the release.
        stack.callback(kubectl.run, "delete", "helmreleases", "--all", "--all-namespaces", timeout=DELETE_SECONDS)
        yield


@contextmanager
def _running(cluster: Cluster, binary: str, home: Path) -> Iterator[None]:
    # "0" disables the servers for metrics and probes.
    arguments = ["--watch-all-namespaces", "--metrics-addr=0", "--health-addr=0"]
    if binary == "source-controller":
        arguments += [f"--storage-path={home}", f"--storage-addr={ARTIFACTS}", f"--storage-adv-addr={ARTIFACTS}"]
    environment = {"KUBECONFIG": str(home / "kubeconfig"), "RUNTIME_NAMESPACE": "default", "TMPDIR": str(home)}
    with (cluster.names.logs / f"{binary}.log").open("ab") as log:
        process = subprocess.Popen(
            [*cluster.nsenter, str(cluster.bin / binary), *arguments],
            env=os.environ | environment,
            stdout=log,
            stderr=log,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)
