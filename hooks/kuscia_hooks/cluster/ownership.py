"""How a step records and reports what it changes, and what it leaves alone (docs/adr/0012)."""

from collections.abc import Sequence
from dataclasses import dataclass

from kuscia_hooks.cluster.ledger import Entries, Report
from kuscia_hooks.core import log
from kuscia_hooks.core.errors import PermanentError, RetryableError
from kuscia_hooks.core.plan import Plan
from kuscia_hooks.core.text import first_of


@dataclass(frozen=True)
class Block:
    """One kind of object in the values.

    Args:
        kind: type of the objects, such as DomainRoute.
        adopt: value that takes over foreign objects, such as `master.adopt.routes`.
        prune: value that deletes leftover objects.
    """

    kind: str
    adopt: str
    prune: str


class MadeByAnother(Exception):
    """The object is as wanted: another step or copy of this release made the change first."""


def changed_concurrently(kind: str, name: str) -> RetryableError:
    """Return the error for an object that did not exist when it was read, and exists now with different content."""
    return RetryableError("already-exists", f"{kind} {name} was created by another client with different content")


def report_left_alone(plan: Plan, entries: Entries, block: Block) -> None:
    """Log the foreign and the leftover objects of a plan, and record them in the ledger."""
    entries.report(Report(plan.foreign, plan.leftover))
    if plan.foreign:
        log.warn(
            PermanentError(
                "foreign-object",
                f"{_objects(block, plan.foreign)} with different content, and this release did not create them; they "
                "are left unchanged",
                fix=f"remove them from the values, or set {block.adopt}: true for one upgrade to take them over",
            )
        )
    if plan.leftover:
        log.warn(
            PermanentError(
                "leftover-object",
                f"{_objects(block, plan.leftover)}, were created by this release, and are no longer in its values",
                fix=f"to delete exactly these, set {block.prune}: true for one upgrade",
            )
        )


def _objects(block: Block, names: Sequence[str]) -> str:
    return f"{len(names)} of kind {block.kind} exist ({first_of(sorted(names))})"
