"""What the commands of a release share: their options, where it is published, and the time of its files."""

import os
import subprocess
from pathlib import Path

import click

from release.chart import Home
from release.versions import ROOT

OUTPUT = click.option(
    "--output", type=click.Path(path_type=Path), default=ROOT / "build/release", help="Directory to write to."
)
OWNER = click.option("--owner", envvar="OWNER", required=True, help="Owner of the registry namespace ghcr.io/OWNER.")


def home(owner: str, repository: str | None = None) -> Home:
    """Return where a release is published; the repository is by default that of the owner on GitHub."""
    return Home(owner, repository or f"https://github.com/{owner}/kuscia-chart")


def epoch() -> int:
    """Return SOURCE_DATE_EPOCH, or else the time of the last commit."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    command = ["git", "log", "-1", "--format=%ct"]
    return int(given or subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
