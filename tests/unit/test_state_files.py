"""Files of kept state: what is written is what is read, and damage is told."""

import gzip
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_ewma.engine.stored import Rows, StoredPartition, StoredReader
from stream_ewma.engine.task import PartitionTask
from stream_ewma.errors import DataError
from stream_ewma.files.opening import open_blocks
from stream_ewma.files.states import (
    LinesWriter,
    ParquetWriter,
    no_rows,
    read_lines,
    read_parquet,
)
from tests.support.batches import NOW_MS, Record, runs_of
from tests.support.changelog import Log
from tests.support.streams import config_of

PLAIN = "smoothing: {alpha: 0.5}"
OTHER = """
smoothing: {half_life: 2s, weighting: interval_linear, reorder: 3, outputs: [variance, count]}
output: {emit: {on_change: 0.5}}
"""
KEYS = [b"pump-7", b"\xff\\x", "Zürich".encode(), b"", *(b"key-%d" % i for i in range(30))]


def partition(yaml: str, number: int, keys: list[bytes] = KEYS) -> StoredPartition:
    task = PartitionTask("in", number, 0, config_of(yaml), (1, 2), topic_id="id", partitions=4)
    readings = [
        Record(key, b'{"x":%r,"timestamp":%d}' % (0.1 + i, NOW_MS + i), NOW_MS)
        for i, key in enumerate(ROUNDS * keys)
    ]
    task.process(runs_of(readings))
    log = Log()
    log.commit(task.cut())
    reader = StoredReader((1, 2))
    reader.read(log.runs)
    found = reader.finish()
    assert found is not None
    return found


ROUNDS = 5
PARTS = [(PLAIN, 0), (OTHER, 2), (PLAIN, 3)]


def lines_file(file: Path) -> Path:
    with file.open("wb") as target:
        writer = LinesWriter(target)
        for yaml, number in PARTS:
            writer.write(partition(yaml, number))
        writer.close()
    return file


def parquet_file(file: Path) -> Path:
    columns = no_rows(partition(PLAIN, 0).head.configuration)
    columns |= no_rows(partition(OTHER, 0).head.configuration)
    with file.open("wb") as target:
        writer = ParquetWriter(target, columns)
        for yaml, number in PARTS:
            writer.write(partition(yaml, number))
        writer.close()
    return file


def read_back(file: Path) -> list[tuple[object, dict[bytes, bytes]]]:
    read = read_parquet if file.suffix == ".parquet" else read_lines
    with open_blocks(str(file)) as blocks:
        return [(part.head, rows_of(part.rows)) for part in read(blocks)]


def rows_of(rows: Iterable[Rows]) -> dict[bytes, bytes]:
    return {
        key: words.tobytes()
        for some in rows
        for key, words in zip(some.keys, some.words, strict=True)
    }


