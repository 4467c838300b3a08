"""`stream-ewma smooth`: what it writes for which file, and what it says of what is wrong."""

import contextlib
import gzip
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from stream_ewma import cli
from stream_ewma.files import opening, parquet
from tests.support.settings_table import README

ALPHA = ("--smoothing.alpha", "0.2")
TEXTBOOK = [10.0, 10.4, 11.32, 12.656, 14.5248]
CSV = "key,timestamp,value\na,1000,10\na,2000,12\na,3000,15\na,4000,18\na,5000,22\n"


class Printed(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def values(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("STREAM_EWMA_"):
            monkeypatch.delenv(name)
    (tmp_path / "five.csv").write_text(CSV)
    return tmp_path


@pytest.fixture
def smooth(capfdbinary: pytest.CaptureFixture[bytes]) -> Iterator[object]:
    def run_it(*arguments: str) -> Printed:
        code = -1
        with contextlib.suppress(SystemExit):
            code = cli.main(("smooth", *arguments))
        out, err = capfdbinary.readouterr()
        return Printed(code, out.decode(), err.decode())

    return run_it


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch):
    def put(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))

    return put


def lines(*values: object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def test_csv_keeps_its_rows_and_has_the_outputs_behind_them(smooth):
    printed = smooth("five.csv", *ALPHA)

    assert printed.code == 0
    assert printed.out == (
        "key,timestamp,value,ewma,count\n"
        "a,1000,10,10.0,1\na,2000,12,10.4,2\na,3000,15,11.32,3\na,4000,18,12.656,4\n"
        "a,5000,22,14.5248,5\n"
    )
    assert printed.err == "5 rows, 5 smoothed, 0 rejected, 1 key\n"


def test_json_lines_become_the_values_that_the_service_publishes(smooth, folder: Path):
    data = lines(
        {"key": "pump-7", "timestamp": 1767225600123, "value": 21.7351, "unit": "C"},
        {"key": "pump-7", "timestamp": "2026-01-01T00:00:01Z", "value": 22},
    )
    (folder / "a.jsonl").write_bytes(data.replace(b"\n", b"\r\n\n"))

    printed = smooth("a.jsonl", *ALPHA)

    assert printed.out == (
        '{"key":"pump-7","timestamp":1767225600123,"value":21.7351,"ewma":21.7351,"count":1}\n'
        '{"key":"pump-7","timestamp":1767225601000,"value":22.0,"ewma":21.78808,"count":2}\n'
    )


def test_bare_numbers_on_standard_input_are_one_series(smooth, stdin):
    stdin(b"10\n12\n15\n18\n22")

    printed = smooth("-", *ALPHA)

    assert [each["ewma"] for each in printed.values] == TEXTBOOK
    assert {each["key"] for each in printed.values} == {"stdin"}


def test_lines_of_plain_text_are_read_as_the_format_says(smooth, stdin):
    stdin(b"+10\n 12\nx\n")

    printed = smooth("-", "--format", "jsonl", "--input.format", "text", *ALPHA)

    assert [each["ewma"] for each in printed.values] == [10.0, 10.4]
    assert "rejected (decode 1)" in printed.err


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("to", ["csv", "jsonl", "parquet"])
def test_every_format_can_become_every_other(smooth, folder: Path, ending: str, to: str):
    table = pa.csv.read_csv("five.csv")
    if ending == "parquet":
        pq.write_table(table, "five.parquet")
    elif ending == "jsonl":
        (folder / "five.jsonl").write_bytes(lines(*table.to_pylist()))

    printed = smooth(f"five.{ending}", *ALPHA, "--output", f"out.{to}")

    assert (printed.code, printed.out) == (0, "")
    if to == "jsonl":
        rows = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    else:
        read = pa.csv.read_csv if to == "csv" else pq.read_table
        rows = read(f"out.{to}").to_pylist()
    assert list(rows[0]) == ["key", "timestamp", "value", "ewma", "count"]
    assert [row["ewma"] for row in rows] == TEXTBOOK
    assert [row["count"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["value"] for row in rows] == [10, 12, 15, 18, 22]
    assert {row["key"] for row in rows} == {"a"}


def test_parquet_gets_typed_columns(smooth):
    smooth("five.csv", *ALPHA, "--output", "out.parquet")

    schema = pq.read_schema("out.parquet")

    assert dict(zip(schema.names, map(str, schema.types), strict=True)) == {
        "key": "string",
        "timestamp": "timestamp[ms, tz=UTC]",
        "value": "double",
        "ewma": "double",
        "count": "int64",
    }


def test_names_of_columns_are_given_by_flags_or_settings(smooth, folder: Path):
    (folder / "t.csv").write_text("city,when,temp.max\nx,2026-01-01T00:00:00Z,1\ny,1,5\nx,2,3\n")
    flags = ("--key", "city", "--time", "when", "--value", "temp.max")
    settings = ("--input.key", "city", "--input.timestamp", "when", "--input.value", "temp.max")

    by_flags = smooth("t.csv", *ALPHA, *flags, "--to", "jsonl")
    by_settings = smooth("t.csv", *ALPHA, *settings, "--to", "jsonl")

    assert by_flags == by_settings
    assert by_flags.values[0]["timestamp"] == 1767225600000
    assert [(each["key"], each["ewma"]) for each in by_flags.values] == [
        ("x", 1.0),
        ("y", 5.0),
        ("x", 1.4),
    ]


def test_a_settings_file_of_the_service_is_enough_and_its_cluster_does_not_matter(
    smooth, folder: Path
):
    (folder / "job.yaml").write_text(
        "kafka: {security_protocol: SSL, ssl_cafile: /not/here.pem}\n"
        "input: {topics: readings, value: temp}\n"
        "smoothing: {span: 9, rules: [{keys: 'b*', alpha: 1.0}]}\n"
    )
    (folder / "t.csv").write_text("key,temp\na,10\nb,1\na,12\nb,2\n")

    printed = smooth("t.csv", "--config", "job.yaml")

    assert printed.out.splitlines()[1:] == ["a,10,10.0,1", "b,1,1.0,1", "a,12,10.4,2", "b,2,2.0,2"]


def test_rows_without_a_key_column_are_one_series_named_after_the_file(smooth, folder: Path):
    (folder / "room.csv").write_text("value\n1\n2\n")

    assert smooth("room.csv", *ALPHA, "--to", "csv").out == "value,ewma,count\n1,1.0,1\n2,1.2,2\n"
    assert smooth("room.csv", *ALPHA, "--to", "jsonl").values[0]["key"] == "room"


def test_cells_that_hold_a_line_end_or_a_quote_stay_as_they_are(smooth, folder: Path):
    (folder / "q.csv").write_bytes(b'\xef\xbb\xbfnote;value\r\n"a ""b""\n;c";"+1.50"\r\nx; 2 \r\n')

    printed = smooth("q.csv", *ALPHA)

    assert printed.out.encode() == (
        b'\xef\xbb\xbfnote;value;ewma;count\n"a ""b""\n;c";"+1.50";1.5;1\nx; 2 ;1.6;2\n'
    )


def test_numbers_are_the_nearest_doubles(smooth, folder: Path):
    hard = ["9007199254740993", "2.2250738585072011e-308", "1e23", "0.1000000000000000055511151"]
    (folder / "n.csv").write_text("value\n" + "\n".join(hard))

    printed = smooth("n.csv", "--smoothing.alpha", "1", "--to", "jsonl")

    assert [each["ewma"] for each in printed.values] == [float(text) for text in hard]


def test_the_cells_of_a_file_may_be_cut_anywhere(smooth, monkeypatch: pytest.MonkeyPatch):
    whole = smooth("five.csv", *ALPHA)
    monkeypatch.setattr(opening, "_BLOCK", 7)

    assert smooth("five.csv", *ALPHA) == whole


def test_lines_may_be_cut_anywhere(smooth, folder: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "a.jsonl").write_bytes(lines(*({"value": i} for i in range(20))))
    whole = smooth("a.jsonl", *ALPHA)
    monkeypatch.setattr(opening, "_BLOCK", 7)

    assert smooth("a.jsonl", *ALPHA) == whole


def test_compressed_files_are_read_and_written(smooth, folder: Path):
    (folder / "five.csv.gz").write_bytes(gzip.compress(CSV.encode()))

    smooth("five.csv.gz", *ALPHA, "--output", "out.csv.gz")

    out = gzip.decompress((folder / "out.csv.gz").read_bytes()).decode()
    assert out == smooth("five.csv", *ALPHA).out


def test_a_file_without_rows_has_the_header_of_the_result(smooth, folder: Path):
    (folder / "h.csv").write_text("key,value\n")
    pq.write_table(pa.table({"value": pa.array([], pa.float64())}), "h.parquet")

    assert smooth("h.csv", *ALPHA) == (
        0,
        "key,value,ewma,count\n",
        "0 rows, 0 smoothed, 0 rejected, 0 keys\n",
    )
    assert smooth("h.csv", *ALPHA, "--to", "jsonl").out == ""
    smooth("h.csv", *ALPHA, "--output", "o.parquet")
    assert pq.read_table("o.parquet").num_rows == 0
    smooth("h.parquet", *ALPHA, "--output", "p.parquet")
    assert pq.read_schema("p.parquet").names == ["value", "ewma", "count"]


BAD = "value,timestamp\n1,1\nx,2\n3,3\n,4\nnan,5\n2,later\n4\n5,6\n"


def test_bad_rows_are_named_with_their_line_and_counted(smooth, folder: Path):
    (folder / "bad.csv").write_text(BAD)

    printed = smooth("bad.csv", *ALPHA)

    assert printed.code == 0
    assert printed.out.splitlines() == [
        "value,timestamp,ewma,count",
        "1,1,1.0,1",
        "3,3,1.4,2",
        "5,6,2.12,3",
    ]
    assert printed.err.splitlines() == [
        "bad.csv: line 3: the field is there but is not a number: x,2",
        "bad.csv: line 6: the number is NaN, infinite or beyond the range of a double: nan,5",
        "bad.csv: line 7: the event time is missing, not a time, or out of range: 2,later",
        "bad.csv: line 8: the value cannot be read in the configured input format: 4",
        (
            "8 rows, 3 smoothed, 1 skipped, 4 rejected"
            " (not_numeric 1, non_finite 1, bad_timestamp 1, decode 1), 1 key"
        ),
    ]


def test_only_the_first_bad_rows_are_named(smooth, folder: Path):
    (folder / "bad.csv").write_text("value\n" + "x\n" * 9 + "1\n")

    printed = smooth("bad.csv", *ALPHA)

    assert len(printed.err.splitlines()) == 7
    assert "... and 4 more; --rejected FILE has them all\n" in printed.err


def test_bad_rows_go_to_a_file(smooth, folder: Path):
    (folder / "bad.csv").write_text(BAD)

    printed = smooth("bad.csv", *ALPHA, "--rejected", "rejected.jsonl")

    rejected = [json.loads(line) for line in (folder / "rejected.jsonl").read_text().splitlines()]
    assert rejected[0] == {
        "line": 3,
        "reason": "not_numeric",
        "message": "the field is there but is not a number",
        "row": "x,2",
    }
    assert [each["line"] for each in rejected] == [3, 6, 7, 8]
    assert len(printed.err.splitlines()) == 1


def test_skip_only_counts_bad_rows(smooth, folder: Path):
    (folder / "bad.csv").write_text(BAD)

    printed = smooth("bad.csv", *ALPHA, "--dead_letters.on_error", "skip")

    assert len(printed.out.splitlines()) == 4
    assert len(printed.err.splitlines()) == 1


def test_a_row_does_not_steer_the_terminal(smooth, folder: Path):
    (folder / "bad.csv").write_text("value\n\x1b[2Jx\n1\n")

    assert smooth("bad.csv", *ALPHA).err.splitlines()[0].endswith(": \ufffd[2Jx")


def test_fail_stops_at_the_first_bad_row(smooth, folder: Path):
    (folder / "bad.csv").write_text(BAD)

    printed = smooth("bad.csv", *ALPHA, "--dead_letters.on_error", "fail")

    assert printed.code == 65
    assert printed.out == "value,timestamp,ewma,count\n1,1,1.0,1\n"
    assert printed.err == "bad.csv: line 3: the field is there but is not a number: x,2\n"


def test_a_file_of_nothing_but_bad_rows_is_an_error(smooth, folder: Path):
    (folder / "bad.jsonl").write_text("nonsense\n" + "y" * 100)

    printed = smooth("bad.jsonl", *ALPHA)

    assert printed.code == 65
    assert f"bad.jsonl: line 2: {printed.err.split(': ')[5]}" in printed.err
    assert f"{'y' * 57}...\n" in printed.err


def test_a_null_holds_or_resets_as_the_settings_say(smooth, folder: Path):
    (folder / "n.csv").write_text('value\n1\n""\n3\n')

    held = smooth("n.csv", *ALPHA, "--input.on_null", "hold")
    reset = smooth("n.csv", *ALPHA, "--input.on_null", "reset")

    assert held.out.splitlines()[1:] == ["1,1.0,1", '"",1.0,1', "3,1.4,2"]
    assert reset.out.splitlines()[1:] == ["1,1.0,1", "3,3.0,1"]


TIME = ("--smoothing.half_life", "1s")


def test_times_without_offset_need_a_word(smooth, folder: Path):
    (folder / "t.csv").write_text("value,timestamp\n1,2026-01-31 08:00\n2,2026-01-31 08:00:01\n")
    (folder / "d.csv").write_text("value,timestamp\n1,2026-01-31\n")

    assert smooth("t.csv", *TIME) == (
        65,
        "",
        (
            "t.csv: timestamp: '2026-01-31 08:00' has no offset from UTC; write 2026-01-31 08:00Z,"
            " or --utc if all these times are in UTC\n"
        ),
    )
    assert "write 2026-01-31T00:00:00Z, or --utc" in smooth("d.csv", *TIME).err
    assert smooth("d.csv", *TIME, "--utc").code == 0
    printed = smooth("t.csv", *TIME, "--utc", "--to", "jsonl")
    assert [each["timestamp"] for each in printed.values] == [1769846400000, 1769846401000]


def test_lines_without_offset_are_told_so(smooth, folder: Path):
    (folder / "t.jsonl").write_bytes(lines({"value": 1, "timestamp": "2026-01-31 08:00"}))

    assert smooth("t.jsonl", *TIME) == (
        65,
        "",
        "t.jsonl: timestamp: '2026-01-31 08:00' has no offset from UTC; write 2026-01-31 08:00Z\n",
    )
    assert "--utc is for CSV and Parquet" in smooth("t.jsonl", *TIME, "--utc").err


def test_event_time_without_times_rejects_every_row(smooth, folder: Path):
    (folder / "a.csv").write_text("value\n1\n")

    printed = smooth("a.csv", *TIME)

    assert (printed.code, printed.out) == (65, "value,ewma,count\n")
    assert "bad_timestamp 1" in printed.err


TIMES = np.array(["2026-01-01T00:00:00", "2026-01-01T00:00:01.5"], "datetime64[ns]")


@pytest.mark.parametrize(
    "column",
    [
        pa.array(TIMES.astype("datetime64[s]")),
        pa.array(TIMES, pa.timestamp("ns", "Europe/Berlin")),
        pa.array(TIMES.astype("datetime64[us]"), pa.timestamp("us", "UTC")),
        pa.array(TIMES.astype("datetime64[D]"), pa.date32()),
        pa.array(TIMES.astype("datetime64[ms]").astype(int)),
        pa.array(["2026-01-01 00:00:00", "2026-01-01T00:00:01.5Z"]),
    ],
    ids=lambda column: str(column.type),
)
def test_parquet_times_of_every_type(smooth, column: pa.Array):
    pq.write_table(pa.table({"value": [1.0, 2.0], "timestamp": column}), "t.parquet")

    printed = smooth("t.parquet", *TIME, "--utc", "--to", "jsonl")

    first, second = (each["timestamp"] for each in printed.values)
    assert first == 1767225600000
    assert second - first == {"timestamp[s]": 1000, "date32[day]": 0}.get(str(column.type), 1500)


def test_parquet_times_without_a_zone_need_a_word(smooth):
    times = pa.array(TIMES)
    pq.write_table(pa.table({"value": [1.0, 2.0], "timestamp": times}), "t.parquet")
    texts = pa.array(["2026-01-01 00:00:00", None])
    pq.write_table(pa.table({"value": [1.0, 2.0], "timestamp": texts}), "s.parquet")

    assert "the times have no time zone (timestamp[ns]); write --utc" in (
        smooth("t.parquet", *TIME, "--to", "csv").err
    )
    assert "has no offset from UTC" in smooth("s.parquet", *TIME, "--to", "csv").err


def test_parquet_values_of_every_type(smooth):
    table = pa.table(
        {
            "key": pa.array(["a", "a", None, "b"]).dictionary_encode(),
            "single": pa.array([0.1, None, 1.0, float("nan")], pa.float32()),
            "whole": pa.array([1, 2, 3, 9007199254740993]),
            "text": ["1.5", "x", "2", "3"],
            "flag": [True, False, None, True],
            "raw": [b"1", b"2", b"3", b"4"],
        }
    )
    pq.write_table(table, "v.parquet")

    def values(column: str, *flags: str) -> list[object]:
        flags = ("--value", column, "--smoothing.alpha", "1", "--to", "jsonl", *flags)
        return [each["ewma"] for each in smooth("v.parquet", *flags).values]

    assert values("single") == [float(np.float32(0.1))]
    assert values("whole") == [1, 2, 9007199254740992]
    assert values("text") == []
    assert values("text", "--input.coerce_strings") == [1.5, 3]
    assert values("raw", "--input.coerce_strings") == [1, 2, 4]
    assert values("flag") == []
    printed = smooth("v.parquet", "--value", "single", *ALPHA, "--to", "csv")
    assert "v.parquet: row 4: the number is NaN" in printed.err
    assert "v.parquet: row 3: the record has no key" in printed.err
    assert "missing_key 1" in printed.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("fiv.csv", *ALPHA), 66, "fiv.csv: there is no such file; write five.csv"),
        (("other.txt", *ALPHA), 66, "other.txt: there is no such file"),
        ((".", *ALPHA), 66, ".: cannot be read (Is a directory)"),
        (("five.csv",), 78, "settings: smoothing: is missing; write one of alpha: 0.2"),
        (
            ("five.csv", "--valu", "x", *ALPHA),
            78,
            "command line: --valu: is not a flag; write --value",
        ),
        (
            ("five.csv", "--smothing.alpha", "1", *ALPHA),
            78,
            "is not a setting; write --smoothing.alpha",
        ),
        (
            ("five.csv", "--value", "Value", *ALPHA),
            65,
            "five.csv: has no column 'Value'; write --value value (it has key, timestamp, value)",
        ),
        (
            ("five.csv", "--time", "xyz", *ALPHA),
            65,
            "has no column 'xyz'; write --time with one of its columns",
        ),
        (("five.csv", "--format", "parquet", *ALPHA), 65, "five.csv: is no Parquet file"),
        (("empty.csv", *ALPHA), 65, "empty.csv: is empty"),
        (("blank.csv", *ALPHA), 65, "blank.csv: is empty; its first line must name the columns"),
        (("huge.csv", *ALPHA), 65, "huge.csv: its first line names no columns (field larger"),
        (("latin.csv", *ALPHA), 65, "latin.csv: is not text in UTF-8; save it as UTF-8"),
        (("what.dat", *ALPHA), 65, "what.dat: what format is it? write --format csv, jsonl or"),
        (("binary.csv", *ALPHA), 65, "binary.csv: is no csv, but binary; write --format parquet"),
        (("five.csv", "--to", "jsonl", "--output.format", "double", *ALPHA), 65, "no lines"),
        (("a.jsonl", "--input.format", "double", *ALPHA), 65, "lines are no doubles"),
        (("taken.csv", *ALPHA), 65, "taken.csv: has a column 'ewma' already; rename it"),
        (("five.csv", "--output", "no/such/out.csv", *ALPHA), 73, "no/such/out.csv: cannot be"),
        (("five.csv", "--key", "a..b", *ALPHA), 78, "lacks a name"),
        (("bad.csv.gz", *ALPHA), 65, "bad.csv.gz: cannot be unpacked"),
        (("five.csv", "--delimiter", "ab", *ALPHA), -1, "'ab': write one character, or tab"),
        (("five.csv", "--delimiter", '"', *ALPHA), -1, "write one character, or tab"),
        (("nest.csv", "--key", "a", "--value", "a.b", *ALPHA), 65, "cannot be a column, since"),
    ],
)
def test_what_a_user_can_cause_is_one_clear_line(
    smooth, folder: Path, arguments: tuple[str, ...], code: int, said: str
):
    (folder / "empty.csv").touch()
    (folder / "blank.csv").write_text("\n1\n")
    (folder / "latin.csv").write_bytes("größe\n1\n".encode("latin-1"))
    (folder / "huge.csv").write_text("x" * 200_000)
    (folder / "what.dat").write_text("??!\n")
    (folder / "binary.csv").write_bytes(b"a\0b\n")
    (folder / "a.jsonl").write_text("1\n")
    (folder / "taken.csv").write_text("value,ewma\n1,2\n")
    (folder / "bad.csv.gz").write_bytes(b"no gzip")
    (folder / "nest.csv").write_text("a,a.b\n1,2\n")

    printed = smooth(*arguments)

    assert printed.code == code
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert not list(folder.glob(".*.part"))


