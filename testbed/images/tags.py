"""Names of images: a tag is a hash of everything that the image is built from.

An unchanged image is therefore built once per machine, and a changed image gets a new name, which
makes pods roll.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path

from testbed.cluster import toolchain
from testbed.images.cache import CACHE
from testbed.images.process import ImageError
from testbed.images.sources import BASE, PLATFORMS, SOURCES, SUITE

REGISTRY = "docker.io/local"  # containerd completes a name without a host to docker.io
ALWAYS_IGNORED = ("**/__pycache__", "**/*.pyc", "**/.*_cache", "**/*.egg-info")


@dataclass(frozen=True)
class Image:
    """An image: `ref` is its complete name, `archive` the OCI archive (.tar) that holds it once it is built."""

    name: str
    ref: str
    archive: Path

    def pushed_to(self, prefix: str) -> str:
        """Return the image's name in the registry path `prefix`."""
        return f"{prefix.rstrip('/')}/{self.ref.rsplit('/', 1)[1]}"


def context_files(context: Path) -> list[Path]:
    """List the files of a build context that .dockerignore does not exclude, relative to it, sorted.

    Raises:
        ImageError: .dockerignore contains a `!` line, which is not supported.
    """
    ignore = context / ".dockerignore"
    lines = [*ALWAYS_IGNORED, *(ignore.read_text().splitlines() if ignore.exists() else [])]
    patterns = [line.strip().strip("/") for line in lines if line.strip() and not line.startswith("#")]
    if any(pattern.startswith("!") for pattern in patterns):
        raise ImageError(f"{ignore}: lines with `!` are not supported; list the files to exclude instead")
    ignored = re.compile("|".join(_ignore_expression(pattern) for pattern in patterns))
    files = []
    for directory, names, leaves in os.walk(context):
        where = Path(directory).relative_to(context)
        names[:] = sorted(name for name in names if not ignored.fullmatch(str(where / name)))
        files += [where / leaf for leaf in leaves if not ignored.fullmatch(str(where / leaf))]
    return sorted(files)


def _ignore_expression(pattern: str) -> str:
    anywhere = pattern.removeprefix("**/")
    prefix = r"(?:.*/)?" if anywhere != pattern else ""
    return prefix + translate(anywhere)


def context_hash(context: Path, *more: str) -> str:
    """Return 12 hex digits of all files in a build context (names, modes, bytes) and of `more`."""
    digest = hashlib.sha256("\0".join(more).encode())
    for file in context_files(context):
        path = context / file
        executable = bool(path.stat().st_mode & 0o100)
        digest.update(f"\0{file}\0{executable}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def base_tag() -> str:
    """Return the tag of the base image: a hash of its recipe."""
    return context_hash(BASE, SUITE)


def image(name: str) -> Image:
    """Return the image that a build of the current tree would create."""
    source = SOURCES[name]
    more = [base_tag(), *PLATFORMS] if source.python else [base_tag()] if source.debian else []
    if source.tool:
        more.append(hashlib.sha256(tool_binary(source.tool).read_bytes()).hexdigest())
    if source.dockerfile:
        more.append(source.dockerfile.read_text())
    if source.parent:
        more.append(image(source.parent).ref)
    more += [f"{argument}={cluster_name(other)}" for argument, other in source.names]
    tag = context_hash(source.context, *more, *source.args)
    return Image(name, f"{REGISTRY}/{name}:{tag}", CACHE / "archives" / f"{name}-{tag}.tar")


def cluster_name(name: str) -> str:
    """Return the name of an image on the cluster: as built, or in the registry path IMAGE_PREFIX."""
    prefix = os.environ.get("IMAGE_PREFIX", "")
    return image(name).pushed_to(prefix) if prefix else image(name).ref


def tool_binary(tool: str) -> Path:
    """Return the path of a built tool, which is built first if necessary."""
    return toolchain.ensure([tool]) / tool
