"""The changes that a writing step makes, as data, and a count of them.

docs/adr/0012 explains which objects a step may change.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

Body = TypeVar("Body")

ActionType = Literal["create", "update", "recreate", "delete"]


@dataclass(frozen=True)
class Action:
    """One change.

    Args:
        verb: the type of change.
        kind: type of the object, such as Domain, Secret or DomainRoute.
        name: name of the object.
        why: the reason, unless `verb` says it.
        entry: name of the object in the ledger; by default `name`.
        payload: data for the change; never printed because it may hold secrets.
    """

    verb: ActionType
    kind: str
    name: str
    why: str = ""
    entry: str = ""
    payload: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "entry", self.entry or self.name)

    def __str__(self) -> str:
        return f"{self.verb} {self.kind} {self.name}" + (f" ({self.why})" if self.why else "")


@dataclass(frozen=True)
class Plan:
    """Changes in the order in which to make them, and what stays as it is.

    Args:
        actions: the changes.
        unchanged: number of objects that are as wanted.
        kept: ledger entries of the unchanged objects that belong to the release and were read.
        foreign: objects with different content that do not belong to the release; they are left alone.
        leftover: ledger entries of objects that are no longer wanted, and are not deleted.
        gone: ledger entries whose objects are no longer wanted and do not exist.
    """

    actions: tuple[Action, ...] = ()
    unchanged: int = 0
    kept: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    leftover: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"  {action}" for action in self.actions]
        lines += [f"  leave foreign {name}" for name in self.foreign]
        lines += [f"  leave leftover {name}" for name in self.leftover]
        return "\n".join([*lines, f"  {self.unchanged} unchanged"])


def plan_owned(
    kind: str,
    wanted: Mapping[str, Body],
    present: Mapping[str, Any | None],
    ledger: Collection[str],
    same: Callable[[Body, Any], bool],
    *,
    adopt: bool = False,
    prune: bool = False,
    replace: ActionType = "update",
) -> Plan:
    """Return the plan for the objects of one kind; the payload of an action is the body, None for a deletion.

    An object belongs to the release if the ledger has it. One that does not is never changed, unless `adopt` is set.

    Args:
        kind: type of the objects, such as Domain.
        wanted: request bodies by name.
        present: objects that were read, by name; None if an object does not exist. An object of the ledger that was not
            read is assumed to be as wanted; of a leftover, that it exists. Objects outside the ledger must be read.
        ledger: names of the objects that this release created.
        same: returns whether a body and an object have equal content.
        adopt: take over objects that exist and are not in the ledger.
        prune: delete objects of the ledger that are not wanted.
        replace: how an object is changed.
    """
    deletions: list[Action] = []
    changes: list[Action] = []
    kept, foreign, leftover, gone = [], [], [], []
    unchanged = 0
    for name, body in wanted.items():
        owned = name in ledger
        if owned and name not in present:
            unchanged += 1
            continue
        found = present[name]
        if found is None:
            changes.append(Action("create", kind, name, payload=body))
        elif same(body, found):
            unchanged += 1
            if owned or adopt:
                kept.append(name)
        elif owned or adopt:
            changes.append(Action(replace, kind, name, "changed" if owned else "adopted", payload=body))
        else:
            foreign.append(name)
    for name in ledger:
        if name in wanted:
            continue
        if name in present and present[name] is None:
            gone.append(name)
        elif prune:
            deletions.append(Action("delete", kind, name, "no longer in the values"))
        else:
            leftover.append(name)
    return Plan((*deletions, *changes), unchanged, tuple(kept), tuple(foreign), tuple(leftover), tuple(gone))


@dataclass
class Summary:
    """Counts for the last line of a step, over all of its attempts.

    `unchanged`, `failed`, `foreign` and `leftover` are those of the last attempt.
    """

    created: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    failed: int = 0
    foreign: int = 0
    leftover: int = 0

    def restart(self) -> None:
        """Reset the counts of a single attempt."""
        self.unchanged = self.failed = self.foreign = self.leftover = 0

    def count(self, actions: Iterable[Action]) -> None:
        """Add changes that were made."""
        for action in actions:
            if action.verb == "create":
                self.created += 1
            elif action.verb == "delete":
                self.deleted += 1
            else:
                self.updated += 1

    def count_kept(self, plan: Plan) -> None:
        """Add what a plan leaves as it is."""
        self.unchanged += plan.unchanged
        self.foreign += len(plan.foreign)
        self.leftover += len(plan.leftover)

    def line(self, seconds: float) -> str:
        """Return a line such as `created=2 unchanged=7 failed=0 in 3.2s`; other counts are printed only if not 0."""

        def unless_zero(*names: str) -> list[str]:
            return [f"{name}={value}" for name in names if (value := getattr(self, name))]

        parts = [f"created={self.created}", *unless_zero("updated", "deleted")]
        parts += [f"unchanged={self.unchanged}", f"failed={self.failed}", *unless_zero("foreign", "leftover")]
        return f"{' '.join(parts)} in {seconds:.1f}s"
