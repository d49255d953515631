"""Steps limit their queries and their changes separately: a master answers queries faster than changes."""

from collections.abc import Callable
from typing import Any

import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.kuscia.concurrency import Call, ConcurrencyLimit
from kuscia_hooks.steps import register, routes
from tests.hooks.builders import context, register_config, routes_config
from tests.hooks.fakes.kuscia import Kuscia


class CountedLimit(ConcurrencyLimit):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def begin(self) -> Call:
        self.calls += 1
        return super().begin()


STEPS: dict[str, tuple[Any, Callable[[str], Any]]] = {
    "register": (register, register_config),
    "routes": (routes, routes_config),
}


pytestmark = pytest.mark.usefixtures("two_domains")


@pytest.mark.parametrize("step", STEPS)
def test_plan_uses_the_limit_of_queries_alone(kube: Kube, endpoint: str, step: str) -> None:
    module, config = STEPS[step]
    changes, reads = CountedLimit(), CountedLimit()
    module.attempt(config(endpoint), context(kube, dry_run=True, concurrency=changes, reads=reads))
    assert changes.calls == 0
    assert reads.calls > 0


def test_changes_use_their_own_limit(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    changes = CountedLimit()
    routes.attempt(routes_config(endpoint), context(kube, concurrency=changes))
    assert changes.calls == len(kuscia.paths(writes=True)) == 3
