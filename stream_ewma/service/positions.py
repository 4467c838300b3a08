"""Where to begin in each newly assigned partition."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stream_ewma.errors import FatalError
from stream_ewma.kafka.consumer import GroupConsumer, Partition
from stream_ewma.settings import Settings


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin.

    Attributes:
        position: offset of the first record to read.
        committed: the group's committed offset; None: there is none.
    """

    position: int
    committed: int | None


async def start_positions(
    consumer: GroupConsumer,
    settings: Settings,
    partitions: Iterable[Partition],
    kept: Mapping[Partition, int],
) -> dict[Partition, Start]:
    """The start of each partition.

    A partition that this member had before goes on at its own position, unless another member has
    committed further meanwhile. Otherwise the committed offset counts, and `input.start` only
    where the group truly has none.

    Args:
        consumer: whom to ask.
        settings: `input.start`.
        partitions: newly assigned.
        kept: positions of those whose state is still here.

    Raises:
        FatalError: a committed offset lies outside of what the topic holds.
    """
    wanted = list(partitions)
    if not wanted:
        return {}
    committed = await consumer.committed(wanted)
    bounds = await consumer.bounds(wanted)
    starts = {}
    for partition in wanted:
        offset = committed[partition]
        own = kept.get(partition)
        if own is not None and (offset is None or offset <= own):
            position = own
        elif offset is not None:
            position = _within(partition, offset, bounds[partition], settings)
        else:
            position = await _first_start(consumer, settings, partition, bounds[partition])
        starts[partition] = Start(position, offset)
    return starts


def _within(partition: Partition, offset: int, bounds: tuple[int, int], settings: Settings) -> int:
    first, end = bounds
    if first <= offset <= end:
        return offset
    raise FatalError(
        f"{partition}: the committed offset {offset} is outside of what the topic holds "
        f"({first} to {end}): retention has overtaken the service, or the topic was created anew; "
        f"set it with kafka-consumer-groups.sh --group {settings.application_id} "
        f"--topic {partition.topic}:{partition.number} --reset-offsets"
    )


async def _first_start(
    consumer: GroupConsumer, settings: Settings, partition: Partition, bounds: tuple[int, int]
) -> int:
    first, end = bounds
    match settings.input.start:
        case "earliest":
            return first
        case "latest":
            return end
        case timestamp_ms:
            found = await consumer.offset_at(partition, int(timestamp_ms))
            return end if found is None else found
