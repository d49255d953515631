"""Queries that fail as a whole when one of the objects is missing."""

from collections.abc import Sequence
from itertools import permutations

import pytest

from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.inspect import kuscia_state
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import Missing
from kuscia_hooks.kuscia.batches import BATCH, query_in_batches
from tests.hooks.builders import master_release
from tests.hooks.fakes.kuscia import Kuscia


@pytest.mark.parametrize("missing", [set(), {0}, {99}, {100}, {249}, {3, 4, 130}, set(range(250))])
def test_finds_all_present_keys(missing: set[int]) -> None:
    def ask(batch: Sequence[int]) -> dict[int, str]:
        assert len(batch) <= BATCH
        for key in batch:
            if key in missing:
                raise Missing("path", 11404, "not found")
        return {key: str(key) for key in batch}

    found = query_in_batches(range(250), ask)
    assert found == {key: str(key) for key in range(250) if key not in missing}


def test_passes_other_errors_on() -> None:
    def ask(batch: Sequence[int]) -> dict[int, str]:
        raise RetryableError("kusciaapi-busy", "the message")

    with pytest.raises(RetryableError):
        query_in_batches([1], ask)


def test_asks_for_870_routes_of_which_two_are_missing_in_few_requests(kuscia: Kuscia, client: KusciaAPI) -> None:
    pairs = list(permutations([f"d{number:02}" for number in range(30)], 2))
    kuscia.routes = {pair: {} for pair in pairs if pair not in (("d00", "d05"), ("d29", "d28"))}
    states = kuscia_state.route_states(client, master_release(), pairs)
    assert [one.name for one in states if not one.ready] == ["d00-d05", "d29-d28"]
    assert len(kuscia.paths()) < 45


def test_asks_for_a_batch_of_domains_at_once(kuscia: Kuscia, client: KusciaAPI) -> None:
    names = [f"d{number:02}" for number in range(BATCH)]
    for name in names:
        kuscia.join(name)
    assert {row["status"] for row in kuscia_state.nodes(client, names)} == {"Ready"}
    assert kuscia.paths() == ["domain/batchQuery"]
