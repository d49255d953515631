"""What a CSV file holds, read once from the beginning."""

from collections.abc import Iterable, Iterator

ORC = b"ORC"
"""What a file in the format of SecretFlow's results begins with, whatever its name: its PSI writes no CSV."""


def is_csv(name: str) -> bool:
    """Whether a file is known by its name to begin with the names of its columns."""
    return name.lower().endswith(".csv")


def shape(chunks: Iterable[bytes]) -> tuple[int, list[str]]:
    """Number of data rows, and the columns' names, of a CSV file without line breaks in its values."""
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
