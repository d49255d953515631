"""`doctor`: inspects a release and prints the causes of failure, each with its fix."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config.release import Release
from kuscia_hooks.core.errors import PermanentError, StepError
from kuscia_hooks.core.log import logger
from kuscia_hooks.inspect import bundle, diagnosis, output, reading, status
from kuscia_hooks.inspect.finding import Finding
from kuscia_hooks.inspect.snapshot import Snapshot
from kuscia_hooks.kuscia.api import KusciaAPI

STANDARD_OUTPUT = "-"
SCHEMA = 1
"""Version of the JSON output; it changes when a field is removed or gets another meaning."""


def attempt(
    config: Release, kube: Kube, open_api: Callable[[], KusciaAPI], as_json: bool = False, bundle_file: str = ""
) -> int:
    """Inspect the release, print the findings, and save the bundle.

    Args:
        open_api: returns KusciaAPI of the node; raises StepError if it cannot be used.
        bundle_file: path of the bundle; "-" prints it as text, "" means none.

    Returns:
        The exit code: 0 nothing found, 1 causes found, 2 nothing found but not everything could be checked.

    Raises:
        PermanentError: `bundle-not-saved`.
    """
    seen = reading.collect(config, kube, open_api)
    findings = diagnosis.diagnose(config, seen)
    result = as_object(config, findings, seen)
    lines = [output.as_json(result)] if as_json else diagnosis.describe(findings, config.domain_id, seen.unread)
    for line in lines:
        logger.info("%s", line)
    if bundle_file:
        saved = _save(bundle_file, _bundle(config, kube, open_api, seen, result))
        if saved and not as_json:
            logger.info("saved %s", saved)
    return 1 if findings else 2 if seen.unread else 0


def as_object(config: Release, findings: list[Finding], seen: Snapshot) -> dict[str, Any]:
    """Return the result for a program; docs/operations.md describes its fields."""
    return {
        "schema": SCHEMA,
        "domain": config.domain_id,
        "mode": config.mode,
        "release": config.release,
        "namespace": config.namespace,
        "findings": [asdict(finding) for finding in findings],
        "notChecked": list(seen.unread),
    }


def _bundle(
    config: Release, kube: Kube, open_api: Callable[[], KusciaAPI], seen: Snapshot, result: dict[str, Any]
) -> bytes:
    try:
        configuration = kube.configmap(config.namespace, f"{config.fullname}-config") or {}
    except StepError as error:
        configuration = {"unread.txt": str(error)}
    found = status.collect(config, kube, open_api)
    return bundle.archive(bundle.files(config, seen, result, found, configuration))


def _save(path: str, data: bytes) -> str:
    """Save the bundle, or print it, and return the name of the file; "" if it was printed."""
    if path == STANDARD_OUTPUT:
        # Masking would change the encoded archive, whose content is masked.
        sys.stdout.write(f"{bundle.as_lines(data)}\n")
        return ""
    try:
        file = Path(path)
        file.touch(mode=0o600)
        file.write_bytes(data)
    except OSError as error:
        raise PermanentError("bundle-not-saved", f"cannot save {path}: {error.strerror}") from error
    return path
