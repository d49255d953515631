"""What a writing step is going to do, as data, and what came of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Verb = Literal["create", "update", "recreate", "delete"]


@dataclass(frozen=True)
class Action:
    """One change.

    Args:
        kind: what is changed, in the field's words (Domain, Secret, DomainRoute, …).
        name: which one.
        why: the reason, where the verb does not say it.
        payload: what the change carries; never printed, it may hold secrets.
    """

    verb: Verb
    kind: str
    name: str
    why: str = ""
    payload: Any = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.verb} {self.kind} {self.name}" + (f" ({self.why})" if self.why else "")


@dataclass(frozen=True)
class Plan:
    """Changes in the order in which they have to be made, and how much stays as it is."""

    actions: tuple[Action, ...] = ()
    unchanged: int = 0

    def __str__(self) -> str:
        return "\n".join([*(f"  {action}" for action in self.actions), f"  {self.unchanged} unchanged"])


@dataclass
class Summary:
    """Counts for the last line of a step. They add up over its attempts."""

    created: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    failed: int = 0

    def count(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if action.verb == "create":
                self.created += 1
            elif action.verb == "delete":
                self.deleted += 1
            else:
                self.updated += 1

    def line(self, seconds: float) -> str:
        """Such as `created=2 unchanged=7 failed=0 in 3.2s`; updated and deleted only when there were any."""
        parts = [f"created={self.created}"]
        parts += [f"{name}={value}" for name, value in (("updated", self.updated), ("deleted", self.deleted)) if value]
        parts += [f"unchanged={self.unchanged}", f"failed={self.failed}"]
        return f"{' '.join(parts)} in {seconds:.1f}s"
