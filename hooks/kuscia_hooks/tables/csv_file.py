"""The shape of a CSV file, read once from the beginning."""

from collections.abc import Iterable, Iterator

ORC = b"ORC"
"""First bytes of an ORC file. SecretFlow's PSI writes its results in this format, also under names in .csv."""


def is_csv(name: str) -> bool:
    """Return whether the name is that of a CSV file."""
    return name.lower().endswith(".csv")


def shape(chunks: Iterable[bytes]) -> tuple[int, list[str]]:
    """Return the number of data rows and the column names of a CSV file whose values have no line breaks."""
    lines = _lines(chunks)
    header = next(lines, b"").decode(errors="replace")
    return sum(1 for line in lines if line.strip()), [part.strip('"') for part in header.strip().split(",")]


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest
