"""The local cluster, for other parts of the test bed and the tests."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from . import lifecycle, namespaces, nodeimages, toolchain
from .names import DEFAULT_NAME, Names


@dataclass(frozen=True)
class Cluster:
    """A local cluster by name. It need not be running for its names to be read.

    The methods raise ClusterError on failure, CannotRunHere if the machine does not meet the requirements.
    """

    name: str = DEFAULT_NAME

    @cached_property
    def names(self) -> Names:
        """Paths, addresses and ports. Raises ValueError for a bad name."""
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
        """Prefix that runs a program in the cluster's network, where pods and Services can be reached."""
        return namespaces.enter_network(self.names)

    @property
    def bin(self) -> Path:
        """Directory of kubectl, helm and the other tools, for PATH."""
        return toolchain.bin_dir()

    def up(self) -> None:
        """Start or repair the cluster; takes about a second if it is healthy."""
        lifecycle.up(self.names)

    def down(self) -> None:
        """Remove the cluster completely, except the built tools."""
        lifecycle.down(self.names)

    def restart(self) -> None:
        """Stop the node with all its pods as a power failure does, and start it again."""
        lifecycle.restart(self.names)

    def images(self) -> dict[str, str]:
        """Return image reference -> identity of the imported archive ("" if not imported by `import_image`)."""
        return nodeimages.present(self.names)

    def import_image(self, archive: Path, ref: str) -> bool:
        """Import an image archive as `ref`; return False if the node has that content already."""
        return nodeimages.import_archive(self.names, archive, ref)
