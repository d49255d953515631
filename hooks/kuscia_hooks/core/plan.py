"""The changes that a writing step makes, as data, and a count of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

ActionType = Literal["create", "update", "recreate", "delete"]


@dataclass(frozen=True)
class Action:
    """One change.

    Args:
        verb: the type of change.
        kind: type of the object, such as Domain, Secret or DomainRoute.
        name: name of the object.
        why: the reason, unless `verb` says it.
        payload: data for the change; never printed because it may hold secrets.
    """

    verb: ActionType
    kind: str
    name: str
    why: str = ""
    payload: Any = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.verb} {self.kind} {self.name}" + (f" ({self.why})" if self.why else "")


@dataclass(frozen=True)
class Plan:
    """Changes in the order in which to make them, and the number of unchanged objects."""

    actions: tuple[Action, ...] = ()
    unchanged: int = 0

    def __str__(self) -> str:
        return "\n".join([*(f"  {action}" for action in self.actions), f"  {self.unchanged} unchanged"])


@dataclass
class Summary:
    """Counts for the last line of a step, over all of its attempts."""

    created: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    failed: int = 0

    def count(self, actions: Iterable[Action]) -> None:
        """Add changes that were made."""
        for action in actions:
            if action.verb == "create":
                self.created += 1
            elif action.verb == "delete":
                self.deleted += 1
            else:
                self.updated += 1

    def line(self, seconds: float) -> str:
        """Return a line such as `created=2 unchanged=7 failed=0 in 3.2s`; updated and deleted only if not 0."""
        parts = [f"created={self.created}"]
        parts += [f"{name}={value}" for name, value in (("updated", self.updated), ("deleted", self.deleted)) if value]
        parts += [f"unchanged={self.unchanged}", f"failed={self.failed}"]
        return f"{' '.join(parts)} in {seconds:.1f}s"
