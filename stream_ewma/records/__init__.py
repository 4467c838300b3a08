"""Kafka record batch v2, bytes to columns and back. No I/O."""

from stream_ewma.records.columns import RecordColumns
from stream_ewma.records.compression import Compression
from stream_ewma.records.fetched import BatchRun, RunKind, split_runs
from stream_ewma.records.reader import Decoded, Unreadable, decode
from stream_ewma.records.writer import EncodedBatch, encode, encode_headers

__all__ = [
    "BatchRun",
    "Compression",
    "Decoded",
    "EncodedBatch",
    "RecordColumns",
    "RunKind",
    "Unreadable",
    "decode",
    "encode",
    "encode_headers",
    "split_runs",
]
