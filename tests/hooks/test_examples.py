import csv
import hashlib
import io
import math

import pytest

from kuscia_hooks.tables import examples

ALICE = [
    "id1",
    "age",
    "education",
    "default",
    "balance",
    "housing",
    "loan",
    "day",
    "duration",
    "campaign",
    "pdays",
    "previous",
    "job_blue-collar",
    "job_entrepreneur",
    "job_housemaid",
    "job_management",
    "job_retired",
    "job_self-employed",
    "job_services",
    "job_student",
    "job_technician",
    "job_unemployed",
    "marital_divorced",
    "marital_married",
    "marital_single",
]
BOB = [
    "id2",
    "contact_cellular",
    "contact_telephone",
    "contact_unknown",
    "month_apr",
    "month_aug",
    "month_dec",
    "month_feb",
    "month_jan",
    "month_jul",
    "month_jun",
    "month_mar",
    "month_may",
    "month_nov",
    "month_oct",
    "month_sep",
    "poutcome_failure",
    "poutcome_other",
    "poutcome_success",
    "poutcome_unknown",
    "y",
]


@pytest.fixture(scope="module")
def tables() -> dict[str, list[list[str]]]:
    """Return the rows of both files, header first."""
    return {name: list(csv.reader(io.StringIO(examples.table(name).decode()))) for name in ("alice", "bob")}


@pytest.mark.parametrize(("name", "columns"), [("alice", ALICE), ("bob", BOB)])
def test_examples_have_expected_shape(tables: dict[str, list[list[str]]], name: str, columns: list[str]) -> None:
    head, *rows = tables[name]
    assert head == columns
    assert len(rows) == 9892
    assert {len(row) for row in rows} == {len(columns)}
    ids = [int(row[0]) for row in rows]
    assert ids == sorted(set(ids))
    assert (ids[0], ids[-1]) == (0, 11159)


def test_examples_have_8760_ids_in_common(tables: dict[str, list[list[str]]]) -> None:
    alice, bob = ({row[0] for row in rows[1:]} for rows in tables.values())
    assert len(alice & bob) == 8760
    assert alice != bob


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_features_are_standardized(tables: dict[str, list[list[str]]], name: str) -> None:
    head, *rows = tables[name]
    for index, column in enumerate(head):
        if column in ("id1", "id2", "y"):
            continue
        values = [float(row[index]) for row in rows]
        mean = math.fsum(values) / len(values)
        deviation = math.sqrt(math.fsum(value * value for value in values) / len(values))
        assert mean == pytest.approx(0, abs=1e-9), column
        assert deviation == pytest.approx(1, abs=1e-9), column


def test_labels_have_expected_balance(tables: dict[str, list[list[str]]]) -> None:
    labels = [row[-1] for row in tables["bob"][1:]]
    assert (labels.count("0"), labels.count("1")) == (5155, 4737)


def test_examples_are_the_same_bytes_everywhere() -> None:
    digests = {name: hashlib.sha256(examples.table(name)).hexdigest() for name in ("alice", "bob")}
    assert digests == {
        "alice": "06531f9cf2d8ffe69f800d2ad8bd0541dbbb1a8c7a4b24a220f424717feadca6",
        "bob": "291783a5c0a5372a0359de52153b3664f3cbc00daa596343acd99def7f1a2c10",
    }
