"""One input partition as a state machine: runs of record batches in, finished batches out.

    runs -> records -> readings -> checks -> slots -> fold -> smoothed rows -> record batches

Time, randomness and limits come in as arguments; nothing here waits, logs or knows Kafka's client.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from stream_ewma.columns import NULL, Bytes, Spans, as_bytes
from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.dead_letters import Reason, reasons_of
from stream_ewma.engine.outgoing import Destination, Outgoing, OutgoingBatch, dead_letters
from stream_ewma.engine.smoother import Part, Smoother
from stream_ewma.engine.step import Failure, Step
from stream_ewma.records.columns import RecordColumns
from stream_ewma.records.fetched import BatchRun
from stream_ewma.records.reader import decode

_NOTHING: Final[Bytes] = as_bytes(b"")


class PartitionTask:
    """The state of one input partition, and its processing.

    Args:
        topic: input topic.
        partition: input partition.
        position: offset of the first record to process.
        config: see `TaskConfig`.
        hash_seed: two 64-bit words nobody outside can know.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        position: int,
        config: TaskConfig,
        hash_seed: tuple[int, int],
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.position = position
        self._config = config
        self._smoother = Smoother(config, hash_seed, f"{topic}-{partition}".encode())

    @property
    def keys_count(self) -> int:
        """Keys that have a slot."""
        return self._smoother.keys_count

    @property
    def state_bytes(self) -> int:
        """Memory of the keys and their state."""
        return self._smoother.state_bytes

    def process(self, runs: Sequence[BatchRun]) -> Step:
        """Smooth the records of `runs` and advance the position past them."""
        decoded = decode(runs, self.position)
        work = self._smoother.smooth(decoded.records, self.position, decoded.next_offset)
        failure = None
        self.position = decoded.next_offset
        rows = len(work.records)
        if work.failed_row is not None:
            rows = work.failed_row
            reason = Reason(int(work.reason[rows]))
            failure = Failure(int(work.records.offset[rows]), reason)
            self.position = failure.offset
        batches = [batch for part in work.parts for batch in self._batches(work.records, part)]
        rejected_rows = np.flatnonzero(work.reason[:rows] >= 0)
        rejected = reasons_of(work.reason[rejected_rows])
        if rejected and self._config.on_error == "dlq":
            letters = self._dead_letters(work.records.take(rejected_rows), rejected)
            batches += letters.batches()
        return Step(
            batches,
            self.position,
            rows,
            sum(len(part.rows) for part in work.parts),
            {reason: rejected.count(reason) for reason in set(rejected)},
            dict(work.skipped),
            dict(work.noted),
            decoded.unreadable if failure is None else None,
            failure,
        )

    def refused(self, batch: OutgoingBatch) -> list[OutgoingBatch]:
        """The dead letter of the only record of a batch that the broker refuses."""
        return self._dead_letters(batch.source(), [Reason.OUTPUT_REFUSED]).batches()

    def _batches(self, records: RecordColumns, part: Part) -> list[OutgoingBatch]:
        """Smoothed rows as finished batches."""
        if len(part.rows) != len(records) or part.is_report:
            records = records.take(part.rows)
        if part.is_report:
            records = _as_report(records, part)
        n = len(records)
        headers, headers_count = records.headers, records.headers_count
        if not self._config.pass_headers:
            headers = Spans(_NOTHING, np.zeros(n, np.int32), np.zeros(n, np.int32))
            headers_count = np.zeros(n, np.int32)
        return Outgoing(
            Destination.OUTPUT,
            records,
            records.timestamp,
            part.smoothed.keys,
            self._config.encoder.encode(part.smoothed),
            headers,
            headers_count,
            self._config.max_batch_bytes,
            self._config.compression,
        ).batches()

    def _dead_letters(self, records: RecordColumns, reasons: list[Reason]) -> Outgoing:
        return dead_letters(
            records,
            reasons,
            self.topic,
            self.partition,
            max_batch_bytes=self._config.max_batch_bytes,
            compression=self._config.compression,
        )


def _as_report(records: RecordColumns, part: Part) -> RecordColumns:
    """Records as a report of silent keys has them: the keys', at the event time, and empty.

    Should the broker refuse one, its dead letter names the record that moved event time on.
    """
    n = len(records)
    return replace(
        records,
        timestamp=part.smoothed.timestamp,
        keys=part.smoothed.keys,
        values=Spans(_NOTHING, np.zeros(n, np.int32), np.full(n, NULL, np.int32)),
        headers=Spans(_NOTHING, np.zeros(n, np.int32), np.zeros(n, np.int32)),
        headers_count=np.zeros(n, np.int32),
    )