def test_parquet_without_its_library_says_what_to_install(smooth, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    printed = smooth("five.csv", *ALPHA, "--output", "out.parquet")

    assert printed == (69, "", "Parquet needs an extra: pip install 'stream-ewma[files]'\n")


def test_parquet_from_a_pipe_and_a_damaged_one_are_refused(smooth, stdin, folder: Path):
    stdin(b"PAR1\0\0")
    assert smooth("-", *ALPHA).err == (
        "standard input: Parquet is read from its end; write the file's name\n"
    )
    pq.write_table(pa.table({"value": np.arange(5000.0)}), "d.parquet", compression="gzip")
    data = bytearray((folder / "d.parquet").read_bytes())
    data[40:2000] = b"\xff" * 1960
    (folder / "d.parquet").write_bytes(data)
    printed = smooth("d.parquet", *ALPHA, "--to", "csv")
    assert (printed.code, printed.err.count("\n")) == (65, 1)
    assert printed.err.startswith("d.parquet: is damaged (")


def test_a_row_that_never_ends_is_told(smooth, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(opening, "_LONGEST_ROW", 1 << 10)
    monkeypatch.setattr(opening, "_BLOCK", 1 << 9)
    (folder / "long.csv").write_text('value\n1\n"2\n' + "3\n" * 2000)

    printed = smooth("long.csv", *ALPHA)

    assert printed.code == 65
    assert "is a quote not closed" in printed.err


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"value\n1\n", "csv"),
        (b"a\tvalue\nx\t1\n", "csv"),
        (b"a;value\nx;1\n", "csv"),
        (b'{"value":1}\n', "jsonl"),
        (b"-1.5\n", "jsonl"),
    ],
)
def test_the_format_is_seen_where_no_name_says_it(smooth, stdin, data: bytes, found: str):
    stdin(data)

    printed = smooth("-", *ALPHA)

    assert printed.code == 0
    assert printed.out.startswith("{") == (found == "jsonl")
    assert "1 rows, 1 smoothed" in printed.err


