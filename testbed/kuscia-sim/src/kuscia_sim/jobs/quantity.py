"""Kubernetes resource quantities ("100m", "64Mi", "1.5")."""

import math
import re
from decimal import Decimal

_FORM = re.compile(r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$")
_SUFFIXES = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(1000),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("MGTPE", start=2)},
    **{suffix + "i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}
BAD_FORM = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
BAD_SUFFIX = "unable to parse quantity's suffix"


def parse(text: str) -> Decimal:
    """Return the value in base units (cores, bytes).

    Raises:
        ValueError: the quantity is invalid, with the text of Kubernetes (recorded: note 'job create bad cpu').
    """
    match = _FORM.match(text)
    if not match or match[1].count(".") > 1 or not any(char.isdigit() for char in match[1]):
        raise ValueError(BAD_FORM)
    number, suffix = match.groups()
    if suffix in _SUFFIXES:
        return Decimal(number) * _SUFFIXES[suffix]
    if re.fullmatch(r"[eE][-+]?[0-9]+", suffix):
        return Decimal(number) * Decimal(10) ** int(suffix[1:])
    raise ValueError(BAD_SUFFIX)


def ceil(text: str) -> int:
    """Return the value rounded up to a whole number, as Go's Quantity.Value()."""
    return math.ceil(parse(text))


def share(text: str, parts: int) -> str:
    """Return one of `parts` equal shares, in thousandths if it is not a whole number; the text itself for 1."""
    if parts <= 1:
        return text
    each = parse(text) / parts
    return str(int(each)) if each == int(each) else f"{int(each * 1000)}m"
