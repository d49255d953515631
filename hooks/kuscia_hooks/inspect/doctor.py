"""`doctor`: looks at a release from outside, and says what is wrong with it and which command mends it."""

from collections.abc import Callable

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Release
from kuscia_hooks.core.log import logger
from kuscia_hooks.inspect import diagnosis, snapshot
from kuscia_hooks.kuscia.api import KusciaAPI


def attempt(config: Release, kube: Kube, open_api: Callable[[], KusciaAPI]) -> int:
    """Look, judge, and print; returns the exit code: 0 nothing found, 1 found, 2 not everything could be looked at."""
    seen = snapshot.collect(config, kube, open_api)
    findings = diagnosis.judge(config, seen)
    for line in diagnosis.describe(findings, config.domain_id, seen.unread):
        logger.info("%s", line)
    return 1 if findings else 2 if seen.unread else 0
