"""The generator: reproducible files that reach every value, and that Helm reads as they are meant."""

import json
from collections.abc import Iterator
from typing import Any

import yaml

from tests.fuzz import scalars
from tests.fuzz.generator import PASSED_THROUGH, Generator
from tests.fuzz.minimize import minimize
from tests.fuzz.values import Plain, dump, merge, put

GENERATOR = Generator()


def test_the_same_seed_and_number_give_the_same_file() -> None:
    """Whatever files a generator made before."""
    numbers = range(50)
    first = {number: GENERATOR.case(1, number) for number in numbers}
    other = Generator()
    assert {number: other.case(1, number) for number in reversed(numbers)} == first
    assert {number: other.case(2, number) for number in numbers} != first
    assert len({case.text() for case in first.values()}) > 45


def test_writes_texts_that_yaml_reads_back() -> None:
    tree = {text: [text, {"a": {text: text}}, [[text], []]] for text in scalars.TEXTS if len(text) < 1000}
    assert yaml.safe_load(dump(tree)) == tree


def test_writes_plain_scalars_without_quotes() -> None:
    assert yaml.safe_load(dump({"a": [Plain("0x10"), "0x10"], "b": Plain("~")})) == {"a": [16, "0x10"], "b": None}


def test_merges_values_as_helm_does() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": [1, 2], "e": None}
    assert merge(base, {"a": {"b": None, "x": {}}, "d": [3]}) == {"a": {"c": 2, "x": {}}, "d": [3], "e": None}


def test_changes_one_item_of_a_list_and_keeps_the_others() -> None:
    tree: dict[str, object] = {}
    put(tree, ("a", "b", 1, "c"), 5, {"a": {"b": [{"x": 1}, {"c": 2, "y": 3}], "z": 4}})
    assert tree == {"a": {"b": [{"x": 1}, {"c": 5, "y": 3}]}}


def _parts(schema: Any = GENERATOR.schema, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every part of the schema with its place, as in the notes of a case."""
    part = GENERATOR.resolve(schema)
    yield place, part
    for name, child in part.get("properties", {}).items():
        yield from _parts(child, (*place, name))
    for word, sign in (("items", "[]"), ("additionalProperties", "*")):
        if isinstance(part.get(word), dict):
            yield from _parts(part[word], (*place, sign))


def test_reaches_every_value_of_the_schema() -> None:
    missing = {place for place, _ in _parts() if not set(place[:-1]) & PASSED_THROUGH.keys()}
    for number in range(4000):
        for note in GENERATOR.case(1, number).notes:
            place = tuple(note.split("."))
            missing -= {place[:length] for length in range(len(place) + 1)}
        if not missing:
            break
    assert missing == set()


def test_knows_every_block_that_the_chart_passes_through() -> None:
    """An open list or mapping of the schema is in PASSED_THROUGH, or is for Kuscia."""
    open_keys = set()
    for place, part in _parts():
        kinds = part.get("type", [])
        is_open = ("object" in kinds and not part.keys() & {"properties", "additionalProperties"}) or (
            "array" in kinds and "items" not in part
        )
        if is_open and not set(place) & PASSED_THROUGH.keys() and "appImages" not in place:
            open_keys.add(place[-1])
    assert open_keys <= {"extraConfig", "global", "common"}


def test_minimizes_to_what_the_fault_needs() -> None:
    case = next(
        case for case in (GENERATOR.case(1, number) for number in range(99)) if len(json.dumps(case.tree)) > 300
    )
    tree = {**case.tree, "x": {"y": [1, {"z": "fault", "w": 2}], "v": 3}}
    smallest = minimize(
        GENERATOR.case(1, 0).__class__("a", tree, ("alice", "runp"), "release", "namespace"),
        lambda smaller: "fault" in json.dumps(smaller.tree) and smaller.release == "release",
    )
    assert (smallest.tree, smallest.presets, smallest.release, smallest.namespace) == (
        {"x": {"y": [{"z": "fault"}]}},
        (),
        "release",
        "ns",
    )
