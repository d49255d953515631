"""Queries of many objects that fail as a whole when one of the objects is missing."""

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from kuscia_hooks.kuscia.api_errors import Missing

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
PARALLEL = 8


def query_in_batches(keys: Sequence[K], size: int, ask: Callable[[Sequence[K]], dict[K, V]]) -> dict[K, V]:
    """Return the objects that exist, by key; a batch with a missing object is halved until only that one is left out.

    Args:
        size: number of keys in one request.
        ask: queries a batch. Raises Missing if one of its objects does not exist (Kuscia facts 7.4).
    """

    def existing(batch: Sequence[K]) -> dict[K, V]:
        try:
            return ask(batch)
        except Missing:
            if len(batch) == 1:
                return {}
        half = len(batch) // 2
        return existing(batch[:half]) | existing(batch[half:])

    batches = [keys[begin : begin + size] for begin in range(0, len(keys), size)]
    found: dict[K, V] = {}
    with ThreadPoolExecutor(PARALLEL) as pool:
        for part in pool.map(existing, batches):
            found |= part
    return found
