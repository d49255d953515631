"""The software bill of materials of the image of the steps: the Python packages of its lock file, as CycloneDX."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from release.versions import ROOT, Mismatch

LOCK = Path("hooks/requirements.txt")
PROJECT = Path("hooks/pyproject.toml")


def write(target: Path, root: Path = ROOT) -> None:
    """Write the bill of materials. Its bytes depend on the lock file alone.

    Raises:
        subprocess.CalledProcessError: cyclonedx-py failed, or its result does not match the schema of CycloneDX.
    """
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", str(LOCK), "--pyproject", str(PROJECT)]
    command += ["--output-file", str(target.resolve()), "--output-reproducible", "--validate"]
    subprocess.run(command, cwd=root, check=True)


def mismatches(content: dict[str, Any], root: Path = ROOT) -> list[Mismatch]:
    """Return the packages of the lock file that a bill of materials does not have with version and hashes."""
    locked = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (root / LOCK).read_text(), re.MULTILINE))
    listed = {
        item["name"]: item["version"]
        for item in content["components"]
        if any(reference.get("hashes") for reference in item.get("externalReferences", []))
    }
    return [
        Mismatch(str(LOCK), f"{name} {listed.get(name, 'not listed')}", f"{name} {locked.get(name, 'not listed')}")
        for name in sorted(locked.keys() | listed.keys())
        if locked.get(name) != listed.get(name)
    ]


def read(path: Path) -> dict[str, Any]:
    """Return the content of a bill of materials."""
    content: dict[str, Any] = json.loads(path.read_text())
    return content
