"""Errors of the steps: a stable ID from the catalog, what is wrong, and how to fix it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from kuscia_hooks.core.catalog import CATALOG
from kuscia_hooks.core.text import printable_lines

E = TypeVar("E", bound=BaseException)
SHOWN = 10
"""How many of several errors are printed."""


class StepError(Exception):
    """A step cannot do its work. Raise one of the subclasses.

    Args:
        error_id: ID in the catalog, such as `secret-not-found`; it determines the subclass.
        message: the cause, with names and values; never a secret.
        fix: the command or sentence that fixes it; "" if the message contains it.
        see: a command that shows more; "" for no command.

    Raises:
        ValueError: the ID is not in the catalog, or is listed there for the other subclass.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, error_id: str, message: str, fix: str = "", see: str = "") -> None:
        message = printable_lines(message)
        super().__init__(message)
        entry = CATALOG.get(error_id)
        if entry is None or entry.warning:
            raise ValueError(f"error ID {error_id} is not in the catalog")
        if entry.retryable is not self.retryable:
            raise ValueError(f"error ID {error_id} is raised as {type(self).__name__}, the catalog says otherwise")
        self.id = error_id
        self.message = message
        self.fix = printable_lines(fix)
        self.see = printable_lines(see)

    def __str__(self) -> str:
        """Return `[id] message`, with the fix and the command that shows more on separate lines."""
        lines = [f"[{self.id}] {self.message}"]
        lines += [f"    {label}: {text}" for label, text in (("fix", self.fix), ("see", self.see)) if text]
        return "\n".join(lines)


@dataclass(frozen=True)
class StepWarning:
    """A condition that an operator should know, and that does not stop a step.

    Args:
        id: ID of a warning in the catalog.
        message: the cause, with names and values; never a secret.
        fix: the command or sentence that fixes it; "" if the message contains it.

    Raises:
        ValueError: the catalog has no warning with this ID.
    """

    id: str
    message: str
    fix: str = ""

    def __post_init__(self) -> None:
        entry = CATALOG.get(self.id)
        if entry is None or not entry.warning:
            raise ValueError(f"warning ID {self.id} is not in the catalog")
        object.__setattr__(self, "message", printable_lines(self.message))
        object.__setattr__(self, "fix", printable_lines(self.fix))


class RetryableError(StepError):
    """The condition may clear without a change to the step's input: the step retries.

    Args:
        retry_after: seconds before which the other side does not want another request.
    """

    retryable = True

    def __init__(self, error_id: str, message: str, fix: str = "", see: str = "", retry_after: float = 0.0) -> None:
        super().__init__(error_id, message, fix, see)
        self.retry_after = retry_after


class PermanentError(StepError):
    """Retrying does not help: manual action is required."""

    retryable = False


class DeadlineExceeded(StepError):
    """The deadline passed while the step was waiting. It has the ID, fix and command of the last error.

    Args:
        what: what the step was waiting for.
        seconds: how long it waited.
        last: the error of the last attempt.
    """

    def __init__(self, what: str, seconds: float, last: StepError) -> None:
        Exception.__init__(self, last.message)
        self.id, self.fix, self.see = last.id, last.fix, last.see
        self.message = f"timed out after {seconds:.0f} s waiting for {what}: {last.message}"


@dataclass(frozen=True)
class Problem:
    """One wrong value of a configuration.

    Args:
        id: ID of the rule. A rule that the chart checks too has the chart's ID.
        path: the value's path, such as `domains.alice.endpoint`.
        rule: what the value must be, such as "must start with http:// or https://".
        value: the value as text; "" for a missing one.
    """

    id: str
    path: str
    rule: str
    value: str = ""

    def __str__(self) -> str:
        return f"[{self.id}] {self.path}: {self.rule}" + (f" (value: {self.value})" if self.value else "")


class ConfigError(PermanentError):
    """The configuration of the step is invalid. A running step does not see changes to it, so the step exits.

    Args:
        problems: the wrong values, where they are known one by one.
    """

    def __init__(
        self, error_id: str, message: str, fix: str = "", see: str = "", problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(error_id, message, fix, see)
        self.problems = tuple(problems)


def invalid(where: str, problems: Sequence[Problem]) -> ConfigError:
    """Return the error that lists the wrong values of one configuration.

    Args:
        where: the file, or the object that holds the configuration.
    """
    count = "1 invalid value" if len(problems) == 1 else f"{len(problems)} invalid values"
    lines = [f"{where} has {count}:", *(f"  - {problem}" for problem in problems)]
    fix = "correct the values of the release, then upgrade it"
    return ConfigError("invalid-config", "\n".join(lines), fix=fix, problems=problems)


def reworded(error: StepError, message: str) -> StepError:
    """Return an error with another message, such as one that names an object."""
    kind = RetryableError if error.retryable else PermanentError
    return kind(error.id, message, error.fix, error.see)


def cause_of(error: BaseException | None, kind: type[E]) -> E | None:
    """Return the first of `error` and its causes that is of a kind, or None."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


def merged(errors: Sequence[StepError], *, finish: bool = False) -> StepError:
    """Return several errors as one, which is permanent when one of them is. Raises ValueError for none.

    One error of several items, such as that of all requests to a server that is gone, is listed once.

    Args:
        finish: return a retryable error when one of them is, so that the step finishes what it can before it fails for
            what requires manual action.
    """
    if not errors:
        raise ValueError("no errors to merge")
    errors = list({id(error): error for error in errors}.values())
    if len(errors) == 1:
        return errors[0]
    lines = [f"{len(errors)} errors:", *(f"  - {error}".replace("\n", "\n    ") for error in errors[:SHOWN])]
    if len(errors) > SHOWN:
        lines.append(f"  and {len(errors) - SHOWN} more")
    permanent = (all if finish else any)(isinstance(error, PermanentError) for error in errors)
    message = "\n".join(lines)
    return PermanentError("several-errors", message) if permanent else RetryableError("several-retryable", message)
