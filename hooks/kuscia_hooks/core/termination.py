"""The termination message of the container, which the kubelet copies into the status of the pod.

`doctor` reads it there: a step needs no permission to write it.
"""

import json
from pathlib import Path

from kuscia_hooks.core.errors import StepError
from kuscia_hooks.core.redaction import redact

LOG = Path("/dev/termination-log")
LIMIT = 4096
"""Bytes that the kubelet keeps of a termination message."""


def write(text: str) -> None:
    """Write the termination message; outside of a container, where the file does not exist, do nothing."""
    if LOG.exists():
        LOG.write_text(text)


def write_error(error: StepError) -> None:
    """Write an error as JSON: its ID, message and fix, redacted and at most 4096 bytes long."""
    message, fix = redact(error.message), redact(error.fix or error.see)
    while True:
        text = json.dumps({"error": error.id, "message": message, "fix": fix}, ensure_ascii=False)
        excess = len(text.encode()) - LIMIT
        if excess <= 0:
            break
        # A cut at the end of the longer text; one character is at least one byte of JSON.
        if len(message) >= len(fix):
            message = message[: max(0, len(message) - excess)]
        else:
            fix = fix[: max(0, len(fix) - excess)]
    write(text)
