"""What can go wrong, told apart by what helps: time, or a person."""


class HookError(Exception):
    """Something is not as the step needs it.

    Args:
        message: what is wrong, with names and values, never with secrets.
        show: a command that shows more; "" where there is none.
    """

    def __init__(self, message: str, show: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.show = show

    def __str__(self) -> str:
        return f"{self.message}\n    see: {self.show}" if self.show else self.message


class NotYet(HookError):
    """May come right by itself: the step tries again."""


class NeedsHuman(HookError):
    """Does not come right by itself, or has to be mended outside."""


class ConfigError(NeedsHuman):
    """The step's own configuration is wrong; the same process cannot see it change, so it ends."""


def merged(errors: list[HookError]) -> HookError:
    """Several failures as one: it needs a person as soon as one of them does."""
    if len(errors) == 1:
        return errors[0]
    kind = NeedsHuman if any(isinstance(error, NeedsHuman) for error in errors) else NotYet
    shown = errors[:10]
    lines = [f"{len(errors)} failed:", *(f"  - {error}" for error in shown)]
    if len(errors) > len(shown):
        lines.append(f"  … and {len(errors) - len(shown)} more")
    return kind("\n".join(lines))
