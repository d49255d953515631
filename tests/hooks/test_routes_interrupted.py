"""`routes` at each of its writes: killed, with a lost answer, or with another copy of it in between."""

import copy
import functools
import ssl
from typing import Any

import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.plan import Summary
from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.kuscia.concurrency import ConcurrencyLimit
from kuscia_hooks.kuscia.routes import RouteKey, same_route, wanted_routes
from kuscia_hooks.steps import routes
from tests.hooks.builders import APP_IMAGE, routes_config, run_step, secret_data
from tests.hooks.fakes.cluster import FakeCore
from tests.hooks.fakes.kuscia import Kuscia
from tests.hooks.interruptions import moments

pytestmark = pytest.mark.interruptions
LITES = ("alice", "bob", "carol")
BOTH = {"routes": True, "appImages": True}
Values = dict[str, Any]


def values(host: str = "one", tag: str = "1", lites: tuple[str, ...] = LITES, **fields: Any) -> Values:
    """Return values with the routes from alice and back."""
    ends = [pair for name in lites if name != "alice" for pair in (("alice", name), (name, "alice"))]
    return {
        "domains": {name: {"endpoint": f"https://{name}.{host}.example.com"} for name in LITES},
        "routes": [{"source": source, "destination": destination} for source, destination in ends],
        "appImages": {"psi": {**APP_IMAGE, "image": {"name": "engine", "tag": tag}}},
        **fields,
    }


ONE, TWO, FEWER = values(), values("two", tag="2"), values(lites=("alice", "bob"), appImages={})
CASES = {
    "first run": ([], ONE, ONE),
    "first run, then other values": ([], ONE, TWO),
    "first run, then fewer objects": ([], ONE, FEWER),
    "changed values": ([ONE], TWO, TWO),
    "changed values, then back": ([ONE], TWO, ONE),
    "prune": ([ONE], {**FEWER, "prune": BOTH}, FEWER),
    "prune, then the objects again": ([ONE], {**FEWER, "prune": BOTH}, ONE),
    "prune and change": ([ONE], {**values("two", lites=("alice", "bob"), appImages={}), "prune": BOTH}, TWO),
}


class Site:
    """A master and a cluster that can be put back to an earlier state."""

    def __init__(self, kube: Kube, core: FakeCore, kuscia: Kuscia, endpoint: str) -> None:
        self.kube, self._core, self.kuscia, self._endpoint = kube, core, kuscia, endpoint
        self._saved = self._state()

    def _state(self) -> Any:
        return copy.deepcopy((self._core.objects, self.kuscia.routes, self.kuscia.app_images))

    def save(self) -> None:
        self._saved = self._state()

    def restore(self) -> None:
        self._core.objects, self.kuscia.routes, self.kuscia.app_images = copy.deepcopy(self._saved)

    def attempt(self, given: Values, limit: int = 1) -> Summary:
        return run_step(
            routes.attempt, routes_config(self._endpoint, **given), self.kube, concurrency=ConcurrencyLimit(limit)
        )

    def converge(self, given: Values) -> Summary:
        """Attempt until it succeeds, as `core.waiting.run` does."""
        for _ in range(5):
            try:
                return self.attempt(given)
            except RetryableError:
                pass
        return self.attempt(given)

    def has(self, given: Values, foreign: tuple[str, ...] = ()) -> bool:
        """Return whether the routes and AppImages are those of the values; the names in `foreign` are not compared."""
        wanted = {key: body for key, body in wanted_routes(routes_config(**given)).items() if str(key) not in foreign}
        found = {RouteKey(*ends): route for ends, route in self.kuscia.routes.items() if "-".join(ends) not in foreign}
        images = {name: image["image"] for name, image in self.kuscia.app_images.items()}
        return (
            found.keys() == wanted.keys()
            and all(same_route(body, found[key]) for key, body in wanted.items())
            and images == {name: app["image"] for name, app in given["appImages"].items()}
        )


@pytest.fixture(autouse=True)
def quick_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read each key and the CA bundle once: they take most of the time of a short run."""
    monkeypatch.setattr(domain_key, "load_key", functools.cache(domain_key.load_key))
    monkeypatch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))


@pytest.fixture
def site(kube: Kube, core: FakeCore, kuscia: Kuscia, endpoint: str, key_pem: bytes) -> Site:
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    for name in LITES:
        kuscia.do_domain_create({"domain_id": name})
    return Site(kube, core, kuscia, endpoint)


@pytest.mark.parametrize("foreign", [False, True], ids=["", "foreign"])
@pytest.mark.parametrize("case", CASES)
def test_interrupted_run_leaves_no_trace(site: Site, case: str, foreign: bool) -> None:
    """The next run reaches its values, and one with `prune` leaves nothing else except what is foreign."""
    before, interrupted, final = CASES[case]
    names: tuple[str, ...] = ()
    kept: dict[Any, Any] = {}
    if foreign:
        names = ("alice-bob", "zoe-alice")
        other = {"host": "theirs", "ports": [{"name": "http", "protocol": "HTTP", "port": 1, "isTLS": False}]}
        for source, destination in (("alice", "bob"), ("zoe", "alice")):
            made = {**next(iter(wanted_routes(routes_config(**ONE)).values())), "endpoint": other}
            site.kuscia.domains.setdefault("zoe", {})
            site.kuscia.do_route_create({**made, "source": source, "destination": destination})
        kept = copy.deepcopy(site.kuscia.routes)
    for given in before:
        site.attempt(given)
    site.save()
    for moment in moments(site.restore, lambda: site.attempt(interrupted)):
        site.converge(final)
        pruned = {**final, "prune": BOTH}
        site.converge(pruned)
        assert site.has(final, names), moment
        assert {ends: site.kuscia.routes[ends] for ends in kept} == kept, moment
        site.kuscia.asked.clear()
        site.attempt(pruned)
        assert site.kuscia.paths(writes=True) == [], moment


@pytest.mark.parametrize("case", CASES)
def test_copy_with_other_values_in_between_leaves_no_orphan(site: Site, case: str) -> None:
    """Whatever the two copies leave is in the ledger: a run with `prune` reaches its values."""
    before, first, second = CASES[case]
    for given in before:
        site.attempt(given)
    site.save()
    for moment in moments(site.restore, lambda: site.attempt(first), meanwhile=lambda: site.converge(second)):
        pruned = {**FEWER, "prune": BOTH}
        site.converge(pruned)
        assert site.has(FEWER), moment
