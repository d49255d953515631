"""Build the images without Docker and without a registry, and load them into the local cluster."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from testbed.cluster.errors import CannotRunHere
from testbed.images import wheels
from testbed.images.cache import lock, make_directory, remove_old
from testbed.images.process import require, say
from testbed.images.sources import DEMO_SOURCES, SOURCES, Source
from testbed.images.storage import Storage
from testbed.images.tags import Image, cluster_name, context_files, image, tool_binary


class Node(Protocol):
    """Where images are loaded: the local cluster (testbed.cluster.local.Cluster)."""

    def images(self) -> dict[str, str]:
        """Return the images of the node: complete name -> any value."""

    def import_image(self, archive: Path, ref: str) -> bool:
        """Import an archive under a complete name; return False if the node has that content already."""


def build(names: Iterable[str] = tuple(DEMO_SOURCES)) -> dict[str, Image]:
    """Build the images that are not in the cache; return all of `names` by name.

    Raises:
        ImageError: a build failed.
        CannotRunHere: a program is missing, or the user is not root.
    """
    wanted = {name: image(name) for name in names}
    if not wanted:
        return wanted
    missing = [name for name, one in wanted.items() if not one.archive.exists()]
    if not missing:
        say(f"{len(wanted)} images are up to date: {', '.join(wanted)}")
        return wanted
    _check_machine()
    build({parent for name in missing if (parent := SOURCES[name].parent)})
    with lock():
        missing = [name for name in missing if not wanted[name].archive.exists()]
        storage = Storage()
        with ThreadPoolExecutor(1) as pool:
            downloads = {name: pool.submit(wheels.download, SOURCES[name].context / "requirements.txt")
                         for name in missing if SOURCES[name].python}  # fmt: skip
            debian = any(SOURCES[name].debian for name in missing)
            base = storage.base() if downloads or debian else ""
            for name in missing:
                _build(storage, wanted[name], base, downloads[name].result() if name in downloads else None)
        for name in missing:
            remove_old(wanted[name].archive.parent, name, ".tar")
    return wanted


def load(cluster: Node, images: Sequence[Image]) -> None:
    """Import into a cluster the images that it does not have."""
    for one in images:
        cluster.import_image(one.archive, one.ref)


def _build(storage: Storage, wanted: Image, base: str, wheels_directory: Path | None) -> None:
    source = SOURCES[wanted.name]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="context-", dir=make_directory("tmp")) as scratch:
        context = Path(scratch)
        _copy_context(source, context)
        options = [f"--build-arg={argument}" for argument in _build_arguments(storage, source, base)]
        if wheels_directory:
            options += wheels.options(wheels_directory)
        # Layers are kept, so that a changed program does not reinstall its wheels.
        storage.build(wanted.name, wanted.ref, context, "--layers", *options)
        partial = context / "image.tar"
        storage.write(wanted.name, wanted.ref, partial, wanted.ref)
        make_directory("archives")
        partial.rename(wanted.archive)
    storage.remove_earlier(wanted.name, wanted.ref)
    size = wanted.archive.stat().st_size / 1e6
    say(f"{wanted.ref}: {size:.0f} MB, {time.monotonic() - began:.0f} s")


def _copy_context(source: Source, target: Path) -> None:
    for file in context_files(source.context):
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source.context / file, target / file)
    if source.tool:
        shutil.copy2(tool_binary(source.tool), target / source.tool)
    if source.dockerfile:
        shutil.copy2(source.dockerfile, target / "Dockerfile")


def _build_arguments(storage: Storage, source: Source, base: str) -> list[str]:
    """Return the build arguments of an image, each NAME=VALUE."""
    arguments = [f"{argument}={cluster_name(other)}" for argument, other in source.names]
    if source.python:
        arguments.append(f"PYTHON_IMAGE={base}")
    if source.debian:
        arguments.append(f"BASE_IMAGE={base}")
    if source.parent:
        arguments.append(f"KUSCIA_IMAGE={storage.pull(image(source.parent))}")
    return [*arguments, *source.args]


def _check_machine() -> None:
    if os.geteuid() != 0:
        raise CannotRunHere("building images requires root (debootstrap and buildah's chroot isolation)")
    require("buildah", "skopeo", "debootstrap", "unshare")
