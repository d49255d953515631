"""Builds the container images of the demo without Docker and without a registry.

An image's tag is a hash of all that goes into it,
so an unchanged image is built once per machine and a changed one gets a new name, which makes pods
roll. Archives and build storage lie in the cache directory, outside the work tree.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import translate
from pathlib import Path
from typing import Protocol

from testbed.cluster import toolchain
from testbed.cluster.errors import CannotRunHere, ClusterError
from testbed.cluster.names import cache_root

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
CACHE = cache_root() / "images"
BASE = HERE / "base"
SUITE = "bookworm"
PYTHON = "3.11"
REGISTRY = "docker.io/local"  # containerd looks up incomplete names on Docker Hub
KEEP = 3  # archives kept of each image
KEEP_SECONDS = 6 * 3600.0  # younger ones are kept besides: another clone may be about to load them
TICK = 10.0
AGAIN = "-again"
# Of everything pip may take for this Python on Debian 12 (glibc 2.36), x86-64.
PLATFORMS = [
    "linux_x86_64", "manylinux1_x86_64", "manylinux2010_x86_64", "manylinux2014_x86_64",
    *(f"manylinux_2_{minor}_x86_64" for minor in range(5, 37)),
]  # fmt: skip
ALWAYS_IGNORED = ("**/__pycache__", "**/*.pyc", "**/.*_cache", "**/*.egg-info")
TRANSPORTS = ("oci-archive", "docker-archive", "oci", "dir", "docker-daemon")


class ImageError(ClusterError):
    """An image could not be built, loaded or pushed; the message holds the tool's last words."""


@dataclass(frozen=True)
class Image:
    """A built image: `ref` is its complete name, `archive` an OCI archive (.tar) that holds it."""

    name: str
    ref: str
    archive: Path


@dataclass(frozen=True)
class Source:
    """What an image is built from.

    context: directory with the Dockerfile. python: whether it is built on the Python base image,
    with wheels from its requirements.txt. debian: whether it is built on the same base image with
    packages of Debian's, which the Dockerfile installs. tool: a tool of toolchain.py that is added to
    the context. dockerfile: instead of the context's. parent: the image that it is built on, instead of
    the base image. names: build arguments that hold the names of
    other images on the cluster.
    args: build arguments, each NAME=VALUE.
    """

    context: Path
    python: bool = True
    debian: bool = False
    tool: str | None = None
    args: tuple[str, ...] = ()
    dockerfile: Path | None = None
    parent: str | None = None
    names: tuple[tuple[str, str], ...] = ()


SOURCES = {
    "kuscia-hooks": Source(ROOT / "hooks"),
    "kuscia-sim": Source(ROOT / "testbed/kuscia-sim"),
    "psi-engine": Source(ROOT / "testbed/psi-engine"),
    "versitygw": Source(HERE / "versitygw", python=False, tool="versitygw"),
}
# What the demo has no use for; built when a test asks for them.
TEST_SOURCES = {
    "mariadb": Source(HERE / "mariadb", python=False, debian=True),
    "postgres": Source(HERE / "postgres", python=False, debian=True),
    "nginx": Source(HERE / "nginx", python=False, debian=True),
    # A Kuscia to change to.
    "kuscia-sim-next": Source(ROOT / "testbed/kuscia-sim", args=("KUSCIA_VERSION=v1.2.0",)),
    "kuscia-sim-psi": Source(
        ROOT / "testbed/psi-engine",
        dockerfile=HERE / "kuscia-sim-psi/Dockerfile",
        parent="kuscia-sim",
        names=(("ENGINE_IMAGE", "psi-engine"),),
    ),
    "registry": Source(HERE / "registry", python=False, debian=True),
}
ALL_SOURCES = SOURCES | TEST_SOURCES


class Node(Protocol):
    """Where images are loaded: the local cluster (testbed.cluster.local.Cluster)."""

    def images(self) -> dict[str, str]:
        """Complete names of the images that the node has -> anything."""

    def import_image(self, archive: Path, ref: str) -> bool:
        """Import an archive under a complete name; False when that content was there."""


# --- names: what decides a tag --------------------------------------------------------------------


