from typing import Any

import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.plan import Summary
from kuscia_hooks.steps import register, routes
from tests.hooks.builders import register_config, routes_config, run_step, secret_data
from tests.hooks.failing import fails
from tests.hooks.fakes.cluster import FakeCore
from tests.hooks.fakes.kuscia import Kuscia

pytestmark = pytest.mark.usefixtures("two_domains")


def restore(endpoint: str, kube: Kube, dry_run: bool = False, **fields: Any) -> Summary:
    """Run `routes` for two domains that are admitted by token."""
    domains = {name: {"endpoint": f"https://{name}:1080", "tokenSecret": f"tok-{name}"} for name in ("alice", "bob")}
    given = {"domains": domains, "owner": {"service": "kuscia-master"}, "labels": {"a": "b"}, **fields}
    return run_step(routes.attempt, routes_config(endpoint, **given), kube, dry_run=dry_run)


def current_token(kuscia: Kuscia, domain: str) -> str:
    statuses = kuscia.domains[domain]["deploy_token_statuses"]
    return next(status["token"] for status in statuses if status["state"] == "unused")


def test_creates_missing_deploy_token_secrets(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    """They were deleted by hand, or with the Service that owns them, after `register` had run."""
    core.put("secrets", "ns", "tok-bob", data=secret_data(token="outdated"))
    restore(endpoint, kube)
    assert core.data("secrets", "ns", "tok-alice") == secret_data(token=current_token(kuscia, "alice"))
    # `register` compares those that exist.
    assert core.data("secrets", "ns", "tok-bob") == secret_data(token="outdated")
    (owner,) = core.objects["secrets", "ns", "tok-alice"]["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Service", "kuscia-master", "uid-kuscia-master")
    core.calls.clear()
    restore(endpoint, kube)
    assert {verb for verb, kind, _ in core.calls if kind == "secrets"} == {"get"}


def test_a_restored_deploy_token_secret_belongs_to_the_release(core: FakeCore, kube: Kube, endpoint: str) -> None:
    restore(endpoint, kube, labels={}, owner=None)
    config = register_config(endpoint).model_copy(update={"domains": {}, "prune": True})
    assert run_step(register.attempt, config, kube).deleted == 2
    assert ("secrets", "ns", "tok-alice") not in core.objects


def test_leaves_the_secret_of_a_missing_domain_to_register(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str
) -> None:
    del kuscia.domains["bob"]
    restore(endpoint, kube, routes=[])
    assert ("secrets", "ns", "tok-alice") in core.objects
    assert ("secrets", "ns", "tok-bob") not in core.objects


def test_retries_while_the_master_has_no_token(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    kuscia.domains["alice"]["deploy_token_statuses"] = []
    with fails("deploy-token-pending"):
        restore(endpoint, kube)
    assert ("secrets", "ns", "tok-bob") in core.objects


def created_by_another(core: FakeCore, kuscia: Kuscia, **fields: Any) -> None:
    """Let another client create the Secret of alice, with the right token, just before the step does."""

    def create(verb: str, kind: str, name: str) -> None:
        if (verb, kind, name) == ("create", "secrets", "tok-alice"):
            core.put(kind, "ns", name, data=secret_data(token=current_token(kuscia, "alice")))
            core.objects[kind, "ns", name]["metadata"].update(fields)

    core.fail = create


def test_counts_a_secret_that_register_created_at_the_same_time_as_unchanged(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str
) -> None:
    created_by_another(core, kuscia, labels={"a": "b"})
    summary = restore(endpoint, kube, routes=[])
    # Created are the Secret of bob and an AppImage.
    assert (summary.created, summary.unchanged) == (2, 1)
    assert "alice" in core.data("configmaps", "ns", "ledger")["tokens"]


@pytest.mark.parametrize("labels", [{}, {"a": "other"}])
def test_does_not_own_the_secret_of_another_client(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, labels: dict[str, str]
) -> None:
    """It has the right token, but `prune` must not delete it."""
    created_by_another(core, kuscia, labels=labels)
    with fails("already-exists"):
        restore(endpoint, kube, routes=[])
    core.fail = lambda *_: None
    restore(endpoint, kube, routes=[])
    assert "alice" not in core.data("configmaps", "ns", "ledger")["tokens"]
    config = register_config(endpoint).model_copy(update={"domains": {}, "prune": True})
    run_step(register.attempt, config, kube)
    assert ("secrets", "ns", "tok-alice") in core.objects


def test_dry_run_names_missing_deploy_token_secrets(
    core: FakeCore, kube: Kube, endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    restore(endpoint, kube, dry_run=True)
    assert "create Secret tok-alice" in capsys.readouterr().out
    assert ("secrets", "ns", "tok-alice") not in core.objects
