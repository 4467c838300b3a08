"""CSV rows and cells, and the JSON object that a row becomes."""

import numpy as np
import pytest

from stream_ewma.payloads.delimited import (
    PLAIN_CELL,
    TIME_CELL,
    UTC_CELL,
    row_objects,
    scan_rows,
)


def objects(data: bytes, forms: list[int], *, delimiter: str = ",") -> list[bytes | None]:
    places = np.arange(len(forms), dtype=np.int64)
    rows, rest = scan_rows(data, ord(delimiter), places, len(forms), is_last=True)
    assert rest == len(data)
    literals = [b"[", *[b","] * (len(forms) - 1), b"]"]
    spans = row_objects(data, rows, len(forms), forms, literals)
    return [spans.item(row) for row in range(len(spans))]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a,b\n", [b'["a","b"]']),
        (b"a,b", [b'["a","b"]']),
        (b"a,b\r\nc,d\r\n", [b'["a","b"]', b'["c","d"]']),
        (b"\n\r\na,b\n\n", [b'["a","b"]']),
        (b",\n", [b"[null,null]"]),
        (b'"",""\n', [b"[null,null]"]),
        (b'"a,b","c\nd"\n', [rb'["a,b","c\u000ad"]']),
        (b'"say ""no""",x\n', [rb'["say \"no\"","x"]']),
        (b'a"b,"c"tail\n', [rb'["a\"b","c"]']),
        (b"a\\b,\x1f\n", [rb'["a\\b","\u001f"]']),
        (b'a,"not closed', [b'["a","not closed"]']),
        (b"a\na,b,c\n", [b"", b""]),
    ],
)
def test_rows_become_objects(data: bytes, expected: list[bytes]):
    assert objects(data, [PLAIN_CELL, PLAIN_CELL]) == expected


@pytest.mark.parametrize(
    ("cell", "local", "utc"),
    [
        ("1767225600123", b"1767225600123", b"1767225600123"),
        ("-5", b"-5", b"-5"),
        ("0", b"0", b"0"),
        ("007", b'"007"', b'"007"'),
        ("-", b'"-"', b'"-"'),
        ("1" * 19, b'"' + b"1" * 19 + b'"', b'"' + b"1" * 19 + b'Z"'),
        ("2026-01-31", b'"2026-01-31"', b'"2026-01-31T00:00:00Z"'),
        ("2026-01-31 08:00", b'"2026-01-31 08:00"', b'"2026-01-31 08:00Z"'),
        ("2026-01-31T08:00:00Z", b'"2026-01-31T08:00:00Z"', b'"2026-01-31T08:00:00Z"'),
        ("2026-01-31T08:00:00-02:00",) + (b'"2026-01-31T08:00:00-02:00"',) * 2,
        ("", b"null", b"null"),
    ],
)
def test_times_are_integers_or_text_with_an_offset(cell: str, local: bytes, utc: bytes):
    data = f"{cell},{cell},x\n".encode()

    (row,) = objects(data, [TIME_CELL, UTC_CELL, PLAIN_CELL])

    assert row == b"[" + local + b"," + utc + b',"x"]'


def test_only_wanted_columns_are_taken_in_the_order_asked_for():
    places = np.array([1, -1, 0], np.int64)
    rows, _ = scan_rows(b"a;b;c\n", ord(";"), places, 2, is_last=True)

    spans = row_objects(b"a;b;c\n", rows, 3, [0, 0], [b"<", b"|", b">"])

    assert spans.item(0) == b'<"c"|"a">'


def test_columns_beyond_the_header_are_read_over():
    rows, _ = scan_rows(b"a,b,c\n", ord(","), np.array([0], np.int64), 1, is_last=True)

    assert rows.fields.tolist() == [3]


def test_a_row_that_may_go_on_is_left_for_later():
    data = b'a,b\n"c,d\n'

    rows, rest = scan_rows(data, ord(","), np.zeros(0, np.int64), 0, is_last=False)

    assert (len(rows.start), data[rest:]) == (1, b'"c,d\n')
