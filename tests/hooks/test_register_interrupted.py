"""`register`, interrupted at each of its writes and run again, also with different values."""

import contextlib
import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.plan import Summary
from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.kuscia.concurrency import ConcurrencyLimit
from kuscia_hooks.steps import register, routes
from tests.hooks.builders import certificate, encoded, register_config, routes_config, run_step, secret_data
from tests.hooks.fakes.cluster import FakeCore
from tests.hooks.fakes.kuscia import Kuscia
from tests.hooks.interruptions import Moment, moments

pytestmark = pytest.mark.interruptions
Values = dict[str, dict[str, Any]]
ALICE = {"alice": {"tokenSecret": "tok-alice"}}
BOB = {"bob": {"tokenSecret": "tok-bob"}}
CAROL = {"carol": {"tokenSecret": "tok-carol"}}
ALICE_BY_CERT = {"alice": {"cert": True}}
BOB_BY_CERT = {"bob": {"cert": True}}
"""The value of `cert` is replaced with a certificate of the domain."""


@dataclass
class World:
    """The state of a cluster and its master, and a way to run the step on it."""

    core: FakeCore
    kuscia: Kuscia
    endpoint: str
    key_pem: bytes
    other_key_pem: bytes

    def start(self) -> None:
        """Begin with an empty master that has a domain of another client."""
        self.core.objects.clear()
        self.core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": self.key_pem}))
        self.core.put("services", "ns", "kuscia-master")
        self.core.put("secrets", "ns", "tok-theirs", data=secret_data(token="theirs"))
        self.kuscia.domains.clear()
        self.kuscia.routes.clear()
        self.kuscia.do_domain_create({"domain_id": "theirs"})

    def attempt(self, values: Values, prune: bool = False) -> Summary:
        """Make one attempt, request after request, so that its writes have a fixed order."""
        found = register_config(self.endpoint, **({name: self.fields(name, values[name]) for name in values} or ALICE))
        listed = {name: found.domains[name] for name in values}
        settings = found.model_copy(update={"domains": listed, "prune": prune})
        return run_step(register.attempt, settings, Kube(self.core), concurrency=ConcurrencyLimit(1))

    def fields(self, name: str, fields: dict[str, Any]) -> dict[str, Any]:
        return fields | ({"cert": certificate(self.other_key_pem, name)} if "cert" in fields else {})

    def finish(self, values: Values, prune: bool = False) -> None:
        """Retry until an attempt succeeds."""
        for _ in range(4):
            with contextlib.suppress(RetryableError):
                self.attempt(values, prune)
                return
        raise AssertionError("did not succeed")

    def save(self) -> Any:
        return copy.deepcopy((self.core.objects, self.kuscia.domains, self.kuscia.routes))

    def restore(self, saved: Any) -> None:
        self.core.objects, self.kuscia.domains, self.kuscia.routes = copy.deepcopy(saved)

    def check(self, values: Values, moment: Moment) -> None:
        """Check that the domains of the values exist with their keys, and their Secrets with their tokens."""
        for name, admission in values.items():
            domain = self.kuscia.domains[name]
            if "cert" in admission:
                assert domain["cert"] == encoded(certificate(self.other_key_pem, name)), moment
            elif not domain["cert"]:
                token = domain["deploy_token_statuses"][0]["token"]
                assert self.core.data("secrets", "ns", admission["tokenSecret"]) == secret_data(token=token), moment
        again = self.attempt(values)
        assert (again.created, again.updated, again.deleted, again.foreign) == (0, 0, 0, 0), moment

    def check_empty(self, moment: Moment) -> None:
        """Check that the release knows all that it created: it can delete it, and nothing else."""
        self.finish({}, prune=True)
        assert set(self.kuscia.domains) == {"theirs"}, moment
        assert not self.kuscia.routes, moment
        secrets = {name for kind, _, name in self.core.objects if kind == "secrets"}
        assert secrets == {"key", "tok-theirs"}, moment
        assert self.core.data("secrets", "ns", "tok-theirs") == secret_data(token="theirs"), moment


@pytest.fixture
def world(
    core: FakeCore,
    kuscia: Kuscia,
    endpoint: str,
    key_pem: bytes,
    other_key_pem: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    # To check an RSA key takes longer than an attempt.
    monkeypatch.setattr(domain_key, "load_key", functools.cache(domain_key.load_key))
    return World(core, kuscia, endpoint, key_pem, other_key_pem)


def installed(world: World) -> None:
    """Alice, bob and carol are registered, with routes between alice and bob."""
    world.finish(ALICE | BOB | CAROL)
    ends = {name: {"endpoint": f"https://{name}.example.com"} for name in ("alice", "bob")}
    run_step(routes.attempt, routes_config(world.endpoint, domains=ends, appImages={}), Kube(world.core))


def lost(world: World) -> None:
    """The master lost its state; the Secrets are outdated."""
    world.finish(ALICE | BOB)
    for name in ("alice", "bob"):
        del world.kuscia.domains[name]


CASES: dict[str, tuple[Callable[[World], None], Values, bool, Values]] = {
    "install": (lambda _: None, ALICE | BOB_BY_CERT, False, ALICE | BOB_BY_CERT),
    "install, then other values": (lambda _: None, ALICE | BOB_BY_CERT, False, BOB | CAROL),
    "install, then nothing": (lambda _: None, ALICE | BOB_BY_CERT, False, {}),
    "lost state": (lost, ALICE | BOB, False, ALICE | BOB),
    "lost state, then fewer domains": (lost, ALICE | BOB, False, ALICE),
    "prune": (installed, ALICE, True, ALICE),
    "prune, then the domains again": (installed, ALICE, True, ALICE | BOB | CAROL),
    "certificate": (installed, ALICE_BY_CERT | BOB, False, ALICE_BY_CERT | BOB),
    "certificate, then fewer domains": (installed, ALICE_BY_CERT | BOB, False, ALICE_BY_CERT),
}
"""The state before the run, its values and whether it prunes, and the values of the next run."""


@pytest.mark.parametrize("case", CASES)
def test_an_interrupted_run_is_completed_by_the_next_one(world: World, case: str) -> None:
    """Also by one with other values; the ledger has all that the release created, and nothing else is changed."""
    prepare, values, prune, then = CASES[case]
    world.start()
    prepare(world)
    before = world.save()
    for moment in moments(lambda: world.restore(before), lambda: world.attempt(values, prune=prune)):
        world.finish(then, prune=prune)
        world.check(then, moment)
        world.check_empty(moment)


@pytest.mark.parametrize(
    "case",
    [
        "install, then other values",
        "lost state, then fewer domains",
        "prune, then the domains again",
        "certificate, then fewer domains",
    ],
)
def test_a_copy_with_other_values_in_between_leaves_no_orphan(world: World, case: str) -> None:
    """Both copies retry until they succeed, as a Job does."""
    prepare, values, prune, other = CASES[case]
    world.start()
    prepare(world)
    before = world.save()
    for moment in moments(
        lambda: world.restore(before),
        lambda: world.attempt(values, prune=prune),
        meanwhile=lambda: world.finish(other),
    ):
        world.finish(values | other)
        world.check(values | other, moment)
        world.check_empty(moment)
