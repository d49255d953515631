"""What other test code may use of the local cluster."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from . import lifecycle, namespaces, nodeimages, toolchain
from .names import DEFAULT_NAME, Names


@dataclass(frozen=True)
class Cluster:
    """A local cluster by name; it need not be up for its names to be asked.

    The methods raise ClusterError when something does not work, CannotRunHere when the machine cannot.
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
        """Starts the cluster, or mends it; about a second when it is healthy."""
        lifecycle.up(self.names)

    def down(self) -> None:
        """Removes the cluster and all it left on the machine; built tools stay."""
        lifecycle.down(self.names)

    def images(self) -> dict[str, str]:
        """Image reference -> identity of the archive it was imported from ("" when not by `import_image`)."""
        return nodeimages.present(self.names)

    def import_image(self, archive: Path, ref: str) -> bool:
        """Makes an image archive known to the node as `ref`; False when that very content was there."""
        return nodeimages.import_archive(self.names, archive, ref)
