"""The form of a rule of a value. The rules are in value_rules.py, which is generated."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ValueRule:
    """What a text must match: `pattern`, not `excluded`, and at most `max_length` characters."""

    id: str
    rule: str
    pattern: str = ""
    excluded: str = ""
    max_length: int = 0
