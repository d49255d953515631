"""Helpers with which controllers read and change stored objects."""

import asyncio
import contextlib
import datetime
import time
from collections.abc import AsyncIterator, Callable

from kuscia_sim.log import Log
from kuscia_sim.state.store import AlreadyExists, Conflict, Object, Store

ATTEMPTS = 20
LONGEST_PAUSE = 5.0

log = Log(__name__)


def parse_time(text: str) -> datetime.datetime:
    """Return a Kubernetes time (RFC 3339, UTC) as an aware datetime."""
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.UTC)


def format_time(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def age(text: str) -> float:
    """Return the seconds since the Kubernetes time `text`."""
    return (datetime.datetime.now(datetime.UTC) - parse_time(text)).total_seconds()


def is_partner(domain: Object) -> bool:
    """Tell whether this Domain belongs to another master."""
    return bool(domain["spec"].get("role") == "partner")


async def mutate(store: Store, kind: str, namespace: str, name: str, change: Callable[[Object], object]) -> Object:
    """Apply `change` to the newest version of an object; retry after a conflict.

    Raises:
        NotFound: the object does not exist.
        Conflict: too many tries failed.
    """
    for attempt in range(ATTEMPTS):
        current = await store.get(kind, namespace, name)
        change(current)
        try:
            return await store.update(kind, namespace, name, current)
        except Conflict:
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


async def ensure(store: Store, kind: str, namespace: str, name: str, obj: Object) -> None:
    """Create the object unless it exists.

    Raises:
        NotFound: the namespace does not exist.
    """
    with contextlib.suppress(AlreadyExists):
        await store.create(kind, namespace, name, obj)


async def changes(store: Store, period: float, pause: float = 0.05) -> AsyncIterator[None]:
    """Yield at once, then after each change of the store, and at least every `period` seconds.

    Changes within `pause` seconds, or within twice the length of the last round, count as one. Errors of the store are
    logged and retried after a second.
    """
    revision = 0
    shortest = pause
    while True:
        begun = time.monotonic()
        yield
        pause = max(shortest, 2 * (time.monotonic() - begun))
        try:
            revision = await store.wait_change(revision, period)
        except Exception as err:
            log.warning("", f"waiting for changes failed, retrying: {err}")
            await asyncio.sleep(1)
        await asyncio.sleep(min(pause, LONGEST_PAUSE))
