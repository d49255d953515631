"""What each image is built from."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
BASE = HERE / "base"
SUITE = "bookworm"
PYTHON = "3.11"
# All platform tags that pip accepts for this Python on Debian 12 (glibc 2.36), x86-64.
PLATFORMS = [
    "linux_x86_64", "manylinux1_x86_64", "manylinux2010_x86_64", "manylinux2014_x86_64",
    *(f"manylinux_2_{minor}_x86_64" for minor in range(5, 37)),
]  # fmt: skip


@dataclass(frozen=True)
class Source:
    """What an image is built from.

    Args:
        context: directory with the Dockerfile.
        python: whether the image is built on the base image, with wheels of its requirements.txt.
        debian: whether the image is built on the base image, with Debian packages that its Dockerfile installs.
        tool: a tool of testbed/cluster/toolchain.py that is copied into the context.
        args: build arguments, each NAME=VALUE.
        dockerfile: replaces the Dockerfile of the context.
        parent: name of the image to build on, instead of the base image.
        names: build arguments whose values are the names of other images on the cluster.
    """

    context: Path
    python: bool = True
    debian: bool = False
    tool: str | None = None
    args: tuple[str, ...] = ()
    dockerfile: Path | None = None
    parent: str | None = None
    names: tuple[tuple[str, str], ...] = ()


DEMO_SOURCES = {
    "kuscia-hooks": Source(ROOT / "hooks"),
    "kuscia-sim": Source(ROOT / "testbed/kuscia-sim"),
    "psi-engine": Source(ROOT / "testbed/psi-engine"),
    "versitygw": Source(HERE / "versitygw", python=False, tool="versitygw"),
}
# Built only when a test asks for them.
TEST_SOURCES = {
    "mariadb": Source(HERE / "mariadb", python=False, debian=True),
    "postgres": Source(HERE / "postgres", python=False, debian=True),
    "nginx": Source(HERE / "nginx", python=False, debian=True),
    "prometheus": Source(HERE / "prometheus", python=False, debian=True),
    "registry": Source(HERE / "registry", python=False, debian=True),
    "tinyproxy": Source(HERE / "tinyproxy", python=False, debian=True),
    # Another Kuscia version, for upgrades.
    "kuscia-sim-next": Source(ROOT / "testbed/kuscia-sim", args=("KUSCIA_VERSION=v1.2.0",)),
    # A Kuscia that contains the engine, for RunP.
    "kuscia-sim-psi": Source(
        ROOT / "testbed/psi-engine",
        dockerfile=HERE / "kuscia-sim-psi/Dockerfile",
        parent="kuscia-sim",
        names=(("ENGINE_IMAGE", "psi-engine"),),
    ),
}
SOURCES = DEMO_SOURCES | TEST_SOURCES
