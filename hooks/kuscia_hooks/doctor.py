"""`doctor`: looks at a release from outside, and says what is wrong with it and which command mends it."""

from collections.abc import Callable

from kuscia_hooks import causes, evidence
from kuscia_hooks.api import KusciaAPI
from kuscia_hooks.config import Doctor
from kuscia_hooks.kube import Kube
from kuscia_hooks.log import logger


def attempt(config: Doctor, kube: Kube, open_api: Callable[[], KusciaAPI]) -> int:
    """Look, judge, and print; returns the exit code: 0 nothing found, 1 found, 2 not everything could be looked at."""
    seen = evidence.collect(config, kube, open_api)
    findings = causes.judge(config, seen)
    for line in causes.describe(findings, config.domain_id, seen.unread):
        logger.info("%s", line)
    return 1 if findings else 2 if seen.unread else 0
