"""The commands of a document, as a reader copies them."""

import re
import subprocess
from pathlib import Path

from testbed.cluster.kubectl import Kubectl
from testbed.demo.releases import CHART, ROOT


def commands(document: str, heading: str, language: str = "sh") -> list[str]:
    """Return the code blocks of one language below a heading of a document in docs/, in order."""
    sections = (ROOT / "docs" / document).read_text().split("\n## ")
    (section,) = [section for section in sections if section.startswith(f"{heading}\n")]
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert blocks, f"{document} has no {language} commands below {heading!r}"
    return blocks


def run(kubectl: Kubectl, directory: Path, variables: dict[str, str], *blocks: str, timeout: float = 1000) -> str:
    """Run blocks in one shell, which exits at the first failure; return their output.

    Args:
        directory: working directory; contains the chart as charts/kuscia.
    """
    (directory / "charts").mkdir(exist_ok=True)
    if not (directory / "charts/kuscia").exists():
        (directory / "charts/kuscia").symlink_to(CHART)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)],
        cwd=directory, env=kubectl.env | variables, timeout=timeout,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{variables}:\n{done.stdout}"
    return done.stdout
