from decimal import Decimal

import pytest

from kuscia_hooks.core.quantity import parse_quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", "0"),
        (2, "2"),
        (0.5, "0.5"),
        ("500m", "0.5"),
        (".5", "0.5"),
        ("1.", "1"),
        ("250u", "0.00025"),
        ("100n", "0.0000001"),
        ("2k", "2000"),
        ("1.5Gi", "1610612736"),
        ("4Ki", "4096"),
        ("1Ei", "1152921504606846976"),
        ("1E", "1000000000000000000"),
        ("1e3", "1000"),
        ("12E2", "1200"),
        ("-1", "-1"),
    ],
)
def test_parses_quantity(text: object, number: str) -> None:
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "1KiB", "Gi", "1mm", "--1", "1e", "."])
def test_rejects_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity(text)
