"""Waiting for a state of the cluster."""

import time
from collections.abc import Callable

import pytest

RECONNECT_SECONDS = 300
"""Kuscia counts a stopped gateway as alive for three minutes (Kuscia facts 16.2); a lite needs up to four."""


def eventually(check: Callable[[], object], timeout: float, what: str, every: float = 2) -> None:
    """Wait until `check` returns a true value.

    Args:
        timeout: seconds; the failure shows the last result or exception of `check`.
        what: names the awaited state.
        every: seconds between two calls of `check`.
    """
    deadline = time.monotonic() + timeout
    last: object = None
    while time.monotonic() < deadline:
        try:
            last = check()
            if last:
                return
        except Exception as error:
            last = error
        time.sleep(every)
    pytest.fail(f"{what}: timed out after {timeout:.0f} s; last seen: {last}")
