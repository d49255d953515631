"""Push images to a registry, for a cluster that does not run on this machine."""

import re
import subprocess
from collections.abc import Sequence

from testbed.images.cache import make_directory
from testbed.images.process import run
from testbed.images.tags import Image


def push(images: Sequence[Image], prefix: str) -> dict[str, str]:
    """Push to `PREFIX/NAME:TAG` the images that the registry does not have; return these references by image name.

    Credentials are those of `skopeo login`, `docker login` or `podman login`. A registry that uses plain
    HTTP must be listed as insecure in /etc/containers/registries.conf, except on a loopback address.

    Raises:
        ImageError: the registry rejected the image or could not be reached.
    """
    refs = {}
    for one in images:
        ref = one.pushed_to(prefix)
        # Like docker: a registry on a loopback address may use plain HTTP.
        loopback = re.match(r"(localhost|127\.[0-9.]+)(:\d+)?/", ref) is not None
        tls = f"tls-verify={str(not loopback).lower()}"
        inspect = ["skopeo", "inspect", f"--{tls}", f"docker://{ref}"]
        if subprocess.run(inspect, capture_output=True, check=False).returncode:
            copy = ["skopeo", "copy", f"--dest-{tls}", f"oci-archive:{one.archive}", f"docker://{ref}"]
            run(f"pushing {ref}", copy, make_directory("logs"))
        refs[one.name] = ref
    return refs
