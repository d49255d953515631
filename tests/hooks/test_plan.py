from kuscia_hooks.core.errors import PermanentError, RetryableError, merged
from kuscia_hooks.core.plan import Action, Plan, Summary


def test_an_action_does_not_show_its_payload() -> None:
    action = Action("update", "Secret", "kuscia-deploy-token-alice", "not current", payload="hunter2")
    assert str(action) == "update Secret kuscia-deploy-token-alice (not current)"
    assert "hunter2" not in repr(action)


def test_a_plan_lists_its_actions() -> None:
    plan = Plan((Action("create", "Domain", "alice"), Action("delete", "Secret", "s")), unchanged=3)
    assert str(plan) == "  create Domain alice\n  delete Secret s\n  3 unchanged"


def test_summary() -> None:
    summary = Summary(unchanged=7)
    summary.count([Action("create", "Domain", "alice"), Action("create", "Secret", "s")])
    assert summary.line(3.21) == "created=2 unchanged=7 failed=0 in 3.2s"
    summary.count([Action("recreate", "DomainRoute", "a-b"), Action("delete", "Secret", "s")])
    assert summary.line(1) == "created=2 updated=1 deleted=1 unchanged=7 failed=0 in 1.0s"


def test_several_errors_as_one() -> None:
    assert isinstance(
        merged([RetryableError("unclassified-retryable", "a"), RetryableError("unclassified-retryable", "b")]),
        RetryableError,
    )
    both = merged([RetryableError("unclassified-retryable", "a"), PermanentError("unclassified", "b", see="kubectl x")])
    assert isinstance(both, PermanentError)
    assert str(both) == "2 failed:\n  - a\n  - b\n    see: kubectl x"
    many = str(merged([RetryableError("unclassified-retryable", f"error {number}") for number in range(99)]))
    assert len(many.splitlines()) == 12
    assert "89 more" in many