@pytest.mark.parametrize("write", [lines_file, parquet_file], ids=["lines", "parquet"])
def test_what_is_read_is_bit_for_bit_what_was_written(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    name = "state.jsonl" if write is lines_file else "state.parquet"

    found = read_back(write(tmp_path / name))

    expected = [partition(yaml, number) for yaml, number in PARTS]
    assert [head for head, _ in found] == [each.head for each in expected]
    for (_, rows), each in zip(found, expected, strict=True):
        assert rows == rows_of(each.rows())
        assert set(rows) == set(KEYS)


def test_a_packed_file_is_read_as_well(tmp_path: Path) -> None:
    file = lines_file(tmp_path / "state.jsonl")
    packed = tmp_path / "state.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))

    assert read_back(packed) == read_back(file)


def test_lines_can_be_read_by_people(tmp_path: Path) -> None:
    head, first, second, *_ = lines_file(tmp_path / "state.jsonl").read_bytes().splitlines()

    assert json.loads(head)["next_offset"] == ROUNDS * len(KEYS)
    assert json.loads(head)["keys"] == len(KEYS)
    row = json.loads(first)
    assert (row["key"], row["count"]) == ("pump-7", ROUNDS)
    mean = 0.1
    for i in range(1, ROUNDS):
        mean += 0.5 * (0.1 + i * len(KEYS) - mean)
    assert row["ewma"] == pytest.approx(mean)
    assert json.loads(second)["key"] == "\\xff\\\\x"


def test_parquet_has_the_quantities_of_all_partitions_as_columns(tmp_path: Path) -> None:
    table = pq.read_table(parquet_file(tmp_path / "state.parquet"))

    assert table.column("ewma").type == pa.float64()
    assert table.column("count").type == pa.int64()
    assert table.column("held_times").type == pa.list_(pa.int64())
    assert table.num_rows == 3 * len(KEYS)
    assert table.column("variance").null_count >= 2 * len(KEYS)
    assert table.column("event_time").null_count == 2 * len(KEYS)
    assert table.column("key").to_pylist()[:2] == ["pump-7", "\\xff\\\\x"]


def without_a_row(lines: list[bytes]) -> list[bytes]:
    return lines[:5] + lines[6:]


def cut_short(lines: list[bytes]) -> list[bytes]:
    return lines[:-3]


def without_head(lines: list[bytes]) -> list[bytes]:
    return lines[1:]


def with_key(lines: list[bytes], **changes: Any) -> list[bytes]:
    row = json.dumps({**json.loads(lines[1]), **changes}).encode()
    return [lines[0], row, *lines[2:]]


def with_head(lines: list[bytes], **changes: Any) -> list[bytes]:
    return [json.dumps({**json.loads(lines[0]), **changes}).encode(), *lines[1:]]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (without_a_row, "partition 0 has 33 rows of 34: the file is cut short"),
        (cut_short, "partition 3 has 31 rows of 34"),
        (without_head, "line 1: does not say what partition follows"),
        (lambda lines: with_key(lines, row="00"), "has not the 2 words"),
        (lambda lines: with_key(lines, row="0" * 31), "has not the 2 words"),
        (lambda lines: with_key(lines, row="xy"), "line 2: key or row is damaged"),
        (lambda lines: with_key(lines, row=7), "line 2: key or row is damaged"),
        (lambda lines: with_key(lines, key=7), "line 2: key or row is damaged"),
        (lambda lines: with_key(lines, partition=1), "line 2: is a row of another partition"),
        (lambda lines: [lines[0], b"{", *lines[2:]], "line 2: is no JSON object"),
        (lambda lines: [lines[0], b"7", *lines[2:]], "line 2: is no JSON object"),
        (lambda lines: with_head(lines, version=2), "line 1: does not say what partition"),
        (lambda lines: with_head(lines, keys=None), "line 1: does not say what partition"),
        (lambda lines: with_head(lines, next_offset="x"), "line 1: the position marker is damaged"),
        (lambda lines: with_head(lines, configuration=[]), "line 1: the configuration of the rows"),
        (lambda lines: with_head(lines, configuration={"version": 9}), "by a newer version"),
    ],
)
def test_damaged_lines_are_told_with_their_place(
    tmp_path: Path, damage: Callable[[list[bytes]], list[bytes]], words: str
) -> None:
    file = lines_file(tmp_path / "state.jsonl")
    file.write_bytes(b"\n".join(damage(file.read_bytes().splitlines())) + b"\n")

    with pytest.raises(DataError) as caught:
        read_back(file)

    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


def test_a_packed_file_that_is_cut_short_is_told(tmp_path: Path) -> None:
    file = tmp_path / "state.jsonl.gz"
    file.write_bytes(gzip.compress(lines_file(tmp_path / "state.jsonl").read_bytes())[:-20])

    with pytest.raises(DataError, match="is damaged"):
        read_back(file)


def test_other_parquet_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "state.parquet"
    pq.write_table(pa.table({"key": ["a"], "partition": [0], "row": [b""]}), file)
    with pytest.raises(DataError, match="was not written by `stream-ewma state export`"):
        read_back(file)

    file.write_bytes(b"PAR1 or not")
    with pytest.raises(DataError, match="is no Parquet file"):
        read_back(file)


def test_parquet_without_some_rows_is_refused(tmp_path: Path) -> None:
    whole = parquet_file(tmp_path / "whole.parquet")
    metadata = pq.ParquetFile(whole).metadata.metadata
    file = tmp_path / "state.parquet"
    table = pq.read_table(whole).slice(0, 40)
    with pq.ParquetWriter(file, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({b"stream_ewma_state": metadata[b"stream_ewma_state"]})

    with pytest.raises(DataError, match="partition 2 has 6 rows of 34"):
        read_back(file)


def test_an_empty_file_has_no_partitions(tmp_path: Path) -> None:
    file = tmp_path / "state.jsonl"
    file.write_bytes(b"")
    assert read_back(file) == []

    target = io.BytesIO()
    ParquetWriter(target, {}).close()
    file = tmp_path / "state.parquet"
    file.write_bytes(target.getvalue())
    assert read_back(file) == []
