"""`register`, interrupted at each of its writes and run again, also with different values."""

import contextlib
import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Register
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.plan import Summary
from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.kuscia.concurrency import ConcurrencyLimit
from kuscia_hooks.steps import register, routes
from tests.hooks.builders import context, register_config, routes_config, run_step
from tests.hooks.conftest import secret_data
from tests.hooks.crashes import WAYS, Killed, interrupted
from tests.hooks.fakes.cluster import FakeCore
from tests.hooks.fakes.kuscia import Kuscia
from tests.hooks.test_register import encoded, pem_certificate

Values = dict[str, dict[str, Any]]
ALICE = {"alice": {"tokenSecret": "tok-alice"}}
BOB = {"bob": {"tokenSecret": "tok-bob"}}
CAROL = {"carol": {"tokenSecret": "tok-carol"}}
FOREIGN = {"theirs"}
"""A domain of another client, which is in no values, and a Secret of another team."""


@dataclass
class World:
    """The state of a cluster and its master, and a way to run the step on it."""

    core: FakeCore
    kuscia: Kuscia
    endpoint: str
    key_pem: bytes

    def start(self) -> None:
        """Begin with an empty master that has a domain of another client."""
        self.core.objects.clear()
        self.core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": self.key_pem}))
        self.core.put("services", "ns", "kuscia-master")
        self.core.put("secrets", "ns", "tok-theirs", data=secret_data(token="theirs"))
        self.kuscia.domains.clear()
        self.kuscia.routes.clear()
        self.kuscia.do_domain_create({"domain_id": "theirs"})

    def config(self, values: Values, prune: bool = False) -> Register:
        found = register_config(self.endpoint, **(values or ALICE))
        listed = {name: found.domains[name] for name in values}
        return found.model_copy(update={"domains": listed, "prune": prune})

    def attempt(self, settings: Register) -> Summary:
        """Make one attempt, request after request, so that its writes have a fixed order."""
        given = context(Kube(self.core), concurrency=ConcurrencyLimit(1))
        register.attempt(settings, given)
        return given.summary

    def finish(self, settings: Register) -> None:
        """Retry until an attempt succeeds."""
        for _ in range(4):
            with contextlib.suppress(RetryableError):
                self.attempt(settings)
                return
        raise AssertionError("did not succeed")

    def save(self) -> Any:
        return copy.deepcopy((self.core.objects, self.kuscia.domains, self.kuscia.routes))

    def restore(self, saved: Any) -> None:
        self.core.objects, self.kuscia.domains, self.kuscia.routes = copy.deepcopy(saved)

    def check(self, values: Values) -> None:
        """Check that the domains of the values exist with their certificates, and their Secrets with their tokens."""
        for name, admission in values.items():
            domain = self.kuscia.domains[name]
            if "cert" in admission:
                assert domain["cert"] == encoded(admission["cert"])
            if secret := admission.get("tokenSecret"):
                token = domain["deploy_token_statuses"][0]["token"]
                assert self.core.data("secrets", "ns", secret) == secret_data(token=token)
        assert self.attempt(self.config(values)).created == 0

    def check_empty(self) -> None:
        """Check that the release knows all that it created: it can delete it, and nothing else."""
        self.finish(self.config({}, prune=True))
        assert set(self.kuscia.domains) == FOREIGN
        assert not self.kuscia.routes
        secrets = {name for kind, _, name in self.core.objects if kind == "secrets"}
        assert secrets == {"key", "tok-theirs"}
        assert self.core.data("secrets", "ns", "tok-theirs") == secret_data(token="theirs")


@pytest.fixture
def world(core: FakeCore, kuscia: Kuscia, endpoint: str, key_pem: bytes, monkeypatch: pytest.MonkeyPatch) -> World:
    # To check an RSA key takes longer than an attempt.
    monkeypatch.setattr(domain_key, "load_key", functools.cache(domain_key.load_key))
    return World(core, kuscia, endpoint, key_pem)


def installed(world: World) -> None:
    """Alice, bob and carol are registered, with routes between all of them."""
    world.finish(world.config(ALICE | BOB | CAROL))
    ends = {name: {"endpoint": f"https://{name}.example.com"} for name in ("alice", "bob", "carol")}
    run_step(routes.attempt, routes_config(world.endpoint, domains=ends, appImages={}), Kube(world.core))


def lost(world: World) -> None:
    """The master lost its state; the Secrets are outdated."""
    installed(world)
    world.kuscia.routes.clear()
    for name in ("alice", "bob", "carol"):
        del world.kuscia.domains[name]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("prepare", "values", "prune", "then"),
    [
        (lambda _: None, ALICE | {"bob": {"cert": "bob"}}, False, [None, BOB | CAROL, {}]),
        (lost, ALICE | BOB | CAROL, False, [None, ALICE]),
        (installed, ALICE, True, [None, ALICE | BOB]),
        (installed, {"alice": {"cert": "alice"}}, True, [None, ALICE]),
    ],
    ids=["install", "lost state", "prune", "certificate"],
)
def test_a_run_that_was_interrupted_is_completed(
    world: World,
    other_key_pem: bytes,
    prepare: Callable[[World], None],
    values: Values,
    prune: bool,
    then: list[Values | None],
    way: str,
) -> None:
    """At each write in turn; the next run has the same values, or others."""
    values = {
        name: {**fields, "cert": pem_certificate(other_key_pem, name)} if "cert" in fields else fields
        for name, fields in values.items()
    }
    world.start()
    prepare(world)
    begin = world.save()
    with interrupted() as writes:
        world.attempt(world.config(values, prune))
    assert len(writes.names) >= 6
    for number, name in enumerate(writes.names):
        for next_values in then:
            world.restore(begin)
            with interrupted(number, way), contextlib.suppress(Killed, RetryableError):
                world.attempt(world.config(values, prune))
            final = values if next_values is None else next_values
            try:
                world.finish(world.config(final, prune))
                world.check(final)
                world.check_empty()
            except AssertionError as error:
                raise AssertionError(f"{way} write {number}, {name}, then {list(final)}") from error
