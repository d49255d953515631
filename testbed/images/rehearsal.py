"""The image of the steps of a release, built twice from nothing: both builds must have the same bytes."""

import subprocess
import tempfile
from pathlib import Path

from testbed.images import wheels
from testbed.images.cache import lock, make_directory
from testbed.images.sources import SOURCES
from testbed.images.storage import Storage

NAME = "kuscia-hooks"
# Of the local storage only: both builds need a name there.
BUILDS = ("localhost/kuscia-hooks-release:1", "localhost/kuscia-hooks-release:2")


class NotReproducible(Exception):
    """Two builds of one tree differ."""


def build(target: Path, reference: str, epoch: int) -> str:
    """Build the image of the steps twice without a cache and write it as an OCI archive; return its digest.

    Both builds have the base image of the test bed, and the Dockerfile and packages that a published image has.

    Args:
        target: the archive.
        reference: complete name of the image in the archive.
        epoch: time of all files, in seconds since 1970.

    Raises:
        ImageError: a build failed.
        NotReproducible: the builds differ.
    """
    context = SOURCES[NAME].context
    packages = wheels.download(context / "requirements.txt")
    with lock(), tempfile.TemporaryDirectory(prefix="release-", dir=make_directory("tmp")) as scratch:
        storage = Storage()
        base = storage.base()
        archives = [Path(scratch, f"{number}.tar") for number in range(len(BUILDS))]
        for build_ref, archive in zip(BUILDS, archives, strict=True):
            storage.build(f"{NAME}: build {build_ref}", build_ref, context, "--no-cache", f"--timestamp={epoch}",
                          f"--build-arg=PYTHON_IMAGE={base}", *wheels.options(packages))  # fmt: skip
            storage.write(NAME, build_ref, archive, reference)
        digests = [digest(archive) for archive in archives]
        storage.buildah(f"{NAME}: clean up", "rmi", *BUILDS)
        if len(set(digests)) > 1:
            raise NotReproducible(f"{NAME}: {' and '.join(digests)}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        archives[0].rename(target)
    return digests[0]


def digest(archive: Path) -> str:
    """Return the digest of the image in an OCI archive."""
    command = ["skopeo", "inspect", "--format", "{{.Digest}}", f"oci-archive:{archive}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
