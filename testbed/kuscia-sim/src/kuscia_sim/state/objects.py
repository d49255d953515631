"""Reading and changing stored objects the way controllers do."""

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
    """A Kubernetes time (RFC 3339, UTC) as an aware datetime."""
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.UTC)


def format_time(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def age(text: str) -> float:
    """Seconds since the Kubernetes time `text`."""
    return (datetime.datetime.now(datetime.UTC) - parse_time(text)).total_seconds()


def is_partner(domain: Object) -> bool:
    """Whether this Domain is one of another master's."""
    return bool(domain["spec"].get("role") == "partner")


async def mutate(store: Store, kind: str, namespace: str, name: str, change: Callable[[Object], object]) -> Object:
    """Applies `change` to the newest version of an object, again when someone else was faster.

    Raises NotFound, Conflict after many tries, and what `change` raises.
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
    """Creates the object unless one of that name is there. Raises NotFound when the namespace is absent."""
    with contextlib.suppress(AlreadyExists):
        await store.create(kind, namespace, name, obj)


async def changes(store: Store, period: float, pause: float = 0.05) -> AsyncIterator[None]:
    """Yields at once, then after each change of the store and at the latest every `period` seconds.

    Changes within `pause` seconds of each other, or twice as long as the last round took, make one round.
    Errors of the store are logged, and tried again after a second.
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
            log.warning("", f"waiting for changes failed, trying again: {err}")
            await asyncio.sleep(1)
        await asyncio.sleep(min(pause, LONGEST_PAUSE))
