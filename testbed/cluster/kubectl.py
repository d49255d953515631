"""kubectl and helm against one cluster, as a user would call them."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class CommandError(RuntimeError):
    """kubectl or helm failed. The message contains its arguments and its output."""


class Kubectl:
    """kubectl and helm with one kubeconfig.

    Args:
        kubeconfig: the file; None means the user's own, current context.
    """

    def __init__(self, kubeconfig: Path | None) -> None:
        self.kubeconfig = kubeconfig
        self.env = dict(os.environ) | ({"KUBECONFIG": str(kubeconfig)} if kubeconfig else {})

    def run(self, *args: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Run kubectl; return its standard output.

        Raises:
            CommandError: kubectl exited non-zero.
            subprocess.TimeoutExpired: it took longer than `timeout` seconds.
        """
        return self._call("kubectl", *args, stdin=stdin, timeout=timeout)

    def helm(self, *args: str, timeout: float = 1200, program: str = "helm") -> str:
        """Run helm, or `helm3`; return its standard output. Raises as `run` does."""
        return self._call(program, *args, timeout=timeout)

    def get(self, *args: str) -> Any:
        """Return the parsed JSON of `kubectl get ARGS -o json`."""
        return json.loads(self.run("get", *args, "-o", "json"))

    def exists(self, *args: str) -> bool:
        """Return whether `kubectl get ARGS` finds an object."""
        return bool(self.run("get", *args, "--ignore-not-found", "-o", "name").strip())

    def apply(self, manifest: str) -> str:
        """Apply a manifest with server-side apply."""
        return self.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)

    def ensure_namespace(self, name: str) -> None:
        if not self.exists("namespace", name):
            self.run("create", "namespace", name)

    @contextmanager
    def port_forward(self, namespace: str, target: str, port: int) -> Iterator[int]:
        """Forward a loopback port to `port` of `target`, such as `service/kuscia-master`; yield it."""
        process = subprocess.Popen(
            ["kubectl", "port-forward", "-n", namespace, target, f":{port}"],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            line = process.stdout.readline()
            if "->" not in line:
                raise CommandError(f"kubectl port-forward -n {namespace} {target}: {process.stderr.read().strip()}")
            yield int(line.split("->")[0].rsplit(":", 1)[1])
        finally:
            process.terminate()
            process.wait(timeout=10)

    def _call(self, *argv: str, stdin: str | None = None, timeout: float) -> str:
        done = subprocess.run(
            argv, env=self.env, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode != 0:
            raise CommandError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}".strip())
        return done.stdout
