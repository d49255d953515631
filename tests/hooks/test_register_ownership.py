"""What `register` does with domains and Secrets that left the values, and with those of other clients."""

import contextlib
import threading
from typing import Any

import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.cluster.ledger import Report, reports
from kuscia_hooks.core.config.register import Register
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.plan import Summary
from kuscia_hooks.steps import register, routes
from tests.hooks.builders import context, register_config, routes_config, run_step, secret_data
from tests.hooks.failing import fails
from tests.hooks.fakes.cluster import FakeCore, api_exception
from tests.hooks.fakes.kuscia import Kuscia
from tests.hooks.interruptions import Killed

OTHERS = {"app": "something-else"}


@pytest.fixture(autouse=True)
def ready(core: FakeCore, key_pem: bytes) -> None:
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    core.put("services", "ns", "kuscia-master")


def config(endpoint: str, *domains: str, adopt: bool = False, prune: bool = False) -> Register:
    found = register_config(endpoint, **{name: {"tokenSecret": f"tok-{name}"} for name in domains or ("alice",)})
    listed = {name: found.domains[name] for name in domains}
    return found.model_copy(update={"domains": listed, "adopt": adopt, "prune": prune})


def connect(kube: Kube, endpoint: str, *domains: str, **fields: Any) -> Summary:
    """Run `routes` with all routes between these domains."""
    ends = {name: {"endpoint": f"https://{name}.example.com"} for name in domains}
    return run_step(routes.attempt, routes_config(endpoint, domains=ends, appImages={}, **fields), kube)


def tokens(core: FakeCore) -> set[str]:
    return {name for kind, _, name in core.objects if kind == "secrets" and name.startswith("tok-")}


