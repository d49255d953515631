"""`kubectl kuscia` as a user calls it, with bin/ on the PATH."""

import os
import subprocess
from dataclasses import dataclass

from testbed.cluster.kubectl import Kubectl
from testbed.demo.releases import ROOT


@dataclass(frozen=True)
class Said:
    """Exit code and output of a run."""

    code: int
    text: str
    errors: str


def begin(kubectl: Kubectl, *args: str) -> subprocess.Popen[str]:
    """Start `kubectl kuscia ARGS`."""
    env = kubectl.env | {"PATH": f"{ROOT / 'bin'}{os.pathsep}{kubectl.env['PATH']}"}
    command = ["kubectl", "kuscia", *args]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str], timeout: float = 240) -> Said:
    """Wait for a started command."""
    text, errors = process.communicate(timeout=timeout)
    return Said(process.returncode, text, errors)


def kuscia(kubectl: Kubectl, *args: str) -> Said:
    """Run `kubectl kuscia ARGS`."""
    return end(begin(kubectl, *args))
