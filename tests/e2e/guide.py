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


def files(document: str) -> dict[str, str]:
    """Return the values files that a document shows: YAML blocks whose first line is a comment with their name."""
    blocks = re.findall(r"^ *```yaml\n(.*?)^ *```$", (ROOT / "docs" / document).read_text(), re.MULTILINE | re.DOTALL)
    named = [(re.match(r"# (\S+\.yaml)\n", block), block) for block in blocks]
    return {name[1]: block for name, block in named if name}


def run(kubectl: Kubectl, directory: Path, variables: dict[str, str], *blocks: str, timeout: float = 1000) -> str:
    """Run blocks in one shell, which exits at the first failure; return their output. bin/ is on the PATH.

    Args:
        directory: working directory; contains the chart as charts/kuscia.
    """
    (directory / "charts").mkdir(exist_ok=True)
    if not (directory / "charts/kuscia").exists():
        (directory / "charts/kuscia").symlink_to(CHART)
    env = kubectl.env | variables
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)],
        cwd=directory, env=env | {"PATH": f"{ROOT / 'bin'}:{env['PATH']}"}, timeout=timeout,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{variables}:\n{done.stdout}"
    return done.stdout
