"""The steps: each module makes one attempt of its step, given settings and a context.

`core.waiting.run` calls `attempt` until it succeeds. Every attempt reads what exists and does what is left to do.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, TypeVar

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.plan import Summary
from kuscia_hooks.core.waiting import Deadline
from kuscia_hooks.kuscia.concurrency import ConcurrencyLimit

S_contra = TypeVar("S_contra", contravariant=True)


@dataclass
class Context:
    """What a step works with, the same object for all of its attempts.

    Args:
        deadline: end of all waiting.
        connect: opens the Kubernetes client; not called by a step that needs none.
        dry_run: print the plan and change nothing.
        verify: read every object instead of trusting the ledger.
        summary: counts of all attempts.
        concurrency: limit of parallel writes; earlier attempts may have changed it.
        reads: limit of parallel queries. A master answers more queries than writes at a time.
    """

    deadline: Deadline
    connect: Callable[[], Kube] = Kube
    dry_run: bool = False
    verify: bool = False
    summary: Summary = field(default_factory=Summary)
    concurrency: ConcurrencyLimit = field(default_factory=ConcurrencyLimit)
    reads: ConcurrencyLimit = field(default_factory=ConcurrencyLimit)

    @cached_property
    def kube(self) -> Kube:
        return self.connect()

    def outcome(self) -> "Outcome":
        """Return the outcome of a step that made what was missing."""
        return Outcome(self.summary.line(self.deadline.elapsed()))


@dataclass(frozen=True)
class Outcome:
    """The result of a successful attempt.

    Args:
        line: the last line of the step.
        exit_code: 0 for success; 1 if the step ran and what it checked failed.
    """

    line: str
    exit_code: int = 0


class Step(Protocol[S_contra]):
    """A module of this package."""

    def attempt(self, settings: S_contra, context: Context) -> Outcome:
        """Do what is left to do; safe to repeat.

        Raises:
            RetryableError: an attempt later may succeed.
            PermanentError: manual action is required.
        """
        ...
