"""YAML that is written by Go and read by Python, and the reverse."""

import pytest
import yaml

from kuscia_hooks.core import yaml_text

# Plain scalars that YAML 1.1 and 1.2 read differently.
TEXTS = ["1e3", "0x10", "0x_", "0o7", "08", "1_000", "1:30", "=", "<<", "y", "n", "no", "On", "2001-01-01", ".5", "+1"]
TEXTS += [
    "2024",
    "null",
    "~",
    "true",
    "",
    "-",
    "- a",
    "a: b",
    "#x",
    "{x}",
    "*a",
    "&a",
    "!a",
    "%a",
    "@a",
    "`a",
    " a ",
    "é中\n",
]


@pytest.mark.parametrize("text", [repr(one) for one in ("=", "<<", "0x_", "0b_", "yes", "2001-01-01", "1e", "01")])
def test_reads_plain_text_as_text(text: str) -> None:
    plain = text.strip("'")
    assert yaml_text.read(f"a: {plain}") == {"a": plain}


def test_reads_the_types_of_json() -> None:
    text = "{a: null, b: true, c: false, d: 12, e: -1.5, f: 1e+21, g: , h: 0}"
    values = [None, True, False, 12, -1.5, 1e21, None, 0]
    assert list(yaml_text.read(text).values()) == values


@pytest.mark.parametrize("text", TEXTS)
def test_reads_back_every_text_that_it_writes(text: str) -> None:
    data = {text or "key": [text], "n": 1}
    written = yaml_text.write(data)
    assert yaml_text.read(written) == data
    assert yaml.safe_load(written) == data


@pytest.mark.parametrize("text", ["1e3", "0o7", "08", "y", "n", "1e+3"])
def test_quotes_text_that_go_reads_as_a_number_or_boolean(text: str) -> None:
    assert yaml_text.write({"domainID": text}) == f"domainID: '{text}'\n"