def context_files(context: Path) -> list[Path]:
    """The files of a build context that .dockerignore leaves in, relative to it, sorted.

    Raises:
        ImageError: .dockerignore has a line of a kind that is not understood here (`!`).
    """
    ignore = context / ".dockerignore"
    lines = [*ALWAYS_IGNORED, *(ignore.read_text().splitlines() if ignore.exists() else [])]
    patterns = [line.strip().strip("/") for line in lines if line.strip() and not line.startswith("#")]
    if any(pattern.startswith("!") for pattern in patterns):
        raise ImageError(f"{ignore}: lines with `!` are not supported here; name what to leave out instead")
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
    """12 hex digits of everything in a build context (names, modes, bytes) and of `more`."""
    digest = hashlib.sha256("\0".join(more).encode())
    for file in context_files(context):
        path = context / file
        executable = bool(path.stat().st_mode & 0o100)
        digest.update(f"\0{file}\0{executable}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def base_tag() -> str:
    """Tag of the Python base image: a hash of its recipe."""
    return context_hash(BASE, SUITE)


def image(name: str) -> Image:
    """The image that `build` would make of the tree as it is now."""
    source = ALL_SOURCES[name]
    more = [base_tag(), *PLATFORMS] if source.python else [base_tag()] if source.debian else []
    if source.tool:
        more.append(hashlib.sha256(_tool_binary(source.tool).read_bytes()).hexdigest())
    if source.dockerfile:
        more.append(source.dockerfile.read_text())
    if source.parent:
        more.append(image(source.parent).ref)
    more += [f"{argument}={cluster_name(other)}" for argument, other in source.names]
    tag = context_hash(source.context, *more, *source.args)
    return Image(name, f"{REGISTRY}/{name}:{tag}", CACHE / "archives" / f"{name}-{tag}.tar")


def cluster_name(name: str) -> str:
    """Complete name that an image has on the cluster: as built, or where IMAGE_PREFIX has it pushed."""
    prefix = os.environ.get("IMAGE_PREFIX", "")
    return pushed_name(image(name), prefix) if prefix else image(name).ref


def pushed_name(one: Image, prefix: str) -> str:
    return f"{prefix.rstrip('/')}/{one.ref.rsplit('/', 1)[1]}"


# --- build ----------------------------------------------------------------------------------------


def build(names: Iterable[str] = tuple(SOURCES)) -> dict[str, Image]:
    """Build what is not in the cache yet; returns the images by name.

    Raises:
        ImageError: a build failed; the message ends with its last lines and names its log.
        CannotRunHere: a program is missing, or this user may not build.
    """
    wanted = {name: image(name) for name in names}
    if not wanted:
        return wanted
    missing = [name for name, one in wanted.items() if not one.archive.exists()]
    if not missing:
        _say(f"{len(wanted)} images are built: {', '.join(wanted)}")
        return wanted
    _check_machine()
    build({parent for name in missing if (parent := ALL_SOURCES[name].parent)})
    with _lock():
        missing = [name for name in missing if not wanted[name].archive.exists()]
        storage = Storage()
        with ThreadPoolExecutor(1) as downloads:
            wheels = {name: downloads.submit(_wheels, ALL_SOURCES[name].context / "requirements.txt")
                      for name in missing if ALL_SOURCES[name].python}  # fmt: skip
            debian = any(ALL_SOURCES[name].debian for name in missing)
            base = storage.base() if wheels or debian else ""
            for name in missing:
                _build(storage, wanted[name], base, wheels[name].result() if name in wheels else None)
        for name in missing:
            _prune(wanted[name])
    return wanted


def _build(storage: "Storage", one: Image, base: str, wheels: Path | None) -> None:
    source = ALL_SOURCES[one.name]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="context-", dir=_mkdir(CACHE / "tmp")) as scratch:
        context = Path(scratch)
        for file in context_files(source.context):
            (context / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source.context / file, context / file)
        if source.tool:
            shutil.copy2(_tool_binary(source.tool), context / source.tool)
        if source.dockerfile:
            shutil.copy2(source.dockerfile, context / "Dockerfile")
        # With its layers kept, a change of the program alone does not install its wheels again.
        args = ["--isolation", "chroot", "--layers", "--tag", one.ref]
        if wheels:
            args += ["--volume", f"{wheels}:/wheels:ro", "--build-arg", f"PYTHON_IMAGE={base}",
                     "--build-arg", "PIP_ARGS=--no-index --find-links /wheels"]  # fmt: skip
        if source.parent:
            args += ["--build-arg", f"KUSCIA_IMAGE={storage.have(image(source.parent))}"]
        for argument, other in source.names:
            args += ["--build-arg", f"{argument}={cluster_name(other)}"]
        if source.debian:
            args += ["--build-arg", f"BASE_IMAGE={base}"]
        args += [part for arg in source.args for part in ("--build-arg", arg)]
        storage.buildah(one.name, "bud", *args, str(context))
        partial = Path(scratch) / "image.tar"
        storage.buildah(f"{one.name}: archive", "push", one.ref, f"oci-archive:{partial}:{one.ref}")
        _mkdir(one.archive.parent)
        partial.rename(one.archive)
    storage.forget_others(one.name, one.ref)
    size = one.archive.stat().st_size / 1e6
    _say(f"{one.ref}: {size:.0f} MB, {time.monotonic() - began:.0f} s")


