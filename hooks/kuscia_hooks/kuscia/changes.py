"""Making the changes of a plan, with a ledger entry for each (docs/adr/0012)."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from kuscia_hooks.cluster.ledger import Entries, Ledger
from kuscia_hooks.cluster.ownership import Block, MadeByAnother, report_left_alone
from kuscia_hooks.core.errors import StepError
from kuscia_hooks.core.plan import Action, Plan, Summary
from kuscia_hooks.core.progress import ChangeProgress
from kuscia_hooks.kuscia.concurrency import ConcurrencyLimit, each

# Changes after which the ledger is saved. A step that is killed reads those since then again.
SAVE_EVERY = 2500
# Retryable errors of a request that was answered, and had no effect.
_NOTHING_CHANGED = ("already-exists", "kusciaapi-not-found")

Failure = tuple[Action, StepError]


class Writer(Protocol):
    """The objects of one kind."""

    entries: Entries

    def content(self, entry: str) -> str:
        """Return the `digest` of the wanted content of an object."""
        ...

    def apply(self, action: Action) -> None:
        """Make one change. Called concurrently.

        Raises:
            MadeByAnother: it is not a change of this step; the object belongs to the release and is as wanted.
            StepError: the change failed. It may have been made unless the error is permanent.
        """
        ...


class PlannedWriter(Writer, Protocol):
    """The objects of one kind in the values."""

    @property
    def block(self) -> Block:
        """The values of these objects."""
        ...


def record_unchanged(plan: Plan, writer: PlannedWriter) -> None:
    """Report what a plan leaves alone, and enter into the ledger what already is as the plan requires it."""
    report_left_alone(plan, writer.entries, writer.block)
    for entry in plan.kept:
        writer.entries.confirm(entry, writer.content(entry))
    for entry in plan.gone:
        writer.entries.drop(entry)


def make_changes(
    actions: Sequence[Action], writer: Writer, ledger: Ledger, concurrency: ConcurrencyLimit, summary: Summary
) -> list[Failure]:
    """Make changes of one kind, deletions first, and return the failed ones. A failed change does not block others."""
    failed: list[Failure] = []
    elsewhere: list[Action] = []
    with ChangeProgress(len(actions)) as progress:

        def work(action: Action) -> None:
            try:
                writer.apply(action)
                done = str(action)
            except MadeByAnother:
                elsewhere.append(action)
                done = f"{action.kind} {action.name} was created in the meantime"
            if action.verb == "delete":
                writer.entries.drop(action.entry)
            else:
                writer.entries.confirm(action.entry, writer.content(action.entry))
            progress.done(done)

        for part in _parts(actions):
            writer.entries.mark(action.entry for action in part)
            ledger.save()
            broken = each(part, work, concurrency)
            failed += broken
            for action, error in broken:
                if not error.retryable or error.id in _NOTHING_CHANGED:
                    writer.entries.revert(action.entry)
            ledger.save()
    others = {id(action) for action in (*elsewhere, *(action for action, _ in failed))}
    summary.count(action for action in actions if id(action) not in others)
    summary.unchanged += len(elsewhere)
    summary.failed += len(failed)
    return failed


def _parts(actions: Sequence[Action]) -> Iterator[Sequence[Action]]:
    """Yield the changes to make before the ledger is saved: deletions first, since their names may be used again."""
    for deletions in (True, False):
        group = [action for action in actions if (action.verb == "delete") is deletions]
        for begin in range(0, len(group), SAVE_EVERY):
            yield group[begin : begin + SAVE_EVERY]
