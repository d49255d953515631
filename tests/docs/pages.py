"""The files of the repository, and its pages."""

import subprocess

from tests.chart.render import ROOT


def tracked(*patterns: str) -> list[str]:
    """Return the files of the repository, new ones included."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    files = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True).stdout.split()
    return [file for file in files if (ROOT / file).exists()]


PAGES = tracked("*.md")