class Storage:
    """buildah with a storage of its own in the cache, so that the machine's images stay untouched.

    Only one process may use it at a time (`_lock`).
    """

    def __init__(self) -> None:
        self.driver = "overlay" if self._works("overlay") else "vfs"
        # What a killed build left behind.
        self.buildah("clean up", "rm", "--all")

    def args(self, driver: str) -> list[str]:
        storage = CACHE / f"storage-{driver}"
        return [
            "buildah",
            "--root",
            str(storage),
            "--runroot",
            str(storage / "run"),
            "--storage-driver",
            driver,
        ]

    def _works(self, driver: str) -> bool:
        _mkdir(CACHE)
        return subprocess.run([*self.args(driver), "info"], capture_output=True, check=False).returncode == 0

    def buildah(self, title: str, *args: str) -> str:
        """buildah's output; raises ImageError when it fails."""
        return _run(title, [*self.args(self.driver), *args])

    def has(self, ref: str) -> bool:
        command = [*self.args(self.driver), "inspect", "--type", "image", ref]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def have(self, one: Image) -> str:
        """Reference of a built image, in this storage; from its archive when another build has taken its place."""
        if not self.has(one.ref):
            self.buildah(one.name, "pull", f"oci-archive:{one.archive}")
        return one.ref

    def forget_others(self, title: str, newest: str) -> None:
        """Remove the earlier builds of an image; the newest is kept for its layers."""
        repository, _ = newest.rsplit(":", 1)
        listed = self.buildah(title, "images", "--format", "{{.Name}}:{{.Tag}}").split()
        earlier = [ref for ref in listed if ref.startswith(f"{repository}:") and ref != newest]
        if earlier:
            self.buildah(title, "rmi", *earlier)

    def base(self) -> str:
        """Name of the Python base image in this storage; makes it when it is not there (2 to 3 min)."""
        ref = f"localhost/kuscia-base:{base_tag()}"
        if self.has(ref):
            return ref
        began = time.monotonic()
        packages = ",".join((BASE / "packages.txt").read_text().split())
        container = self.buildah("base", "from", "scratch").split()[-1]
        mounted = self.buildah("base", "mount", container).split()[-1]
        # In a mount namespace of its own: what debootstrap mounts goes when it ends, however it ends.
        _run("base: debootstrap, 2 min or so",
             ["unshare", "--mount", str(BASE / "build.sh"), SUITE, packages, mounted])  # fmt: skip
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self.buildah("base", "umount", container)
        self.buildah("base", "config", "--env", f"PATH={path}", "--env", "LANG=C.UTF-8",
                     "--cmd", "python3", container)  # fmt: skip
        self.buildah("base: commit", "commit", "--rm", container, ref)
        self.forget_others("base", ref)
        _say(f"{ref}: {time.monotonic() - began:.0f} s")
        return ref


