"""The commands on the last screen of `make demo`. They work as printed in a plain shell, in any directory."""

import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from testbed.cluster import toolchain
from testbed.demo.releases import ALICE, MASTER, ROOT

PLUGIN = ROOT / "bin/kubectl-kuscia"


@dataclass(frozen=True)
class Screen:
    """The commands of one demo.

    Args:
        cluster: name of the local cluster, or `current`.
        prefix: IMAGE_PREFIX of the demo.
        kubeconfig: of the local cluster; None for `current`.
    """

    cluster: str
    prefix: str
    kubeconfig: Path | None

    def setup(self) -> list[str]:
        """Return what a shell needs once, before `look`."""
        lines = []
        tools = toolchain.bin_dir()
        if not all(_on_path(program, tools) for program in ("kubectl", "helm")):
            lines.append(f"export PATH={shlex.quote(str(tools))}:$PATH")
        if self.kubeconfig:
            lines.append(f"export KUBECONFIG={shlex.quote(str(self.kubeconfig))}")
        return lines

    def look(self) -> list[str]:
        """Return the commands that show the deployment."""
        plugin = shlex.quote(str(PLUGIN))
        return [
            "kubectl get pods -A",
            f"kubectl logs -n {MASTER.namespace} deploy/{MASTER.fullname} --tail=50",
            "helm list -A",
            f"helm get values {ALICE.name} -n {ALICE.namespace}",
            f"helm test {MASTER.name} -n {MASTER.namespace} --logs --timeout 15m  # runs the PSI job again",
            f"{plugin} status -n {MASTER.namespace}",
            f"{plugin} doctor -n {ALICE.namespace}",
            f"{plugin} logs -n {ALICE.namespace}  # of the engine of the last job",
        ]

    def stop(self) -> str:
        """Return the command that removes the demo."""
        variables = [f"CLUSTER={self.cluster}"] if self.cluster != "kuscia" else []
        if self.prefix:
            variables.append(f"IMAGE_PREFIX={shlex.quote(self.prefix)}")
        return " ".join(["make", "-C", shlex.quote(str(ROOT)), "demo-down", *variables])

    def text(self) -> str:
        """Return the commands under their headings."""
        return "\n".join(
            [
                "Look around",
                *(f"  {line}" for line in (*self.setup(), *self.look())),
                "Stop",
                f"  {self.stop()}",
            ]
        )


def _on_path(program: str, ignored: Path) -> bool:
    """Return whether a user's shell finds a program, whose PATH does not contain `ignored`."""
    directories = [path for path in os.environ["PATH"].split(os.pathsep) if path and Path(path) != ignored]
    return shutil.which(program, path=os.pathsep.join(directories)) is not None
