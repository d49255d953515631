"""What `make demo` is going to install, build and use: printed before it starts.

Run by the machine's python3, before the Python environment exists: standard library only.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.cluster import toolchain
from testbed.cluster.names import STATE_ROOT, cache_root
from testbed.images import tags
from testbed.images.sources import DEMO_SOURCES, ROOT

PACKAGES = ROOT / "testbed/cluster/packages.sh"
LOCAL_TOOLS = (*toolchain.CLUSTER_TOOLS, "helm", "versitygw")
OWN_CLUSTER_TOOLS = ("versitygw",)


@dataclass(frozen=True)
class Task:
    """One thing to do. Minutes on 2 cores and GB of disk were measured on Debian 12 with empty caches."""

    text: str
    minutes: float
    gigabytes: float = 0.0


def tasks(cluster: str, *, packages: Sequence[str], venv: Path, tools: Sequence[toolchain.Tool],
          images: Sequence[str]) -> list[Task]:  # fmt: skip
    """List what the demo is going to do.

    Args:
        cluster: name of the local cluster, or `current`.
        packages: missing Debian packages.
        venv: directory of the Python environment.
        tools: tools that are not built.
        images: images that are not built.
    """
    found = []
    if packages:
        found.append(Task(f"install Debian packages (as root): {' '.join(packages)}", 2, 0.5))
    if not (venv / ".done").exists():
        found.append(Task(f"create a Python environment: {venv}", 2, 1))
    if tools:
        names = ", ".join(tool.name for tool in tools)
        minutes = sum(tool.minutes for tool in tools)
        # Includes the caches of Go.
        found.append(Task(f"build from source: {names}", minutes, 0.4 * minutes))
    if images:
        found.append(Task(f"build images: {', '.join(images)}", 1.5 * len(images), 0.5 * len(images)))
    if cluster == "current":
        found.append(Task("push the images, and use the current context of your kubeconfig", 1))
    else:
        found.append(Task(f"run Kubernetes in {STATE_ROOT / cluster}", 1, 1.5))
    found.append(Task("install master, alice and bob; run the PSI job", 3))
    return found


def text(found: Sequence[Task], free: float) -> str:
    """Return the announcement.

    Args:
        free: free disk space in GB.
    """
    lines = ["make demo is going to:", *(f"  - {task.text}" for task in found)]
    minutes, gigabytes = (sum(getattr(task, name) for task in found) for name in ("minutes", "gigabytes"))
    lines.append(f"It takes about {minutes:.0f} min on 2 cores and {gigabytes:.0f} GB of disk ({free:.0f} GB free).")
    lines.append(f"`make demo-down` removes all of it except the packages and {cache_root()}.")
    return "\n".join(lines)


def _missing_packages(cluster: str) -> list[str]:
    arguments = ["--list", *(["--own-cluster"] if cluster == "current" else [])]
    return subprocess.run([str(PACKAGES), *arguments], capture_output=True, text=True, check=True).stdout.split()


def _missing_images(tools: Sequence[toolchain.Tool], kuscia_image: str) -> list[str]:
    unbuilt = {tool.name for tool in tools}
    return [
        name
        for name, source in DEMO_SOURCES.items()
        if not (name == "kuscia-sim" and kuscia_image)
        and (source.tool in unbuilt or not tags.image(name).archive.exists())
    ]


def main() -> None:
    """Print the announcement for CLUSTER and KUSCIA_IMAGE; the argument is the directory of the Python environment."""
    cluster = os.environ.get("CLUSTER", "kuscia")
    tools = toolchain.missing(OWN_CLUSTER_TOOLS if cluster == "current" else LOCAL_TOOLS)
    found = tasks(
        cluster,
        packages=_missing_packages(cluster),
        venv=Path(sys.argv[1]),
        tools=tools,
        images=_missing_images(tools, os.environ.get("KUSCIA_IMAGE", "")),
    )
    existing = next(path for path in (cache_root(), *cache_root().parents) if path.exists())
    print(text(found, shutil.disk_usage(existing).free / 1e9), flush=True)


if __name__ == "__main__":
    main()
