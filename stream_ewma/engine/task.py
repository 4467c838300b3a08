"""One input partition as a state machine: runs of record batches in, finished batches out.

    runs -> records -> readings -> checks -> slots -> fold -> smoothed rows -> record batches

What it knows goes into a changelog by cuts and comes back from there by a restore:

    restore(runs) ... -> restored() -> process(runs) -> process(runs) -> cut() -> ...

Time, randomness and limits come in as arguments; nothing here waits, logs or knows Kafka's client.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import NULL, Bytes, Int64, Spans, as_bytes
from stream_ewma.engine.changelog import CONFIGURATION_KEY, POSITION_KEY, ChangelogError, write
from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.configuration import Configuration
from stream_ewma.engine.dead_letters import Reason, reasons_of
from stream_ewma.engine.marker import Marker
from stream_ewma.engine.outgoing import (
    Destination,
    Origin,
    Outgoing,
    OutgoingBatch,
    dead_letters,
    origins,
)
from stream_ewma.engine.restoring import Loader
from stream_ewma.engine.sample import KeyPage, KeyState, Watched
from stream_ewma.engine.smoother import Part, Smoothed, Smoother
from stream_ewma.engine.step import Cut, Failure, Restored, Seconds, Step
from stream_ewma.engine.view import page_of, rejected_of, samples_of, state_of
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
        topic_id: id of the input topic, if it is known.
        partitions: partitions of the input topic, if they are known.

    Attributes:
        position: offset of the next record to process.
        max_batch_bytes: outputs and dead letters are cut at this size, uncompressed; at first that
            of the configuration.
        refused_outputs: outputs that the broker is known to refuse, by `OutgoingBatch.origins`.
            They are not made: the input becomes a dead letter, is left out or stops the service,
            as `TaskConfig.on_error` says. It is in the state all the same, unless it stops it.
        watched: what samples a step is to bring.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        position: int,
        config: TaskConfig,
        hash_seed: tuple[int, int],
        *,
        topic_id: str | None = None,
        partitions: int | None = None,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.position = position
        self.refused_outputs: frozenset[Origin] = frozenset()
        self.max_batch_bytes = config.max_batch_bytes
        self.watched = Watched()
        self._topic_id = topic_id
        self._partitions = partitions
        self._config = config
        self._configuration = Configuration.of(config)
        self._fingerprint = self._configuration.fingerprint
        self._written: str | None = None
        self._loader: Loader | None = None
        self._smoother = Smoother(config, hash_seed, f"{topic}-{partition}".encode())

    @property
    def keys_count(self) -> int:
        """Keys that have a slot."""
        return self._smoother.keys_count

    @property
    def state_bytes(self) -> int:
        """Memory of the keys and their state."""
        return self._smoother.state_bytes

    def process(self, runs: Sequence[BatchRun], clock: Callable[[], float] = lambda: 0.0) -> Step:
        """Smooth the records of `runs` and advance the position past them.

        Args:
            runs: record batches that follow the position.
            clock: seconds from any moment on, by which the stages are timed.
        """
        began = clock()
        decoded = decode(runs, self.position)
        records, next_offset = decoded.records, decoded.next_offset
        failure = self._refused_input(records)
        if failure is not None:
            records = records.take(np.flatnonzero(records.offset < failure.offset))
            next_offset = failure.offset
        readings = self._smoother.read(records)
        has_read = clock()
        work = self._smoother.smooth(records, self.position, next_offset, readings)
        has_smoothed = clock()
        self.position = next_offset
        rows = len(work.records)
        if work.failed_row is not None:
            rows = work.failed_row
            reason = Reason(int(work.reason[rows]))
            failure = Failure(int(work.records.offset[rows]), reason)
            self.position = failure.offset
        outputs, lost = self._outputs(work)
        rejected_rows = np.flatnonzero(work.reason[:rows] >= 0)
        rejected = reasons_of(work.reason[rejected_rows])
        letters = [(work.records.take(rejected_rows), rejected)]
        letters += [(reports, [Reason.OUTPUT_REFUSED] * len(reports)) for reports in lost]
        outgoing = list(outputs)
        if self._config.on_error == "dlq":
            outgoing += [self._dead_letters(*each) for each in letters if each[1]]
        reasons = Counter(reason for _, own in letters for reason in own)
        batches = [batch for each in outgoing for batch in each.batches()]
        return Step(
            batches,
            self.position,
            rows,
            sum(len(each.timestamp) for each in outputs),
            dict(reasons),
            dict(work.skipped),
            dict(work.noted),
            decoded.unreadable if failure is None else None,
            failure,
            # Nearly sorted already, which a stable sort is quick with.
            np.sort(work.records.timestamp[:rows], kind="stable"),
            _newest(work, rows),
            samples_of(self._smoother.series, self._config, work, self.watched)
            if self.watched
            else [],
            rejected_of(work.records, rejected_rows, rejected),
            Seconds(has_read - began, has_smoothed - has_read, clock() - has_smoothed),
        )

    def _refused_input(self, records: RecordColumns) -> Failure | None:
        """The first record whose output is refused, if that stops the service."""
        if self._config.on_error != "fail" or not self.refused_outputs:
            return None
        found = np.flatnonzero(self._is_of_refused(records))
        return Failure(int(records.offset[found[0]]), Reason.OUTPUT_REFUSED) if len(found) else None

    def _outputs(self, work: Smoothed) -> tuple[list[Outgoing], list[RecordColumns]]:
        """The outputs that are not refused, and the inputs of refused reports.

        The inputs of other refused outputs get their reason in `work`.
        """
        outputs: list[Outgoing] = []
        lost: list[RecordColumns] = []
        for part in work.parts:
            outgoing = self._outgoing(work.records, part)
            if self.refused_outputs:
                refused = self._refused_rows(outgoing)
                if part.is_report:
                    lost.append(outgoing.source.take(refused))
                else:
                    work.reason[part.rows[refused]] = Reason.OUTPUT_REFUSED
                outgoing = outgoing.take(np.delete(np.arange(len(part.rows)), refused))
            outputs.append(outgoing)
        return outputs, lost

    def _refused_rows(self, outgoing: Outgoing) -> Int64:
        suspects = np.flatnonzero(self._is_of_refused(outgoing.source))
        known = origins(outgoing.source.take(suspects), outgoing.is_report)
        return suspects[[origin in self.refused_outputs for origin in known]]

    def _is_of_refused(self, records: RecordColumns) -> NDArray[np.bool_]:
        """Whether any output of each record is refused (n,)."""
        return np.isin(records.offset, [offset for offset, _ in self.refused_outputs])

    def look_up(self, keys: Sequence[bytes]) -> list[KeyState]:
        """The states of those of `keys` that are there, as the last step left them."""
        return state_of(self._smoother.series, keys)

    def page(self, prefix: bytes, cursor: int, limit: int, effort: int) -> KeyPage:
        """Keys that begin with `prefix`; see `view.page_of`."""
        return page_of(self._smoother.series, prefix, cursor, limit, effort)

    def pass_over(self, position: int) -> None:
        """Go on at `position`: what stands before it are no records, but it counts as passed."""
        nothing = decode([], self.position).records
        self._smoother.smooth(nothing, self.position, position)
        self.position = position

    def cut(self) -> Cut:
        """The changelog's records of all that has changed since the last cut.

        Rows and tombstones come first, then the configuration, if these are the first rows that it
        gives their meaning, and the position marker last: who reads the log to its end, or to the
        end of any cut, knows how far the input is in the rows. Needs `TaskConfig.durable`.
        """
        marker = Marker(
            self.position,
            self._smoother.event_time,
            self._fingerprint,
            self.topic,
            self._topic_id,
            self.partition,
            self._partitions,
        )
        texts = [(POSITION_KEY, marker.to_bytes())]
        if self._written != self._fingerprint:
            texts.insert(0, (CONFIGURATION_KEY, self._configuration.to_bytes()))
            self._written = self._fingerprint
        keys, values = (Spans.of([text[side] for text in texts]) for side in (0, 1))
        parts = list(self._smoother.series.changed())
        return Cut(
            write([*parts, (keys, values)], self._config.max_batch_bytes),
            self.position,
            sum(int((part[1].length != NULL).sum()) for part in parts),
            sum(int((part[1].length == NULL).sum()) for part in parts),
        )

    def restore(self, runs: Sequence[BatchRun]) -> int:
        """Take in records of the changelog partition, which follow those before.

        Returns:
            How many rows and tombstones there were among them.

        Raises:
            ChangelogError: a record cannot be read or does not belong into a changelog.
        """
        if self._loader is None:
            self._loader = self._smoother.series.loader(self._configuration)
        return self._loader.read(runs)

    def restored(self) -> Restored:
        """End the restore: the task goes on where the last cut in the changelog was made.

        Parameters that have changed meanwhile are applied: rows that this changes are in the next
        cut.

        Raises:
            ChangelogError: what was read does not go together, is of another partition, of a newer
                version, or of settings that the rows cannot be converted from.
        """
        loader, self._loader = self._loader, None
        loaded = None if loader is None else loader.finish()
        if loaded is None:
            return Restored(None, 0, 0, 0)
        marker = loaded.marker
        if (marker.topic, marker.partition) != (self.topic, self.partition):
            raise ChangelogError(f"the rows are those of {marker.topic}-{marker.partition}")
        converted, restarted = self._smoother.series.restore(loaded, self._configuration)
        self._smoother.resume(marker.event_time)
        self._written = marker.configuration
        self.position = marker.next_offset
        return Restored(marker, self.keys_count, converted, restarted)

    def refused(self, batch: OutgoingBatch) -> list[OutgoingBatch]:
        """The dead letter of the only record of a batch that the broker refuses."""
        return self._dead_letters(batch.source(), [Reason.OUTPUT_REFUSED]).batches()

    def _outgoing(self, records: RecordColumns, part: Part) -> Outgoing:
        """Smoothed rows as records to be published."""
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
            self.max_batch_bytes,
            self._config.compression,
            part.is_report,
        )

    def _dead_letters(self, records: RecordColumns, reasons: list[Reason]) -> Outgoing:
        return dead_letters(
            records,
            reasons,
            self.topic,
            self.partition,
            max_batch_bytes=self.max_batch_bytes,
            compression=self._config.compression,
        )


def _newest(work: Smoothed, rows: int) -> int | None:
    """The greatest event time among the first `rows` readings; None: there are none."""
    times = work.placed.readings.timestamp[:rows][work.reason[:rows] < 0]
    return int(times.max()) if len(times) else None


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
