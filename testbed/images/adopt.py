"""Use a Kuscia image that was given as KUSCIA_IMAGE: a name or a file."""

import json
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from testbed.images.builder import Node, load
from testbed.images.cache import CACHE, lock, make_directory, remove_old
from testbed.images.process import ImageError, require, run
from testbed.images.push import push
from testbed.images.tags import REGISTRY, Image

TRANSPORTS = ("oci-archive", "docker-archive", "oci", "dir", "docker-daemon")
AGAIN = "-again"


def adopt(cluster: Node | None, given: str, prefix: str = "") -> str:
    """Make a given image available to a cluster and return its complete reference.

    Args:
        cluster: the local cluster; None for the user's own cluster.
        given: `oci-archive:FILE`, `docker-archive:FILE` (transports of skopeo), or a name with tag or
            digest that a node can pull.
        prefix: registry path to push an archive to when `cluster` is None.

    Raises:
        ImageError: the image does not exist, or cannot be brought to the cluster.
    """
    is_file = given.partition(":")[0] in TRANSPORTS
    if not is_file:
        _check_reference(given)
        if cluster is None or given in cluster.images():
            return given
    if is_file and cluster is None and not prefix:
        raise ImageError(f"image {given}: your own cluster needs IMAGE_PREFIX=registry/path to push to")
    return _deliver(cluster, _copy(given, "" if is_file else given), prefix)


def adopt_again(cluster: Node | None, given: str, prefix: str = "") -> str:
    """Adopt a given image under a second name, which ends in AGAIN.

    Tests of upgrades use it when there is only one image.
    """
    first = _copy(given, "")
    return _deliver(cluster, replace(first, ref=first.ref + AGAIN), prefix)


def source(given: str) -> str:
    """Return skopeo's name of a given image."""
    return given if given.partition(":")[0] in TRANSPORTS else f"docker://{given}"


def _deliver(cluster: Node | None, adopted: Image, prefix: str) -> str:
    if cluster is None:
        return push([adopted], prefix)[adopted.name]
    load(cluster, [adopted])
    return adopted.ref


def _copy(given: str, ref: str) -> Image:
    """Copy a given image to an archive in the cache; if `ref` is "", name it after its digest."""
    require("skopeo")
    found = subprocess.run(["skopeo", "inspect", source(given)], capture_output=True, text=True, check=False)
    if found.returncode:
        raise ImageError(
            f"image {given}: {found.stderr.strip()}\n"
            "Set a name that can be pulled from here, or oci-archive:FILE, or docker-archive:FILE."
        )
    tag = json.loads(found.stdout)["Digest"].removeprefix("sha256:")[:12]
    adopted = Image("kuscia", ref or f"{REGISTRY}/kuscia:{tag}", CACHE / "archives" / f"kuscia-{tag}.tar")
    with lock():
        if not adopted.archive.exists():
            with tempfile.TemporaryDirectory(prefix="adopt-", dir=make_directory("tmp")) as scratch:
                target = f"oci-archive:{scratch}/image.tar:{adopted.ref}"
                run(f"copying {given}", ["skopeo", "copy", source(given), target], make_directory("logs"))
                make_directory("archives")
                Path(scratch, "image.tar").rename(adopted.archive)
        remove_old(adopted.archive.parent, adopted.name, ".tar")
    return adopted


def _check_reference(given: str) -> None:
    name = given.rsplit("/", 1)[-1]
    if ":" not in name and "@" not in name:
        raise ImageError(
            f"image {given}: a tag or digest is required. Examples: "
            "docker.io/secretflow/kuscia:1.1.0b0, oci-archive:kuscia.tar, docker-archive:kuscia.tar"
        )
