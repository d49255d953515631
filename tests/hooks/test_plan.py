"""Properties of a plan for any objects, values and ledger."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kuscia_hooks.core.plan import Action, Plan, Summary, plan_owned

NAMES = st.sampled_from("abcde")
OBJECTS = st.dictionaries(NAMES, st.integers(1, 2))
State = tuple[dict[str, int], set[str]]


def planned(wanted: dict[str, int], state: State, adopt: bool, prune: bool) -> Plan:
    objects, ledger = state
    present = {name: objects.get(name) for name in (*wanted, *ledger)}
    return plan_owned("Domain", wanted, present, ledger, int.__eq__, adopt=adopt, prune=prune)


def applied(plan: Plan, state: State) -> State:
    objects, ledger = dict(state[0]), set(state[1]) | set(plan.kept)
    for action in plan.actions:
        if action.verb == "delete":
            del objects[action.entry]
            ledger.remove(action.entry)
        else:
            assert (action.entry in objects) == (action.verb == "update")
            objects[action.entry] = action.payload
            ledger.add(action.entry)
    return objects, ledger - set(plan.gone)


@settings(deadline=None, database=None)
@given(OBJECTS, OBJECTS, st.sets(NAMES), st.booleans(), st.booleans())
def test_plan_reaches_the_wanted_state(
    wanted: dict[str, int], objects: dict[str, int], ledger: set[str], adopt: bool, prune: bool
) -> None:
    plan = planned(wanted, (objects, ledger), adopt, prune)
    after, entered = applied(plan, (objects, ledger))

    foreign = {name for name in objects if name not in ledger}
    assert {name: after.get(name) for name in wanted if adopt or name not in foreign} == {
        name: content for name, content in wanted.items() if adopt or name not in foreign
    }
    touched = {action.entry for action in plan.actions}
    assert not touched & foreign - (set(wanted) if adopt else set())
    deleted = {action.entry for action in plan.actions if action.verb == "delete"}
    assert deleted == ({name for name in ledger if name in objects and name not in wanted} if prune else set())
    assert set(plan.foreign) == (set() if adopt else {n for n in wanted if n in foreign and objects[n] != wanted[n]})
    assert set(plan.leftover) == (set() if prune else {n for n in ledger if n in objects and n not in wanted})
    assert entered <= set(after)
    changed = [action for action in plan.actions if action.verb != "delete"]
    assert plan.unchanged + len(changed) + len(plan.foreign) == len(wanted)

    again = planned(wanted, (after, entered), adopt, prune)
    assert again.actions == ()
    assert (again.foreign, set(again.leftover), again.gone) == (plan.foreign, set(plan.leftover), ())


def test_summary_prints_what_was_left_alone_unless_nothing_was() -> None:
    summary = Summary()
    summary.count([Action("create", "Domain", "a")])
    assert summary.line(1.24) == "created=1 unchanged=0 failed=0 in 1.2s"
    summary.count_kept(Plan(unchanged=2, foreign=("b",), leftover=("c", "d")))
    assert summary.line(1.24) == "created=1 unchanged=2 failed=0 foreign=1 leftover=2 in 1.2s"
    summary.restart()
    assert summary.line(1.24) == "created=1 unchanged=0 failed=0 in 1.2s"