def test_a_closed_pipe_ends_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "stream_ewma", "smooth", "five.csv", *ALPHA],
        check=False,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (0, "")


def test_rows_of_a_pipe_are_answered_before_it_ends():
    with subprocess.Popen(
        [sys.executable, "-m", "stream_ewma", "smooth", "-", *ALPHA],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"10\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["ewma"] == 10
        process.stdin.write(b"12\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["ewma"] == 10.4
        process.stdin.close()


def test_a_delimiter_can_be_given(smooth, folder: Path):
    (folder / "p.csv").write_text("key|value\na|1\n")
    (folder / "t.tsv").write_text("key\tvalue,x\na\t1\n")

    assert smooth("p.csv", "--delimiter", "|", *ALPHA).out == "key|value|ewma|count\na|1|1.0|1\n"
    tabs = smooth("t.tsv", "--delimiter", "tab", "--value", "value,x", *ALPHA)
    assert tabs.out == "key\tvalue,x\tewma\tcount\na\t1\t1.0\t1\n"


def test_parquet_does_not_go_to_a_terminal(smooth, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    printed = smooth("five.csv", "--to", "parquet", *ALPHA)

    assert (printed.code, printed.out) == (65, "")
    assert "Parquet is not for a terminal; write --output FILE" in printed.err


def test_help_begins_with_examples_and_shows_what_matters(smooth):
    printed = smooth("--help")

    lines = printed.out.splitlines()
    assert lines[2].startswith("  stream-ewma smooth readings.csv ")
    assert "  kcat -C " in printed.out
    assert "--smoothing.alpha NUMBER" in printed.out
    assert "--kafka." not in printed.out
    assert max(map(len, lines)) <= 100


def test_the_extra_is_looked_for_only_when_it_is_needed(smooth, monkeypatch):
    monkeypatch.setattr(parquet, "arrow", None)

    assert smooth("five.csv", *ALPHA).code == 0


def test_the_readmes_commands_work(smooth, folder: Path, capfdbinary):
    section = README.read_text("utf-8").partition("## On files")[2].partition("\n## ")[0]
    commands = re.findall(r"^stream-ewma (.*)$", section, re.MULTILINE)
    rows = [{"key": "a", "timestamp": 1000 * i, "value": (i * 7919) % 31} for i in range(40)]
    (folder / "readings.jsonl").write_bytes(lines(*rows))
    cells = "".join(f"{row['key']},{row['timestamp']},{row['value']}\n" for row in rows)
    (folder / "readings.csv").write_text(f"key,timestamp,value\n{cells}")
    (folder / "temps.csv").write_text("city,date,temp\nx,2010-01-01 00:00:00,39.4\n")
    (folder / "stream-ewma.yaml").write_text(
        "input: {topics: [sensor-readings]}\nsmoothing: {half_life: 30s}\n"
    )

    assert len(commands) == 4
    for command in commands:
        assert cli.main(shlex.split(command.partition(">")[0])) == 0
        assert capfdbinary.readouterr().out
    assert (folder / "rejected.jsonl").exists()
