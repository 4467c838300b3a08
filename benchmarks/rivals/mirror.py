"""The floor: the batches that came in go out again, unread.

Fetch, check of the CRC, produce, commit, with whole batches through aiokafka's client as it comes:
what remains of the work when the records themselves cost nothing. `mirror_in_place` does the same
through the service's own connections, which copy less.
"""

import asyncio
import signal
import struct
import time
from collections.abc import Iterator

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from crc32c import crc32c
from harness import job as limits
from harness.job import Job, job_from_arguments

from stream_ewma.kafka.frames import with_replaced
from stream_ewma.kafka.seams import FinishedBatch, RawFetcher
from stream_ewma.records import layout
from stream_ewma.records.fetched import BatchRun, split_runs

_PRODUCER = struct.Struct(">qhi")
"""Producer id, producer epoch, base sequence."""


class BatchConsumer(AIOKafkaConsumer):
    """aiokafka's consumer on whole batches, and nothing else of it changed."""

    start = with_replaced(AIOKafkaConsumer.start, Fetcher=RawFetcher)


class CopiedBatch:
    """A batch as it was fetched, for `FinishedBatch`."""

    def __init__(self, data: memoryview, row_count: int) -> None:
        self._data = data
        self.row_count = row_count
        self.size = len(data)

    def to_bytes(
        self, producer_id: int, producer_epoch: int, base_sequence: int, _transactional: bool
    ) -> bytes:
        """The batch under another producer's identity, at offset 0, with its new CRC."""
        batch = bytearray(self._data)
        batch[: layout.LENGTH_AT] = bytes(layout.LENGTH_AT)
        _PRODUCER.pack_into(
            batch, layout.PRODUCER_ID_AT, producer_id, producer_epoch, base_sequence
        )
        crc = crc32c(memoryview(batch)[layout.CHECKED_AT :])
        batch[layout.CRC_AT : layout.CHECKED_AT] = crc.to_bytes(4, "big")
        return bytes(batch)


def copies(run: BatchRun) -> Iterator[FinishedBatch]:
    """The batches of `run`, each checked against its CRC."""
    view = memoryview(run.data)
    for batch in run.batches:
        data = view[batch["start"] : batch["end"]]
        if crc32c(data[layout.CHECKED_AT :]) != batch["crc"]:
            raise ValueError(f"wrong CRC in the batch at offset {batch['base_offset']}")
        yield FinishedBatch(CopiedBatch(data, int(batch["record_count"])))


async def main(
    job: Job, consumer_type: type[AIOKafkaConsumer], producer_type: type[AIOKafkaProducer]
) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    split_runs(b"")  # loads the compiled kernels
    consumer = consumer_type(
        job.input_topic,
        bootstrap_servers=job.bootstrap,
        group_id=job.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        max_partition_fetch_bytes=limits.MAX_PARTITION_FETCH_BYTES,
        fetch_max_bytes=limits.FETCH_MAX_BYTES,
        fetch_max_wait_ms=limits.FETCH_MAX_WAIT_MS,
    )
    producer = producer_type(
        bootstrap_servers=job.bootstrap,
        enable_idempotence=True,
        acks="all",
        linger_ms=0,
        max_batch_size=limits.MAX_BATCH_BYTES,
        max_request_size=limits.FETCH_MAX_BYTES,
    )
    await producer.start()
    await consumer.start()
    print(limits.READY, flush=True)
    await copy(job, consumer, producer, stop)
    await consumer.stop()
    await producer.stop()


async def copy(
    job: Job, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, stop: asyncio.Event
) -> None:
    sent: list[asyncio.Future] = []
    committed_at = time.monotonic()
    while not stop.is_set():
        fetched = await consumer.getmany(timeout_ms=200)
        for partition, records in fetched.items():
            for record in records:
                for batch in copies(record.value.run):
                    future = await producer.send_batch(
                        batch, job.output_topic, partition=partition.partition
                    )
                    sent.append(future)
        if sent and time.monotonic() - committed_at >= limits.COMMIT_INTERVAL_S:
            await asyncio.gather(*sent)
            sent.clear()
            await consumer.commit()
            committed_at = time.monotonic()


if __name__ == "__main__":
    asyncio.run(main(job_from_arguments(), BatchConsumer, AIOKafkaProducer))
