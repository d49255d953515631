"""What other test code may use of the local cluster."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from . import archives, namespaces, toolchain
from .errors import ClusterError
from .names import DEFAULT_NAME, Names

IMPORT_SECONDS = 600
ARCHIVE_LABEL = "kuscia-chart/archive"


@dataclass(frozen=True)
class Cluster:
    """A local cluster by name; it need not be up for its names to be asked."""

    name: str = DEFAULT_NAME

    @cached_property
    def names(self) -> Names:
        return Names(self.name)

    @property
    def kubeconfig(self) -> Path:
        """File for KUBECONFIG; works from an ordinary shell."""
        return self.names.kubeconfig

    @property
    def node_address(self) -> str:
        """The node's IP address inside the cluster's network namespace."""
        return str(self.names.node_address)

    @property
    def nsenter(self) -> list[str]:
        """Prefix that runs a program in the cluster's network: pods and Services are reachable from it."""
        return namespaces.enter_network(self.names)

    @property
    def env(self) -> dict[str, str]:
        """Environment for kubectl and helm: KUBECONFIG, and the tools' directory to put into PATH."""
        return {"KUBECONFIG": str(self.kubeconfig), "KUSCIA_CHART_BIN": str(toolchain.bin_dir())}

    def import_image(self, archive: Path, ref: str) -> bool:
        """Makes an image archive known to the node as `ref`; False when that very content was there.

        archive: an oci-archive or docker-archive file with one image.
        ref: complete name, such as docker.io/local/kuscia:1.
        Raises ClusterError when containerd refuses, ValueError for a bad archive or an incomplete ref.
        """
        registry, _, rest = ref.partition("/")
        if "." not in registry or ":" not in rest.rpartition("/")[2]:
            raise ValueError(f"image reference {ref!r}: wants registry, path and tag. Example: docker.io/local/kuscia:1")
        identity = archives.identity(archive)
        if self.images().get(ref) == identity:
            return False
        began = time.monotonic()
        # Under the ref whatever names the archive itself carries.
        self._ctr("images", "import", "--index-name", ref, str(archive.resolve()))
        self._ctr("images", "label", ref, f"{ARCHIVE_LABEL}={identity}")
        print(f"imported {ref} in {time.monotonic() - began:.0f} s", flush=True, file=sys.stderr)
        return True

    def images(self) -> dict[str, str]:
        """Image reference -> identity of the archive it was imported from ("" when not by import_image)."""
        found = {}
        for line in self._ctr("images", "ls").splitlines()[1:]:
            ref, *_, labels = line.split()
            label = dict(part.split("=", 1) for part in labels.split(",") if "=" in part)
            found[ref] = label.get(ARCHIVE_LABEL, "")
        return found

    def kubectl(self, *arguments: str, input: str | None = None, seconds: float = 60) -> str:
        """Output of kubectl as cluster-admin. Raises ClusterError with its error text."""
        command = [str(toolchain.bin_dir() / "kubectl"), "--kubeconfig", str(self.kubeconfig), *arguments]
        result = subprocess.run(command, capture_output=True, text=True, input=input, timeout=seconds)
        if result.returncode:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    def get(self, *what: str) -> list[dict[str, object]]:
        """Objects of `kubectl get WHAT -o json`, as a list."""
        found = json.loads(self.kubectl("get", *what, "-o", "json"))
        items: list[dict[str, object]] = found.get("items", [found])
        return items

    def _ctr(self, *arguments: str) -> str:
        command = ["ctr", "--address", str(self.names.containerd_socket), "--namespace", "k8s.io", *arguments]
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"{' '.join(command)}: not done after {IMPORT_SECONDS} s") from error
        if result.returncode:
            raise ClusterError(f"{' '.join(command)}: {(result.stderr or result.stdout).strip()}\n"
                               f"Is cluster {self.name!r} up? python -m tests.cluster status --name {self.name}")
        return result.stdout
