import gzip
from collections.abc import Iterator

import pytest

from kuscia_hooks.tables import csv_file
from tests.hooks.failing import fails


def split(content: bytes, size: int) -> Iterator[bytes]:
    for begin in range(0, len(content), size):
        yield content[begin : begin + size]


@pytest.mark.parametrize(
    ("content", "names", "rows"),
    [
        (b"id1,age\n1,2\n", ["id1", "age"], 1),
        (b"id1,age\n1,2\n3,4", ["id1", "age"], 2),
        (b"id1, age\r\n1,2\r\n\r\n", ["id1", "age"], 1),
        (b'"id,1","a ""b"""\n', ["id,1", 'a "b"'], 0),
        (b'id, age,"a,b"\n1,2,3\n', ["id", "age", "a,b"], 1),
        (b'id, "a,b"\n1,"x\r\ny"\n2,z\n', ["id", "a,b"], 2),
        (b'"first\nname",id\n1,2\n', ["first\nname", "id"], 1),
        ("姓名,age\n张三,7\n".encode(), ["姓名", "age"], 1),
        (b"ORC,ORCID\n1,2\n", ["ORC", "ORCID"], 1),
    ],
)
@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_reads_header_and_rows(content: bytes, names: list[str], rows: int, block: int) -> None:
    assert csv_file.header(split(content, block), "f") == names
    assert csv_file.shape(split(content, block), "f") == (rows, names)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\nid1\n", id="empty line"),
        pytest.param(b" , \n1,2\n", id="only spaces"),
        pytest.param(b"\xef\xbb\xbfid1\n", id="byte order mark"),
        pytest.param(b"id1,\xff\n", id="not UTF-8"),
        pytest.param("编号,年龄\n".encode("gb18030"), id="GB 18030"),
        pytest.param("id1,age\n".encode("utf-16"), id="UTF-16"),
        pytest.param(b"x" * csv_file.HEADER_BYTES, id="no line break"),
        pytest.param(b"id1,,age\n1,2,3\n", id="column without a name"),
        pytest.param(b"id1,age,\n1,2,\n", id="comma at the end"),
        pytest.param(b"id1,age,id1\n", id="duplicate columns"),
        pytest.param(b'id1,"age\n1,2\n', id="quote that does not end"),
        pytest.param(b"id1,age\r1,2\r", id="line breaks of old Macs"),
    ],
)
@pytest.mark.parametrize("read", [csv_file.header, csv_file.shape])
def test_rejects_invalid_header(content: bytes, read) -> None:
    with fails("table-header-invalid") as caught:
        read([content], "bucket/f.csv")
    assert "bucket/f.csv" in caught.value.message


def test_names_duplicate_columns() -> None:
    with fails("table-header-invalid") as caught:
        csv_file.header([b"id1,age,id1\n"], "f")
    assert "'id1'" in caught.value.message
    assert "age" not in caught.value.message


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b" \r\n\n", id="only white space"),
        pytest.param(b"<!DOCTYPE html><html><body>Please log in</body></html>", id="HTML"),
        pytest.param(b"\n  <HTML>\n", id="HTML without a type"),
        pytest.param(b"\xef\xbb\xbf<!doctype html>", id="HTML after a byte order mark"),
        pytest.param(b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', id="XML"),
        pytest.param(b'{"error": "unauthorized", "code": 401}\n', id="JSON object"),
        pytest.param(b'[\n  {"id1": 1}\n]\n', id="JSON list"),
        pytest.param(b"{}", id="empty JSON object"),
        pytest.param(gzip.compress(b"id1\n1\n"), id="gzip"),
        pytest.param(b"PK\x03\x04rest", id="ZIP"),
        pytest.param(b"%PDF-1.7\n", id="PDF"),
        pytest.param(b"PAR1\x15\x04", id="Parquet"),
        pytest.param(b"ORC\x11\n\x00", id="ORC"),
        pytest.param(b"\x7fELF\x02\x01\x01\x00\x00", id="binary"),
    ],
)
@pytest.mark.parametrize("block", [1, 1 << 20])
def test_rejects_what_is_not_a_table(content: bytes, block: int) -> None:
    for read in (csv_file.header, csv_file.shape):
        with fails("not-a-table"):
            read(split(content, block), "f.csv")


def test_names_the_row_that_is_not_utf8() -> None:
    content = b"id1,name\n1,a\n" + "2,张\n".encode("gb18030")
    assert csv_file.header([content], "f") == ["id1", "name"]
    for read in (lambda: csv_file.shape([content], "f"), lambda: csv_file.verify_text(split(content, 3), "f")):
        with fails("table-row-invalid") as caught:
            read()
        assert "byte 15" in caught.value.message


def test_text_may_be_split_within_a_character() -> None:
    csv_file.verify_text(split("id1\n张\n".encode(), 1), "f")


def test_large_field_is_an_error() -> None:
    with fails("table-row-invalid"):
        csv_file.shape([b"id1\n", b'"' + b"x\n" * 200_000], "f")