def _wheels(requirements: Path) -> Path:
    """Directory with the wheels of a lock file, downloaded once per content of that file."""
    key = hashlib.sha256(requirements.read_bytes() + "\0".join([PYTHON, *PLATFORMS]).encode())
    target = CACHE / "wheels" / f"{requirements.parent.name}-{key.hexdigest()[:12]}"
    if target.is_dir():
        return target
    platforms = [arg for platform in PLATFORMS for arg in ("--platform", platform)]
    with tempfile.TemporaryDirectory(prefix="wheels-", dir=_mkdir(CACHE / "tmp")) as scratch:
        _run(
            f"{requirements.parent.name}: downloading wheels",
            [*_pip(), "download", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:",
             "--python-version", PYTHON, "--implementation", "cp", *platforms,
             "--require-hashes", "--requirement", str(requirements), "--dest", f"{scratch}/wheels"],
        )  # fmt: skip
        _mkdir(target.parent)
        # A TemporaryDirectory is private; inside a build another user may read the wheels.
        Path(scratch, "wheels").chmod(0o755)
        Path(scratch, "wheels").rename(target)
    for path in _older(target.parent, requirements.parent.name):
        shutil.rmtree(path)
    return target


def _prune(newest: Image) -> None:
    """Delete the old archives of an image."""
    for path in _older(newest.archive.parent, newest.name, ".tar"):
        path.unlink()


def _older(directory: Path, name: str, suffix: str = "") -> list[Path]:
    """Those of `NAME-<12 hex digits>SUFFIX` that are older than KEEP_SECONDS, but for the KEEP newest."""
    mine = re.compile(rf"{re.escape(name)}-[0-9a-f]{{12}}{re.escape(suffix)}")
    ages = {path: time.time() - path.stat().st_mtime for path in directory.iterdir() if mine.fullmatch(path.name)}
    return [path for path in sorted(ages, key=lambda path: ages[path])[KEEP:] if ages[path] > KEEP_SECONDS]


# --- load, push, adopt ----------------------------------------------------------------------------


def load(cluster: Node, images: Sequence[Image]) -> None:
    """Import into a cluster the images that it lacks."""
    for one in images:
        cluster.import_image(one.archive, one.ref)


def push(images: Sequence[Image], prefix: str) -> dict[str, str]:
    """Push to `PREFIX/NAME:TAG` what the registry lacks; returns these references by image name.

    Credentials are those of `skopeo login`, `docker login` or `podman login`. A registry elsewhere that
    speaks plain HTTP has to be listed as insecure in /etc/containers/registries.conf.

    Raises:
        ImageError: the registry refused or was not reached.
    """
    refs = {}
    for one in images:
        ref = pushed_name(one, prefix)
        # As docker does: a registry on loopback may speak plain HTTP.
        loopback = re.match(r"(localhost|127\.[0-9.]+)(:\d+)?/", ref) is not None
        tls = f"tls-verify={str(not loopback).lower()}"
        look = ["skopeo", "inspect", f"--{tls}", f"docker://{ref}"]
        if subprocess.run(look, capture_output=True, check=False).returncode:
            copy = ["skopeo", "copy", f"--dest-{tls}", f"oci-archive:{one.archive}", f"docker://{ref}"]
            _run(f"pushing {ref}", copy)
        refs[one.name] = ref
    return refs


def adopt(cluster: Node | None, given: str, prefix: str = "") -> str:
    """Make a user's image available and return its complete reference.

    Args:
        cluster: the local cluster; None for a cluster of the user's own.
        given: `oci-archive:FILE`, `docker-archive:FILE` (skopeo's names of transports), or a name
            that a node can pull, with tag or digest.
        prefix: registry prefix to push an archive to, when `cluster` is None.

    Raises:
        ImageError: there is no such image, or no way to bring it to the cluster.
    """
    is_file = given.partition(":")[0] in TRANSPORTS
    if not is_file:
        _check_reference(given)
        if cluster is None or given in cluster.images():
            return given
    if is_file and cluster is None and not prefix:
        raise ImageError(f"image {given}: your own cluster needs IMAGE_PREFIX=registry/path to push to")
    adopted = _copy(given, given if is_file else f"docker://{given}", "" if is_file else given)
    if cluster is None:
        return push([adopted], prefix)["kuscia"]
    load(cluster, [adopted])
    return adopted.ref


