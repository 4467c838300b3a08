"""CSV by the kernel against Python's csv module: any cells, any cut into pieces."""

import csv
import io
import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_ewma.payloads.delimited import PLAIN_CELL, row_objects, scan_rows

texts = st.text(st.sampled_from('ab,;"\n\r\\ \x01é1.') | st.characters(codec="utf-8"), max_size=8)


def objects(data: bytes, columns: int, *, is_last: bool = True) -> tuple[list[bytes], bytes]:
    """The rows of `data` as JSON arrays, and what is left."""
    rows, rest = scan_rows(
        data, ord(","), np.arange(columns, dtype=np.int64), columns, is_last=is_last
    )
    literals = [b"[", *[b","] * (columns - 1), b"]"]
    spans = row_objects(data, rows, columns, [PLAIN_CELL] * columns, literals)
    return [spans.item(row) or b"" for row in range(len(spans))], data[rest:]


@given(
    st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(texts, min_size=n, max_size=n), min_size=1, max_size=6)
    ),
    st.booleans(),
)
def test_cells_are_those_that_the_csv_module_wrote(rows: list[list[str]], quote: bool) -> None:
    text = io.StringIO(newline="")
    style = csv.QUOTE_ALL if quote else csv.QUOTE_MINIMAL
    # A lone carriage return is quoted only with this line end, which holds one.
    csv.writer(text, quoting=style, lineterminator="\r\n").writerows(rows)
    data = text.getvalue().encode()

    found, rest = objects(data, len(rows[0]))

    assert rest == b""
    assert [json.loads(each) for each in found] == [[cell or None for cell in row] for row in rows]


@given(st.binary(max_size=60) | st.text('a,"\n\r', max_size=40).map(str.encode), st.integers(0, 60))
def test_whatever_the_bytes_and_wherever_they_are_cut_the_rows_are_the_same(
    data: bytes, cut: int
) -> None:
    whole, _ = objects(data, 2)

    first, rest = objects(data[:cut], 2, is_last=False)
    second, left = objects(rest + data[cut:], 2)

    assert first + second == whole
    assert left == b""
