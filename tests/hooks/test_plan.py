from kuscia_hooks.core.plan import Action, Plan, Summary


def test_action_does_not_print_its_payload() -> None:
    action = Action("update", "Secret", "kuscia-deploy-token-alice", "not current", payload="hunter2")
    assert str(action) == "update Secret kuscia-deploy-token-alice (not current)"
    assert "hunter2" not in repr(action)


def test_plan_prints_its_actions() -> None:
    plan = Plan((Action("create", "Domain", "alice"), Action("delete", "Secret", "s")), unchanged=3)
    assert str(plan) == "  create Domain alice\n  delete Secret s\n  3 unchanged"


def test_summary_counts_by_type_of_change() -> None:
    summary = Summary(unchanged=7)
    summary.count([Action("create", "Domain", "alice"), Action("create", "Secret", "s")])
    assert summary.line(3.21) == "created=2 unchanged=7 failed=0 in 3.2s"
    summary.count([Action("recreate", "DomainRoute", "a-b"), Action("delete", "Secret", "s")])
    assert summary.line(1) == "created=2 updated=1 deleted=1 unchanged=7 failed=0 in 1.0s"
