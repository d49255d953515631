"""Cleanups that run when SIGTERM stops a step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kuscia_hooks.core.log import logger

_cleanups: list[Callable[[], object]] = []


@contextmanager
def on_stop(cleanup: Callable[[], object]) -> Iterator[None]:
    """While the block runs, SIGTERM does `cleanup` before the process ends."""
    _cleanups.append(cleanup)
    try:
        yield
    finally:
        _cleanups.remove(cleanup)


def stop() -> None:
    """Do what running transfers ask for at a stop; a failure of one does not keep the process from ending."""
    for cleanup in reversed(_cleanups):
        try:
            cleanup()
        except Exception as error:
            logger.warning("not cleaned up: %s", error)