def test_reports_removed_domains_and_keeps_them(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    run_step(register.attempt, config(endpoint, "alice", "bob", "carol"), kube)
    for _ in range(2):
        summary = run_step(register.attempt, config(endpoint, "alice"), kube)
        assert (summary.deleted, summary.leftover, summary.unchanged) == (0, 4, 2)
    assert set(kuscia.domains) == {"alice", "bob", "carol"}
    assert tokens(core) == {"tok-alice", "tok-bob", "tok-carol"}
    assert reports(kube, "ns", "ledger") == {
        "domains": Report(leftover=("bob", "carol")),
        "tokens": Report(leftover=("tok-bob", "tok-carol")),
    }


def test_prune_deletes_exactly_what_the_release_created(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str
) -> None:
    """A domain of another client stays, whether it was in the values or not."""
    for name in ("erin", "frank"):
        kuscia.do_domain_create({"domain_id": name})
    core.put("secrets", "ns", "tok-erin", data=secret_data(token="theirs"))
    run_step(register.attempt, config(endpoint, "alice", "bob", "carol", "erin"), kube)
    connect(kube, endpoint, "alice", "bob", "carol")
    kuscia.asked.clear()
    core.calls.clear()
    summary = run_step(register.attempt, config(endpoint, "alice", prune=True), kube)
    assert (summary.deleted, summary.leftover) == (6 + 2 + 2, 0)
    assert set(kuscia.domains) == {"alice", "erin", "frank"}
    assert tokens(core) == {"tok-alice", "tok-erin"}
    assert not kuscia.routes
    assert reports(kube, "ns", "ledger") == {}
    paths = kuscia.paths(writes=True)
    assert paths == ["route/delete"] * 6 + ["domain/delete"] * 2
    assert run_step(register.attempt, config(endpoint, "alice", prune=True), kube).deleted == 0
    # `routes` finds nothing to do either: its ledger entries are gone.
    assert connect(kube, endpoint, "alice").leftover == 0


def test_prune_deletes_the_secret_of_a_domain_that_is_now_admitted_by_certificate(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str
) -> None:
    run_step(register.attempt, config(endpoint, "alice"), kube)
    by_token = config(endpoint, "alice")
    admission = by_token.domains["alice"].model_copy(update={"token_secret": None})
    without = by_token.model_copy(update={"domains": {"alice": admission}})
    assert run_step(register.attempt, without, kube).leftover == 1
    assert run_step(register.attempt, without.model_copy(update={"prune": True}), kube).deleted == 1
    assert tokens(core) == set()
    assert set(kuscia.domains) == {"alice"}


def test_prune_keeps_a_domain_that_routes_of_others_use(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_step(register.attempt, config(endpoint, "alice", "bob", "carol"), kube)
    connect(kube, endpoint, "alice", "carol")
    (theirs,) = kuscia.bodies("route/create")[:1]
    kuscia.do_route_create({**theirs, "source": "alice", "destination": "bob"})
    capsys.readouterr()
    summary = run_step(register.attempt, config(endpoint, "alice", prune=True), kube)
    assert "[domain-in-use]" in capsys.readouterr().out
    assert (summary.deleted, summary.leftover) == (2 + 2, 1)
    assert set(kuscia.domains) == {"alice", "bob"}
    assert set(kuscia.routes) == {("alice", "bob")}
    assert tokens(core) == {"tok-alice", "tok-bob"}
    del kuscia.routes["alice", "bob"]
    assert run_step(register.attempt, config(endpoint, "alice", prune=True), kube).deleted == 2
    assert set(kuscia.domains) == {"alice"}


def test_prune_keeps_a_foreign_route_with_the_name_of_one_that_is_gone(
    kube: Kube, kuscia: Kuscia, endpoint: str
) -> None:
    """Routes `a` to `b-c` and `a-b` to `c` have one name in Kuscia (Kuscia facts 6.2)."""
    run_step(register.attempt, config(endpoint, "a", "b-c", "a-b", "c"), kube)
    connect(kube, endpoint, "a", "b-c")
    kuscia.routes = {("a-b", "c"): {**kuscia.routes["a", "b-c"], "source": "a-b", "destination": "c"}}
    run_step(register.attempt, config(endpoint, "a", "a-b", "c", prune=True), kube)
    assert set(kuscia.domains) == {"a", "a-b", "c"}
    assert set(kuscia.routes) == {("a-b", "c")}


def test_a_pruned_domain_can_be_added_again(core: FakeCore, kube: Kube, endpoint: str) -> None:
    run_step(register.attempt, config(endpoint, "alice", "bob"), kube)
    old = core.data("secrets", "ns", "tok-bob")
    run_step(register.attempt, config(endpoint, "alice", prune=True), kube)
    assert run_step(register.attempt, config(endpoint, "alice", "bob", prune=True), kube).created == 2
    assert core.data("secrets", "ns", "tok-bob") != old
    assert connect(kube, endpoint, "alice", "bob").created == 2


def test_a_removed_domain_that_is_gone_is_forgotten(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    """Another client creates it later: it belongs to that client."""
    run_step(register.attempt, config(endpoint, "alice", "bob"), kube)
    del kuscia.domains["bob"]
    del core.objects["secrets", "ns", "tok-bob"]
    run_step(register.attempt, config(endpoint, "alice"), kube)
    kuscia.do_domain_create({"domain_id": "bob"})
    core.put("secrets", "ns", "tok-bob", data=secret_data(token="theirs"))
    run_step(register.attempt, config(endpoint, "alice", prune=True), kube)
    assert set(kuscia.domains) == {"alice", "bob"}


def test_a_failed_deletion_of_a_route_keeps_its_domain(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str
) -> None:
    run_step(register.attempt, config(endpoint, "alice", "bob", "carol"), kube)
    connect(kube, endpoint, "alice", "bob")
    kuscia.replies["route/delete"] = (11403, "forbidden", None)
    with fails("kusciaapi-rejected"):
        run_step(register.attempt, config(endpoint, "alice", prune=True), kube)
    assert set(kuscia.domains) == {"alice", "bob"}
    assert tokens(core) == {"tok-alice", "tok-bob"}
    del kuscia.replies["route/delete"]
    run_step(register.attempt, config(endpoint, "alice", prune=True), kube)
    assert set(kuscia.domains) == {"alice"}


def test_a_secret_of_another_team_is_reported_and_left_alone(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    core.put("secrets", "ns", "tok-alice", data=secret_data(token="theirs", other="x"))
    core.objects["secrets", "ns", "tok-alice"]["metadata"]["labels"] = OTHERS
    for _ in range(2):
        summary = run_step(register.attempt, config(endpoint, "alice", "bob"), kube)
        assert summary.foreign == 1
        assert "[foreign-object]" in capsys.readouterr().out
        assert core.data("secrets", "ns", "tok-alice") == secret_data(token="theirs", other="x")
        assert core.objects["secrets", "ns", "tok-alice"]["metadata"]["labels"] == OTHERS
    assert reports(kube, "ns", "ledger") == {"tokens": Report(foreign=("tok-alice",))}
    assert set(kuscia.domains) == {"alice", "bob"}
    run_step(register.attempt, config(endpoint, prune=True), kube)
    assert tokens(core) == {"tok-alice"}


def test_adopt_takes_a_secret_over(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    core.put("secrets", "ns", "tok-alice", data=secret_data(token="theirs", other="x"))
    kuscia.do_domain_create({"domain_id": "alice"})
    assert run_step(register.attempt, config(endpoint, "alice", adopt=True), kube).updated == 1
    token = kuscia.domains["alice"]["deploy_token_statuses"][0]["token"]
    assert core.data("secrets", "ns", "tok-alice") == secret_data(token=token, other="x")
    metadata = core.objects["secrets", "ns", "tok-alice"]["metadata"]
    assert metadata["labels"] == {"a": "b"}
    assert metadata["ownerReferences"][0]["name"] == "kuscia-master"
    assert run_step(register.attempt, config(endpoint, prune=True), kube).deleted == 2
    assert tokens(core) == set()


@pytest.mark.parametrize("mark", [{"labels": {"a": "b", "more": "c"}}, {"owner_references": True}])
def test_a_secret_of_an_earlier_version_belongs_to_the_release(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, mark: dict[str, Any]
) -> None:
    """Earlier versions did not keep a ledger of Secrets; labels and owner show whose a Secret is."""
    core.put("secrets", "ns", "tok-alice", data=secret_data(token="outdated"))
    metadata = core.objects["secrets", "ns", "tok-alice"]["metadata"]
    if "labels" in mark:
        metadata["labels"] = mark["labels"]
    else:
        metadata["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "Service", "name": "kuscia-master", "uid": "uid-kuscia-master"}
        ]
    kuscia.do_domain_create({"domain_id": "alice"})
    summary = run_step(register.attempt, config(endpoint, "alice"), kube)
    assert (summary.updated, summary.foreign) == (1, 0)


def test_a_secret_that_changes_after_it_was_read_is_not_overwritten(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str
) -> None:
    run_step(register.attempt, config(endpoint, "alice"), kube)
    kuscia.domains["alice"]["deploy_token_statuses"][0]["token"] = "rotated-by-the-master-1234567890"

    def replace(verb: str, kind: str, name: str) -> None:
        if (verb, kind) == ("patch", "secrets"):
            core.fail = lambda *_: None
            core.put("secrets", "ns", "tok-alice", data=secret_data(token="theirs"))

    core.fail = replace
    with fails("already-exists"):
        run_step(register.attempt, config(endpoint, "alice"), kube)
    assert core.data("secrets", "ns", "tok-alice") == secret_data(token="theirs")


def test_a_secret_that_another_client_creates_first_is_not_overwritten(
    core: FakeCore, kube: Kube, endpoint: str
) -> None:
    def create(verb: str, kind: str, name: str) -> None:
        if (verb, kind) == ("create", "secrets"):
            core.fail = lambda *_: None
            core.put("secrets", "ns", "tok-alice", data=secret_data(token="theirs"))

    core.fail = create
    with fails("already-exists"):
        run_step(register.attempt, config(endpoint, "alice"), kube)
    assert run_step(register.attempt, config(endpoint, "alice"), kube).foreign == 1
    assert core.data("secrets", "ns", "tok-alice") == secret_data(token="theirs")


def test_a_secret_that_another_client_created_after_a_kill_is_foreign(
    core: FakeCore, kube: Kube, endpoint: str
) -> None:
    """The ledger has a mark, which does not prove who created the Secret."""

    def kill(verb: str, kind: str, name: str) -> None:
        if (verb, kind) == ("create", "secrets"):
            raise Killed

    core.fail = kill
    with pytest.raises(Killed):
        run_step(register.attempt, config(endpoint, "alice"), kube)
    core.fail = lambda *_: None
    core.put("secrets", "ns", "tok-alice", data=secret_data(token="theirs"))
    assert run_step(register.attempt, config(endpoint, "alice"), kube).foreign == 1
    assert run_step(register.attempt, config(endpoint, prune=True), kube).leftover == 0
    assert core.data("secrets", "ns", "tok-alice") == secret_data(token="theirs")
    assert run_step(register.attempt, config(endpoint), kube).leftover == 0


@pytest.mark.parametrize("prune", [False, True])
def test_a_secret_that_another_client_created_after_ours_was_deleted_is_foreign(
    core: FakeCore, kube: Kube, endpoint: str, prune: bool
) -> None:
    run_step(register.attempt, config(endpoint, "alice", "bob"), kube)
    for name in ("tok-alice", "tok-bob"):
        core.put("secrets", "ns", name, data=secret_data(token=f"theirs-of-{name}"))
    run_step(register.attempt, config(endpoint, "alice", prune=prune), kube)
    for name in ("tok-alice", "tok-bob"):
        assert core.data("secrets", "ns", name) == secret_data(token=f"theirs-of-{name}")


def test_dry_run_names_leftover_and_foreign_objects_and_changes_nothing(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_step(register.attempt, config(endpoint, "alice", "bob"), kube)
    core.put("secrets", "ns", "tok-carol", data=secret_data(token="theirs"))
    core.calls.clear()
    kuscia.asked.clear()
    capsys.readouterr()
    summary = run_step(register.attempt, config(endpoint, "alice", "carol"), kube, dry_run=True)
    assert (summary.foreign, summary.leftover) == (1, 2)
    out = capsys.readouterr().out
    assert all(name in out for name in ("tok-carol", "tok-bob", "create Domain carol"))
    run_step(register.attempt, config(endpoint, "alice", prune=True), kube, dry_run=True)
    assert "delete Domain bob" in capsys.readouterr().out
    assert kuscia.paths(writes=True) == []
    assert {verb for verb, _, _ in core.calls} == {"get"}


@pytest.mark.parametrize("round_", [0, *(pytest.param(round_, marks=pytest.mark.exhaustive) for round_ in range(1, 5))])
def test_two_copies_with_different_values_leave_nothing_unrecorded(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, round_: int
) -> None:
    """Each retries until it succeeds, as a Job does."""
    values = [config(endpoint, "alice", "bob", f"x{round_}"), config(endpoint, "bob", "carol")]
    barrier = threading.Barrier(2)

    def run(settings: Register) -> None:
        barrier.wait()
        for _ in range(10):
            with contextlib.suppress(RetryableError):
                register.attempt(settings, context(Kube(core)))
                return
        raise AssertionError("did not succeed")

    threads = [threading.Thread(target=run, args=(settings,)) for settings in values]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(kuscia.domains) == {"alice", "bob", "carol", f"x{round_}"}
    for name, domain in kuscia.domains.items():
        token = domain["deploy_token_statuses"][0]["token"]
        assert core.data("secrets", "ns", f"tok-{name}") == secret_data(token=token)
    summary = run_step(register.attempt, config(endpoint, prune=True), kube)
    assert summary.deleted == 8
    assert kuscia.domains == {}
    assert tokens(core) == set()


def test_a_ledger_that_cannot_be_written_stops_before_any_change(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str
) -> None:
    def refuse(verb: str, kind: str, name: str) -> None:
        if kind == "configmaps" and verb != "get":
            raise api_exception(403, "forbidden")

    core.fail = refuse
    with fails("permission-denied"):
        run_step(register.attempt, config(endpoint, "alice"), kube)
    assert kuscia.paths(writes=True) == []
    assert tokens(core) == set()
