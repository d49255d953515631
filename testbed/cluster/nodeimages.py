"""The images that the cluster's containerd holds."""

import subprocess
import sys
import time
from pathlib import Path

from . import archives, namespaces
from .errors import ClusterError
from .names import Names

IMPORT_SECONDS = 600
ARCHIVE_LABEL = "kuscia-chart/archive"


def present(names: Names) -> dict[str, str]:
    """Image reference -> identity of the archive it was imported from ("" when not by `import_archive`)."""
    found = {}
    for line in _ctr(names, "images", "ls").splitlines()[1:]:
        ref, *_, labels = line.split()
        label = dict(part.split("=", 1) for part in labels.split(",") if "=" in part)
        found[ref] = label.get(ARCHIVE_LABEL, "")
    return found


def import_archive(names: Names, archive: Path, ref: str) -> bool:
    """Makes an image archive known to the node as `ref`; False when that very content was there.

    archive: an oci-archive or docker-archive file with one image.
    ref: complete name, such as docker.io/local/kuscia:1.
    Raises ClusterError when containerd refuses, ValueError for a bad archive or an incomplete ref.
    """
    registry, _, rest = ref.partition("/")
    if "." not in registry or ":" not in rest.rpartition("/")[2]:
        raise ValueError(f"image reference {ref!r}: wants registry, path and tag. Example: docker.io/local/kuscia:1")
    identity = archives.identity(archive)
    if present(names).get(ref) == identity:
        return False
    began = time.monotonic()
    # Under the ref, whatever names the archive itself carries.
    command = ("images", "import", "--index-name", ref, str(archive.resolve()))
    try:
        _ctr(names, *command)
    except ClusterError as error:
        if "content digest" not in str(error):
            raise
        # On a busy machine containerd's garbage collector may take the index away before the name is there that
        # keeps it; the name without it would let every further import fail.
        _ctr(names, "images", "rm", ref)
        _ctr(names, *command)
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
