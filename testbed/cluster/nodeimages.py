"""The images that the cluster's containerd holds."""

import subprocess
import sys
import time
from pathlib import Path

from . import archives, namespaces
from .errors import ClusterError
from .names import Names

IMPORT_SECONDS = 600
IMPORTS = 3
"""Attempts to import an image."""
ARCHIVE_LABEL = "kuscia-chart/archive"


def present(names: Names) -> dict[str, str]:
    """Return image reference -> identity of its archive ("" if not imported by `import_archive`)."""
    found = {}
    for line in _ctr(names, "images", "ls").splitlines()[1:]:
        ref, *_, labels = line.split()
        label = dict(part.split("=", 1) for part in labels.split(",") if "=" in part)
        found[ref] = label.get(ARCHIVE_LABEL, "")
    return found


def import_archive(names: Names, archive: Path, ref: str) -> bool:
    """Import an image archive into the node as `ref`; return False if the node has that content already.

    Args:
        archive: an oci-archive or docker-archive file with one image.
        ref: complete name, such as docker.io/local/kuscia:1.

    Raises:
        ClusterError: containerd rejects the archive.
        ValueError: the archive is invalid or the name is incomplete.
    """
    registry, _, rest = ref.partition("/")
    if "." not in registry or ":" not in rest.rpartition("/")[2]:
        raise ValueError(f"image reference {ref!r}: wants registry, path and tag. Example: docker.io/local/kuscia:1")
    identity = archives.identity(archive)
    if present(names).get(ref) == identity:
        return False
    began = time.monotonic()
    # Under this name, whatever names are in the archive.
    command = ("images", "import", "--index-name", ref, str(archive.resolve()))
    for attempt in range(1, IMPORTS + 1):
        try:
            _ctr(names, *command)
            break
        except ClusterError as error:
            if "content digest" not in str(error) or attempt == IMPORTS:
                raise
            # On a busy machine, the garbage collector of containerd may delete the index before the name exists that
            # keeps it; the name without it would let every further import fail. With --sync, it has finished
            # before the next import.
            _ctr(names, "images", "rm", "--sync", ref)
    _ctr(names, "images", "label", ref, f"{ARCHIVE_LABEL}={identity}")
    print(f"imported {ref} in {time.monotonic() - began:.0f} s", flush=True, file=sys.stderr)
    return True


def _ctr(names: Names, *arguments: str) -> str:
    command = ["ctr", "--address", str(names.containerd_socket), "--namespace", "k8s.io", *arguments]
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=IMPORT_SECONDS, env=namespaces.environment()
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"{' '.join(command)}: not done after {IMPORT_SECONDS} s") from error
    if result.returncode:
        raise ClusterError(
            f"{' '.join(command)}: {(result.stderr or result.stdout).strip()}\n"
            f"Is cluster {names.name!r} up? python -m testbed.cluster status --name {names.name}"
        )
    return result.stdout
