"""buildah with a private storage, and the base image in it."""

import subprocess
import time
from pathlib import Path

from testbed.images.cache import CACHE, make_directory
from testbed.images.process import run, say
from testbed.images.sources import BASE, SUITE
from testbed.images.tags import Image, base_tag

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Storage:
    """buildah with a storage in the cache, so that the machine's own images stay untouched.

    Only one process may use it at a time (`cache.lock`).
    """

    def __init__(self) -> None:
        self.driver = "overlay" if self._works("overlay") else "vfs"
        self.buildah("clean up", "rm", "--all")  # working containers of a killed build

    def buildah(self, title: str, *args: str) -> str:
        """Run buildah and return its standard output.

        Raises:
            ImageError: buildah failed.
        """
        return run(title, [*self._command(self.driver), *args], make_directory("logs"))

    def build(self, title: str, ref: str, context: Path, *options: str) -> None:
        """Build an image in this storage from a directory with a Dockerfile; builds have no network.

        Raises:
            ImageError: the build failed.
        """
        self.buildah(title, "bud", "--isolation", "chroot", "--tag", ref, *options, str(context))

    def write(self, title: str, ref: str, archive: Path, name: str) -> None:
        """Write an image of this storage to an OCI archive, under its complete name there."""
        self.buildah(f"{title}: archive", "push", ref, f"oci-archive:{archive}:{name}")

    def contains(self, ref: str) -> bool:
        """Return whether the storage contains an image."""
        command = [*self._command(self.driver), "inspect", "--type", "image", ref]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def pull(self, built: Image) -> str:
        """Return the reference of a built image in this storage; import its archive if necessary."""
        if not self.contains(built.ref):
            self.buildah(built.name, "pull", f"oci-archive:{built.archive}")
        return built.ref

    def remove_earlier(self, title: str, newest: str) -> None:
        """Remove earlier builds of an image; the newest is kept for its layers."""
        repository, _ = newest.rsplit(":", 1)
        listed = self.buildah(title, "images", "--format", "{{.Name}}:{{.Tag}}").split()
        earlier = [ref for ref in listed if ref.startswith(f"{repository}:") and ref != newest]
        if earlier:
            self.buildah(title, "rmi", *earlier)

    def base(self) -> str:
        """Return the name of the base image in this storage; create it if necessary (2 to 3 min)."""
        ref = f"localhost/kuscia-base:{base_tag()}"
        if self.contains(ref):
            return ref
        began = time.monotonic()
        packages = ",".join((BASE / "packages.txt").read_text().split())
        container = self.buildah("base", "from", "scratch").split()[-1]
        mounted = self.buildah("base", "mount", container).split()[-1]
        # In a mount namespace, so that the mounts of debootstrap end with it in any case.
        debootstrap = ["unshare", "--mount", str(BASE / "build.sh"), SUITE, packages, mounted]
        run("base: debootstrap, about 2 min", debootstrap, make_directory("logs"))
        self.buildah("base", "umount", container)
        self.buildah("base", "config", "--env", f"PATH={PATH}", "--env", "LANG=C.UTF-8",
                     "--cmd", "python3", container)  # fmt: skip
        self.buildah("base: commit", "commit", "--rm", container, ref)
        self.remove_earlier("base", ref)
        say(f"{ref}: {time.monotonic() - began:.0f} s")
        return ref

    def _command(self, driver: str) -> list[str]:
        storage = CACHE / f"storage-{driver}"
        return ["buildah", "--root", str(storage), "--runroot", str(storage / "run"), "--storage-driver", driver]

    def _works(self, driver: str) -> bool:
        make_directory()
        return subprocess.run([*self._command(driver), "info"], capture_output=True, check=False).returncode == 0
