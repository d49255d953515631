"""Retry of transient errors."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from psi_engine import EngineError

LOG = logging.getLogger("psi_engine")
T = TypeVar("T")


class Transient(Exception):
    """A temporary error."""


def until_deadline(what: str, call: Callable[[], T], seconds: float = 60, pause: float = 1) -> T:
    """Return the result of `call`; retry while it raises Transient.

    Raises:
        EngineError: it still failed after `seconds`; with what was seen last.
    """
    begin = time.monotonic()
    reported = begin - 10
    while True:
        try:
            return call()
        except Transient as error:
            now = time.monotonic()
            if now - begin > seconds:
                raise EngineError(f"{what}: no success in {seconds:.0f} s; last seen: {error}") from error
            if now - reported >= 10:
                LOG.info("%s: trying again for up to %.0f s: %s", what, seconds - (now - begin), error)
                reported = now
            time.sleep(pause)
