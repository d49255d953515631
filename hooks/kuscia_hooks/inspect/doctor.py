"""`doctor`: inspects a release and prints the causes of failure, each with the command that fixes it."""

from collections.abc import Callable

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Release
from kuscia_hooks.core.log import logger
from kuscia_hooks.inspect import diagnosis, reading
from kuscia_hooks.kuscia.api import KusciaAPI


def attempt(config: Release, kube: Kube, open_api: Callable[[], KusciaAPI]) -> int:
    """Inspect the release and print the findings.

    Args:
        open_api: returns KusciaAPI of the node; raises StepError if it cannot be used.

    Returns:
        The exit code: 0 nothing found, 1 causes found, 2 nothing found but not everything could be checked.
    """
    seen = reading.collect(config, kube, open_api)
    findings = diagnosis.diagnose(config, seen)
    for line in diagnosis.describe(findings, config.domain_id, seen.unread):
        logger.info("%s", line)
    return 1 if findings else 2 if seen.unread else 0
