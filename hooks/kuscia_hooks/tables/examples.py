"""The example tables alice.csv and bob.csv, generated deterministically.

They have the shape of the tables that come with Kuscia's image (Kuscia facts chapter 8, a bank-marketing data
set split by columns): names, types, number of rows, ids with gaps, standardized features, and the balance of
`y`. The content is random. Only `Random.random`, sums and square roots are used, whose results are the same
on every machine.
"""

import math
from collections.abc import Sequence
from random import Random

ROWS = 9892
LAST_ID = 11159
COMMON = 8760
POSITIVE = 4737
JOBS = [
    "blue-collar",
    "entrepreneur",
    "housemaid",
    "management",
    "retired",
    "self-employed",
    "services",
    "student",
    "technician",
    "unemployed",
]
ALICE_COLUMNS = [
    "id1",
    *[
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
    ],
    *(f"job_{job}" for job in JOBS),
    "marital_divorced",
    "marital_married",
    "marital_single",
]
MONTHS = ["apr", "aug", "dec", "feb", "jan", "jul", "jun", "mar", "may", "nov", "oct", "sep"]
BOB_COLUMNS = [
    "id2",
    *(f"contact_{kind}" for kind in ("cellular", "telephone", "unknown")),
    *(f"month_{month}" for month in MONTHS),
    *(f"poutcome_{outcome}" for outcome in ("failure", "other", "success", "unknown")),
    "y",
]


def table(name: str) -> bytes:
    """Return the CSV file of party `alice` or `bob`; the bytes are the same on every call."""
    return _alice() if name == "alice" else _bob()


def ids(name: str) -> list[int]:
    """Return the ids of a party in ascending order.

    Both parties have `COMMON` of them, which include the first and the last possible id.
    """
    random = Random("kuscia-hooks ids")  # noqa: S311
    inner = sorted(range(1, LAST_ID), key=lambda _: random.random())
    common = [0, LAST_ID, *inner[: COMMON - 2]]
    own = ROWS - COMMON
    begin = COMMON - 2 + (0 if name == "alice" else own)
    return sorted(common + inner[begin : begin + own])


def _alice() -> bytes:
    random = Random("kuscia-hooks alice")  # noqa: S311
    columns: list[Sequence[float]] = [
        [18 + math.floor(77 * random.random() * random.random()) for _ in range(ROWS)],
        [math.floor(4 * random.random()) for _ in range(ROWS)],
        _flag(random, 0.015),
        [math.floor(_bell(random) * 3000 + 1500) for _ in range(ROWS)],
        _flag(random, 0.47),
        _flag(random, 0.13),
        [1 + math.floor(31 * random.random()) for _ in range(ROWS)],
        [2 + math.floor(1500 * random.random() * random.random() * random.random()) for _ in range(ROWS)],
        [1 + math.floor(12 * random.random() * random.random() * random.random()) for _ in range(ROWS)],
        [-1 if random.random() < 0.75 else math.floor(800 * random.random()) for _ in range(ROWS)],
        [0 if random.random() < 0.75 else 1 + math.floor(8 * random.random()) for _ in range(ROWS)],
    ]
    columns += _one_of(random, [0.17, 0.03, 0.02, 0.23, 0.07, 0.04, 0.08, 0.03, 0.16, 0.03])
    columns += _one_of(random, [0.12, 0.57, 0.31])
    return _csv(ALICE_COLUMNS, ids("alice"), [_standardized(column) for column in columns])


def _bob() -> bytes:
    random = Random("kuscia-hooks bob")  # noqa: S311
    columns: list[Sequence[float]] = []
    columns += _one_of(random, [0.72, 0.07, 0.21])
    columns += _one_of(random, [0.08, 0.14, 0.01, 0.07, 0.03, 0.14, 0.11, 0.02, 0.26, 0.08, 0.04, 0.02])
    columns += _one_of(random, [0.11, 0.05, 0.09, 0.75])
    success = columns[17]
    score = [random.random() + 0.6 * success[row] for row in range(ROWS)]
    positive = set(sorted(range(ROWS), key=score.__getitem__)[-POSITIVE:])
    label = [str(int(row in positive)) for row in range(ROWS)]
    return _csv(BOB_COLUMNS, ids("bob"), [*(_standardized(column) for column in columns), label])


def _bell(random: Random) -> float:
    """Return a nearly normal random number with mean 0 and deviation 1."""
    return math.fsum(random.random() for _ in range(12)) - 6


def _flag(random: Random, share: float) -> list[float]:
    return [float(random.random() < share) for _ in range(ROWS)]


def _one_of(random: Random, shares: Sequence[float]) -> list[Sequence[float]]:
    """Return one column of 0 and 1 for each share.

    In a row at most one column is 1, with the probability of its share.
    """
    columns = [[0.0] * ROWS for _ in shares]
    for row in range(ROWS):
        rest = random.random()
        for column, share in zip(columns, shares, strict=True):
            if rest < share:
                column[row] = 1.0
                break
            rest -= share
    return list(columns)


def _standardized(column: Sequence[float]) -> list[str]:
    mean = math.fsum(column) / ROWS
    deviation = math.sqrt(math.fsum((value - mean) * (value - mean) for value in column) / ROWS)
    return [repr((value - mean) / deviation) for value in column]


def _csv(names: list[str], keys: list[int], columns: list[list[str]]) -> bytes:
    lines = [",".join(names)]
    lines += [",".join([str(key), *values]) for key, values in zip(keys, zip(*columns, strict=True), strict=True)]
    return ("\n".join(lines) + "\n").encode()
