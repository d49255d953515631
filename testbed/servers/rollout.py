"""Waiting for the Deployment of a server."""

import subprocess
import sys
import time

from testbed.cluster.kubectl import CommandError, Kubectl

READY_SECONDS = 300


def wait_ready(kubectl: Kubectl, title: str, deployment: str, namespace: str) -> None:
    """Wait until a Deployment is ready, with a line every ten seconds.

    Args:
        title: name of the server in messages.

    Raises:
        CommandError: it is not ready after READY_SECONDS; the message shows its pods and their log.
    """
    begin = time.monotonic()
    while True:
        try:
            kubectl.run("rollout", "status", f"deployment/{deployment}", "-n", namespace, "--timeout", "10s")
            return
        except (CommandError, subprocess.TimeoutExpired) as error:
            waited = time.monotonic() - begin
            if waited > READY_SECONDS:
                raise CommandError(
                    f"{title} is not ready after {waited:.0f} s: {error}\n{_look(kubectl, deployment, namespace)}"
                ) from error
            print(f"    … {title}: {waited:.0f} s (kubectl -n {namespace} get pods)", file=sys.stderr, flush=True)


def _look(kubectl: Kubectl, deployment: str, namespace: str) -> str:
    """Return the pods of the server with events and logs."""
    words = []
    for command in (["describe", "pods"], ["logs", f"deployment/{deployment}", "--tail", "20"]):
        try:
            words.append(kubectl.run(*command, "-n", namespace))
        except CommandError as error:
            words.append(str(error))
    return "\n".join(words)
