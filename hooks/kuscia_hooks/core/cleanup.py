"""Cleanups that run when SIGTERM stops a step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kuscia_hooks.core.log import logger

_cleanups: list[Callable[[], object]] = []


@contextmanager
def on_stop(cleanup: Callable[[], object]) -> Iterator[None]:
    """Run `cleanup` if SIGTERM stops the process while the block runs."""
    _cleanups.append(cleanup)
    try:
        yield
    finally:
        _cleanups.remove(cleanup)


def stop() -> None:
    """Run the cleanups of all running transfers; one that fails does not prevent the process from exiting."""
    for cleanup in reversed(_cleanups):
        try:
            cleanup()
        except Exception as error:
            logger.warning("cleanup failed: %s", error)
