"""`state reset`: forget what is kept of a topic's keys, and begin anew."""

import sys
from datetime import UTC, datetime

from stream_ewma.cli.state_show import progress
from stream_ewma.cli.tables import counted
from stream_ewma.engine.configuration import Configuration
from stream_ewma.engine.stored import Head
from stream_ewma.errors import StateError, TopicError
from stream_ewma.kafka.connect import wait_for_broker
from stream_ewma.kafka.group import Group, group_of
from stream_ewma.kafka.kept import KeptState, Topic, kept_state, topic_of, writing
from stream_ewma.kafka.partition import Partition
from stream_ewma.service.config import task_config
from stream_ewma.settings import Settings


async def reset(settings: Settings, name: str, *, has_start: bool) -> int:
    """Take away all rows and markers of a topic's changelog, a partition at a time.

    Without a start the group's offsets go first: whatever happens then, a partition is as it was,
    or as new. With one, each partition begins there from its transaction on.

    Args:
        settings: everything; `input.start` is where to begin.
        name: the input topic.
        has_start: the beginning was given with the command.

    Raises:
        ServiceRunningError: members of the group are there.
        StreamEwmaError: the brokers refuse, or the changelog cannot be read.
    """
    await wait_for_broker(settings)
    async with group_of(settings) as group, kept_state(settings, progress()) as kept:
        await group.refuse_members()
        topic = await topic_of(settings, name)
        starts: dict[Partition, int] = {}
        if has_start:
            require_fit(settings, topic)
            starts = await _starts(settings, group, topic)
        else:
            await group.delete_committed(Partition(name, n) for n in range(topic.partitions))
        keys = 0
        for partition in topic.kept_partitions:
            keys += await _take_away(settings, kept, topic, partition, starts.get(partition))
    told = f"{name}: forgot {counted(keys, 'key')} in {counted(topic.kept, 'partition')}"
    if has_start:
        offsets = ", ".join(f"{p.number}: {at:,}" for p, at in starts.items())
        told += f"\nthe next start begins at these offsets by partition: {offsets}\n"
    else:
        told += f", and the group's offsets\nthe next start begins at {_start(settings)}\n"
    sys.stdout.write(told)
    return 0


def require_fit(settings: Settings, topic: Topic) -> None:
    """Return if the changelog has a partition for each of the input.

    Raises:
        TopicError: it has not.
    """
    if topic.kept != topic.partitions:
        raise TopicError(
            f"{settings.changelog_topic(topic.name)}: has {topic.kept} partitions where"
            f" {topic.name} has {topic.partitions}: run `stream-ewma state reset` without --to,"
            " delete the changelog, then run: stream-ewma topics create"
        )


def empty_head(settings: Settings, topic: Topic, partition: Partition, offset: int) -> Head:
    """What a partition without rows says of itself under these settings."""
    return Head.of(
        Configuration.of(task_config(settings)),
        topic.name,
        topic.topic_id,
        partition.number,
        topic.partitions,
        offset,
    )


def _start(settings: Settings) -> str:
    """`input.start` in words."""
    start = settings.input.start
    if isinstance(start, int):
        return f"{datetime.fromtimestamp(start / 1000, UTC).isoformat()} (input.start)"
    return f"{start} (input.start)"


async def _starts(settings: Settings, group: Group, topic: Topic) -> dict[Partition, int]:
    """Where `input.start` says that each partition begins."""
    bounds = await group.bounds(topic.kept_partitions)
    found = {}
    for partition, (first, end) in bounds.items():
        match settings.input.start:
            case "earliest":
                found[partition] = first
            case "latest":
                found[partition] = end
            case timestamp_ms:
                at = await group.offset_at(partition, int(timestamp_ms))
                found[partition] = end if at is None else at
    return found


async def _take_away(
    settings: Settings, kept: KeptState, topic: Topic, partition: Partition, start: int | None
) -> int:
    """Empty one partition of the changelog, in one transaction; answers how many keys it had."""
    most = settings.output.max_batch_bytes
    async with writing(settings, partition) as writer:
        # Read once the writer has fenced: nobody can add to it any more.
        try:
            live = await kept.live(partition)
        except StateError as error:
            raise StateError(
                f"{error}: nothing but deleting the topic takes that away; delete it, then run:"
                " stream-ewma topics create"
            ) from error
        for batches in live.tombstones(most):
            await writer.write(batches)
        if start is not None:
            head = empty_head(settings, topic, partition, start)
            await writer.write(head.batches(most))
        if len(live) or start is not None:
            await writer.commit(start)
    return live.rows
