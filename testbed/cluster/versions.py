"""The Kubernetes version of a cluster: chosen when the cluster is created, and kept as long as it exists."""

from . import toolchain
from .errors import ClusterError
from .names import Names


def _minor(tool: toolchain.Tool) -> str:
    """Return the minor version of a build, such as `1.36`."""
    return ".".join(tool.version.removeprefix("v").split(".")[:2])


BUILDS = {_minor(tool): tool for tool in toolchain.TOOLS.values() if tool.module == "k8s.io/kubernetes"}
DEFAULT = _minor(toolchain.TOOLS["kubernetes"])


def of(names: Names) -> toolchain.Tool:
    """Return the build of Kubernetes that a cluster runs, or would run if it were created now."""
    return BUILDS[_chosen(names) or DEFAULT]


def older_than(names: Names, minor: int) -> bool:
    """Return whether a cluster runs a Kubernetes before 1.`minor`."""
    return int(_minor(of(names)).split(".")[1]) < minor


def resolve(names: Names, wanted: str | None) -> str:
    """Return the version for a cluster.

    Args:
        wanted: a key of BUILDS; None for that of the existing cluster, or DEFAULT.

    Raises:
        ClusterError: the cluster runs another version.
    """
    chosen = _chosen(names)
    if chosen and wanted and chosen != wanted:
        raise ClusterError(
            f"cluster {names.name} runs Kubernetes {chosen}, not {wanted}; "
            f"remove it first: python -m testbed.cluster down --name {names.name}"
        )
    return chosen or wanted or DEFAULT


def record(names: Names, version: str) -> None:
    """Write the version into the state of a cluster."""
    names.kubernetes_version.write_text(version)


def _chosen(names: Names) -> str | None:
    """Return the recorded version of an existing cluster."""
    try:
        return names.kubernetes_version.read_text() or None
    except FileNotFoundError:
        return None
