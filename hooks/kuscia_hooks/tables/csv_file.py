"""CSV files: the only reader of their headers and rows, for all steps, and recognition of files that are not CSV.

What engines cannot read is an error here, before a table is uploaded or declared.
"""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from kuscia_hooks.core.errors import PermanentError
from kuscia_hooks.core.text import first_of, printable

HEADER_BYTES = 1 << 20
"""Longer than any header. A file without a line break in its first `HEADER_BYTES` bytes is not a CSV file."""
_BLOCK = 1 << 20
_MARK = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BEGIN = 1024
_MARKUP = re.compile(rb"<[a-z!?/]", re.IGNORECASE)
_JSON = re.compile(rb"[{\[]\s*([\"{}\[\]]|$)")
_MAGIC = (
    (re.compile(rb"\x1f\x8b"), "a gzip file"),
    (re.compile(rb"PK(\x03\x04|\x05\x06)"), "a ZIP archive or an Excel workbook"),
    (re.compile(rb"BZh[1-9]1AY&SY"), "a bzip2 file"),
    (re.compile(rb"\xfd7zXZ\x00"), "an xz file"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "a Zstandard file"),
    (re.compile(rb"7z\xbc\xaf\x27\x1c"), "a 7-Zip archive"),
    (re.compile(rb"%PDF-"), "a PDF document"),
    (re.compile(rb"\xd0\xcf\x11\xe0"), "an Excel workbook"),
    (re.compile(rb"PAR1"), "a Parquet file"),
)


def is_csv(name: str) -> bool:
    """Return whether the name is that of a CSV file."""
    return name.lower().endswith(".csv")


def is_orc(begin: bytes) -> bool:
    """Return whether a file with this beginning is an ORC file.

    SecretFlow's PSI writes its results in this format, also under names in .csv. A CSV header may begin with the same
    three letters, but has no zero bytes.
    """
    return begin.startswith(b"ORC") and b"\0" in begin[:_BEGIN]


def document(begin: bytes) -> str:
    """Return what a file is that begins with these bytes if it is empty, HTML, XML or JSON; otherwise ""."""
    text = begin.removeprefix(_MARK).lstrip()
    if not text:
        return "an empty file"
    if _MARKUP.match(text):
        return "an HTML page" if b"html" in text[:_BEGIN].lower() else "an XML document"
    return "a JSON document" if _JSON.match(text) else ""


def binary(begin: bytes) -> str:
    """Return which binary format a file has that begins with these bytes; "" for text."""
    for magic, name in _MAGIC:
        if magic.match(begin):
            return name
    if is_orc(begin):
        return "an ORC file"
    return "a binary file" if b"\0" in begin[:_BEGIN] and not begin.startswith(_UTF16) else ""


def blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of a stream in blocks."""
    while block := stream.read(_BLOCK):
        yield block


def header(chunks: Iterable[bytes], where: str) -> list[str]:
    """Return the column names in the first row of a CSV file. Spaces around names and after commas do not count.

    Args:
        chunks: the content from its beginning; read as far as needed.
        where: name of the file for messages.

    Raises:
        PermanentError: the file is not CSV (`not-a-table`) or engines cannot use its header (`table-header-invalid`).
    """
    return _header(_lines(_csv(chunks, where), where), where)


def shape(chunks: Iterable[bytes], where: str) -> tuple[int, list[str]]:
    """Return the number of data rows and the column names of a CSV file. Raises PermanentError; see `header`."""
    lines = _lines(_csv(chunks, where), where)
    names = _header(lines, where)
    try:
        return sum(1 for row in csv.reader(lines) if len(row) > 1 or "".join(row).strip()), names
    except csv.Error as error:
        raise PermanentError("table-row-invalid", f"invalid row in {where}: {error}") from error


def verify_text(chunks: Iterable[bytes], where: str) -> None:
    """Verify that a file is UTF-8 to its end. Raises PermanentError `table-row-invalid`."""
    decoder, passed = codecs.getincrementaldecoder("utf-8")(), 0
    try:
        for chunk in chunks:
            decoder.decode(chunk)
            passed += len(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _not_utf8(where, passed + error.start) from error


def not_a_table(where: str, found: str) -> PermanentError:
    """Return the error of a file that is something else.

    Args:
        found: its format, such as "an HTML page".
    """
    fix = "provide the table as CSV in UTF-8; an HTML page is often the login page of the server"
    return PermanentError("not-a-table", f"{where} is {found}, not a table", fix=fix)


def _csv(chunks: Iterable[bytes], where: str) -> Iterator[bytes]:
    """Yield the chunks of a file, the first one with at least `_BEGIN` bytes, unless it is obviously not CSV."""
    begin, rest = b"", iter(chunks)
    for chunk in rest:
        begin += chunk
        if len(begin) >= _BEGIN:
            break
    if found := document(begin) or binary(begin):
        raise not_a_table(where, found)
    yield begin
    yield from rest


def _lines(chunks: Iterable[bytes], where: str) -> Iterator[str]:
    """Yield the lines of a UTF-8 file with their line breaks."""
    pending, offset = b"", 0
    for chunk in chunks:
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            yield _decoded(line, offset, where) + "\n"
            offset += len(line) + 1
        if len(pending) >= HEADER_BYTES:
            raise PermanentError(
                "table-row-invalid", f"no line break in {HEADER_BYTES} bytes of {where}", fix="provide a CSV file"
            )
    if pending:
        yield _decoded(pending, offset, where)


def _decoded(line: bytes, offset: int, where: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(where, offset + error.start) from error


def _not_utf8(where: str, offset: int) -> PermanentError:
    fix = "save the file as CSV in UTF-8, for example with: iconv -f GB18030 -t UTF-8"
    return PermanentError("table-row-invalid", f"{where} is not UTF-8 (near byte {offset})", fix=fix)


def _header(lines: Iterator[str], where: str) -> list[str]:
    try:
        names = [name.strip() for name in next(csv.reader(lines, skipinitialspace=True, strict=True), [])]
    except csv.Error as error:
        raise _invalid(where, f"not a CSV row ({error})", "save the file as CSV in UTF-8") from error
    except PermanentError as error:
        if error.id == "not-a-table":
            raise
        raise _invalid(where, error.message, error.fix) from error
    if not any(names):
        raise _invalid(where, "the first line is empty", "the first line must contain the column names")
    if names[0].startswith("\N{ZERO WIDTH NO-BREAK SPACE}"):
        # Engines read it as a part of the first column name.
        raise _invalid(where, "the file begins with a byte order mark", "save it as UTF-8 without a byte order mark")
    if unnamed := [str(number) for number, name in enumerate(names, 1) if not name]:
        raise _invalid(where, f"columns without a name: number {first_of(unnamed)}", "name or remove these columns")
    if repeated := [repr(printable(name)) for name, count in Counter(names).items() if count > 1]:
        fix = "rename the columns; names must be unique"
        raise _invalid(where, f"duplicate columns: {first_of(repeated)}", fix)
    return names


def _invalid(where: str, cause: str, fix: str) -> PermanentError:
    return PermanentError("table-header-invalid", f"invalid header of {where}: {cause}", fix=fix)