def adopt_again(cluster: Node | None, given: str, prefix: str = "") -> str:
    """As `adopt`, under a second name: for tests that change to another image where there is but one.

    Its name ends in AGAIN.
    """
    source = given if given.partition(":")[0] in TRANSPORTS else f"docker://{given}"
    first = _copy(given, source, "")
    second = replace(first, ref=first.ref + AGAIN)
    if cluster is None:
        return push([second], prefix)["kuscia"]
    load(cluster, [second])
    return second.ref


def _copy(given: str, source: str, ref: str) -> Image:
    """An archive in the cache of what skopeo finds at `source`; `ref` "" = named after its digest."""
    _check_programs("skopeo")
    found = subprocess.run(["skopeo", "inspect", source], capture_output=True, text=True, check=False)
    if found.returncode:
        raise ImageError(
            f"image {given}: {found.stderr.strip()}\n"
            "Give a name that can be pulled from here, or oci-archive:FILE, or docker-archive:FILE."
        )
    tag = json.loads(found.stdout)["Digest"].removeprefix("sha256:")[:12]
    adopted = Image("kuscia", ref or f"{REGISTRY}/kuscia:{tag}", CACHE / "archives" / f"kuscia-{tag}.tar")
    with _lock():
        if not adopted.archive.exists():
            with tempfile.TemporaryDirectory(prefix="adopt-", dir=_mkdir(CACHE / "tmp")) as scratch:
                target = f"oci-archive:{scratch}/image.tar:{adopted.ref}"
                _run(f"copying {given}", ["skopeo", "copy", source, target])
                _mkdir(adopted.archive.parent)
                Path(scratch, "image.tar").rename(adopted.archive)
        _prune(adopted)
    return adopted


def _check_reference(given: str) -> None:
    name = given.rsplit("/", 1)[-1]
    if ":" not in name and "@" not in name:
        raise ImageError(
            f"image {given}: a tag or digest is missing. Examples: "
            "docker.io/secretflow/kuscia:1.1.0b0, oci-archive:kuscia.tar, docker-archive:kuscia.tar"
        )


# --- the machine ----------------------------------------------------------------------------------


def _check_machine() -> None:
    if os.geteuid() != 0:
        raise CannotRunHere("building images needs root (debootstrap and buildah's chroot isolation)")
    _check_programs("buildah", "skopeo", "debootstrap", "unshare")


def _check_programs(*programs: str) -> None:
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        raise CannotRunHere(f"missing: {', '.join(missing)}. Debian: apt-get install {' '.join(missing)}")


def _tool_binary(tool: str) -> Path:
    return toolchain.ensure([tool]) / tool


def _pip() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip3") or shutil.which("pip")
    if not found:
        raise CannotRunHere("missing: pip. Debian: apt-get install python3-pip")
    return [found]


def _run(title: str, argv: list[str]) -> str:
    """Run a program, saying every TICK seconds that it still does; returns its standard output."""
    began = time.monotonic()
    log = _mkdir(CACHE / "logs") / f"{re.sub(r'[^a-z0-9]+', '-', title.lower())[:60]}.log"
    with log.open("w+") as errors:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, text=True)
        while True:
            try:
                output, _ = process.communicate(timeout=TICK)
                break
            except subprocess.TimeoutExpired:
                _say(f"… {title}: {time.monotonic() - began:.0f} s (log: {log})")
            except BaseException:
                process.terminate()
                process.wait(timeout=30)
                raise
        errors.seek(0)
        words = errors.read() + output
    if process.returncode:
        last = "\n".join(words.splitlines()[-30:])
        raise ImageError(f"{title}: `{argv[0]}` ended with {process.returncode}; log: {log}\n{last}")
    return output


@contextmanager
def _lock() -> Iterator[None]:
    with (_mkdir(CACHE) / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another process builds images: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        for left in (CACHE / "tmp").glob("*-*"):
            shutil.rmtree(left)
        yield


def _mkdir(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _say(text: str) -> None:
    print(f"    {text}", file=sys.stderr, flush=True)
