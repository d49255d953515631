"""Queries of many objects that fail as a whole when one of the objects is missing."""

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from kuscia_hooks.kuscia.api_errors import Missing
from kuscia_hooks.kuscia.concurrency import ConcurrencyLimit, each

BATCH = 50
"""Objects in one query. A busy master takes 10 to 25 ms for each, and answers several queries at a time (Kuscia facts
16.3)."""
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def in_batches(keys: Sequence[K]) -> list[Sequence[K]]:
    """Return the keys, `BATCH` at a time."""
    return [keys[begin : begin + BATCH] for begin in range(0, len(keys), BATCH)]


def query_in_batches(
    keys: Sequence[K],
    ask: Callable[[Sequence[K]], dict[K, V]],
    concurrency: ConcurrencyLimit | None = None,
) -> dict[K, V]:
    """Return the objects that exist, by key; a batch with a missing object is halved until only that one is left out.

    Args:
        ask: queries a batch. Raises Missing if one of its objects does not exist (Kuscia facts 7.4).
        concurrency: limit of parallel requests.

    Raises:
        StepError: a query failed for another reason.
    """
    concurrency = concurrency or ConcurrencyLimit()
    found: dict[K, V] = {}
    batches = in_batches(keys)
    while batches:
        halves: list[Sequence[K]] = []

        def query(batch: Sequence[K], halves: list[Sequence[K]] = halves) -> None:
            try:
                answer = ask(batch)
            except Missing:
                half = len(batch) // 2
                halves.extend(part for part in (batch[:half], batch[half:]) if len(batch) > 1)
            else:
                found.update(answer)

        failed = each(batches, query, concurrency)
        if failed:
            raise failed[0][1]
        batches = halves
    return found
