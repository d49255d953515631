"""Python packages for the images, downloaded before a build because builds have no network."""

import hashlib
import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path

from testbed.cluster.errors import CannotRunHere
from testbed.images.cache import CACHE, make_directory, remove_old
from testbed.images.process import run
from testbed.images.sources import PLATFORMS, PYTHON


def download(requirements: Path) -> Path:
    """Download the wheels of a lock file, once per content of that file; return their directory.

    Raises:
        ImageError: pip failed.
        CannotRunHere: pip is not installed.
    """
    name = requirements.parent.name
    key = hashlib.sha256(requirements.read_bytes() + "\0".join([PYTHON, *PLATFORMS]).encode())
    target = CACHE / "wheels" / f"{name}-{key.hexdigest()[:12]}"
    if target.is_dir():
        return target
    platforms = [arg for platform in PLATFORMS for arg in ("--platform", platform)]
    with tempfile.TemporaryDirectory(prefix="wheels-", dir=make_directory("tmp")) as scratch:
        run(
            f"{name}: downloading wheels",
            [*_pip(), "download", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:",
             "--python-version", PYTHON, "--implementation", "cp", *platforms,
             "--require-hashes", "--requirement", str(requirements), "--dest", f"{scratch}/wheels"],
            make_directory("logs"),
        )  # fmt: skip
        make_directory("wheels")
        # A TemporaryDirectory is private, but builds may read the wheels as another user.
        Path(scratch, "wheels").chmod(0o755)
        Path(scratch, "wheels").rename(target)
    remove_old(target.parent, name)
    return target


def options(directory: Path) -> list[str]:
    """Return the options of `buildah bud` that let a Dockerfile install downloaded wheels."""
    return ["--volume", f"{directory}:/wheels:ro", "--build-arg", "PIP_ARGS=--no-index --find-links /wheels"]


def _pip() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip3") or shutil.which("pip")
    if not found:
        raise CannotRunHere("missing: pip. Debian: apt-get install python3-pip")
    return [found]
