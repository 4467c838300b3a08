"""Show how far the group has come, or lead a parked partition past what cannot be read.

stream-ewma offsets show --config stream-ewma.yaml
stream-ewma offsets skip sensor-readings 3 1042

`skip` moves the position of a partition forward to an offset; the state of its keys stays, and what
lies between is never read. While the service runs, it refuses.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from stream_ewma.cli import settings_flags
from stream_ewma.cli.state_reset import empty_head, require_fit
from stream_ewma.cli.state_show import progress
from stream_ewma.cli.tables import number, table
from stream_ewma.engine.stored import Head
from stream_ewma.errors import StateError, TopicError
from stream_ewma.kafka.connect import wait_for_broker
from stream_ewma.kafka.group import Group, group_of
from stream_ewma.kafka.kept import KeptState, Topic, kept_state, topic_of, writing
from stream_ewma.kafka.partition import Partition
from stream_ewma.settings import Settings

FLAGS: Final = ("topic",)
_SHOWN_SETTINGS: Final = {"application_id", "kafka.bootstrap_servers", "input.topics"}
_USAGE: Final = 2
_HEADER: Final = ("topic", "partition", "group", "state", "start", "end", "lag", "note")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and to what."""
    parser.usage = "%(prog)s show | skip TOPIC PARTITION OFFSET [FLAGS]"
    parser.add_argument("action", choices=["show", "skip"], metavar="ACTION", help="see above")
    parser.add_argument(
        "place", nargs="*", metavar="TOPIC PARTITION OFFSET", help="skip: what to read next"
    )
    parser.add_argument(
        "--topic", metavar="NAME", help="show: the input topic; default: all of input.topics"
    )
    settings_flags.add_arguments(parser, _SHOWN_SETTINGS)
    parser.epilog = "Every other setting of `stream-ewma run` is taken as well, as file or flag."


def run(arguments: argparse.Namespace, unknown: Sequence[str]) -> int:
    """Do it.

    Raises:
        StreamEwmaError: the settings, the brokers or the state do not allow it.
    """
    place = arguments.place
    if arguments.action == "skip":
        if len(place) != 3 or not all(text.isdecimal() for text in place[1:]):
            sys.stderr.write(
                "stream-ewma offsets skip: write a topic, a partition and an offset, as:"
                " stream-ewma offsets skip sensor-readings 3 1042\n"
            )
            return _USAGE
        settings = settings_flags.load(arguments, unknown)
        return asyncio.run(_skip(settings, Partition(place[0], int(place[1])), int(place[2])))
    if place:
        sys.stderr.write(f"stream-ewma offsets show: '{place[0]}' is not needed; leave it out\n")
        return _USAGE
    settings = settings_flags.load(arguments, unknown)
    topics = [arguments.topic] if arguments.topic else list(settings.input.topics)
    return asyncio.run(_show(settings, topics))


async def _show(settings: Settings, topics: Sequence[str]) -> int:
    rows = []
    await wait_for_broker(settings)
    async with group_of(settings) as group, kept_state(settings, progress()) as kept:
        for name in topics:
            topic = await topic_of(settings, name)
            partitions = [Partition(name, n) for n in range(topic.partitions)]
            committed = await group.committed(partitions)
            bounds = await group.bounds(partitions)
            for partition in partitions:
                first, end = bounds[partition]
                head = await _head(settings, kept, topic, partition)
                state = None if head is None else head.marker.next_offset
                position = committed[partition] if state is None else state
                note = await _note(group, partition, position, committed[partition], bounds)
                lag = end - (first if position is None else max(position, first))
                numbers = (committed[partition], state, first, end, max(lag, 0))
                rows.append([name, str(partition.number), *map(number, numbers), note])
    sys.stdout.write(table(_HEADER, rows, left=("topic", "note")))
    return 0


async def _head(
    settings: Settings, kept: KeptState, topic: Topic, partition: Partition
) -> Head | None:
    """What the partition's changelog says of it, if there is one."""
    if not settings.state.durable or partition.number >= topic.kept:
        return None
    stored = await kept.read(partition, [])
    return None if stored is None else stored.head


async def _note(
    group: Group,
    partition: Partition,
    position: int | None,
    committed: int | None,
    bounds: dict[Partition, tuple[int, int]],
) -> str:
    """What is odd about a partition, or nothing."""
    first, end = bounds[partition]
    at = first if position is None else position
    stuck = await group.stuck_at(partition, at, end) if first <= at < end else None
    note = ""
    if at > end:
        note = "beyond the end of the topic: records were lost, or it was created anew"
    elif at < first:
        note = f"retention removed {first - at:,} records unread"
    elif stuck is not None:
        note = (
            f"cannot be read at {stuck.offset}: {stuck.reason}; to go on: stream-ewma offsets skip"
            f" {partition.topic} {partition.number} {stuck.next_offset}"
        )
    elif position is None:
        note = "never read"
    elif committed is None or committed < position:
        note = "the group is behind the state, which counts"
    elif committed > position:
        note = "the group is ahead of the state: the changelog has lost records"
    return note


async def _skip(settings: Settings, partition: Partition, offset: int) -> int:
    await wait_for_broker(settings)
    async with group_of(settings) as group, kept_state(settings, progress()) as kept:
        await group.refuse_members()
        topic = await topic_of(settings, partition.topic)
        if partition.number >= topic.partitions:
            raise TopicError(
                f"{partition.topic}: has no partition {partition.number}: its partitions are 0 to"
                f" {topic.partitions - 1}"
            )
        if settings.state.durable:
            require_fit(settings, topic)
        async with writing(settings, partition) as writer:
            # Read once the writer has fenced: nobody can add to it any more.
            head = await _head(settings, kept, topic, partition)
            committed = (await group.committed([partition]))[partition]
            first, end = (await group.bounds([partition]))[partition]
            position = committed if head is None else head.marker.next_offset
            at = first if position is None else position
            _check(partition, at, end, offset)
            if head is not None:
                await writer.write(head.at(offset).batches(settings.output.max_batch_bytes))
            elif settings.state.durable:
                made = empty_head(settings, topic, partition, offset)
                await writer.write(made.batches(settings.output.max_batch_bytes))
            await writer.commit(offset)
    passed = f"offsets {at:,} to {offset - 1:,} will not be read"
    sys.stdout.write(f"{partition}: goes on at {offset:,}; {passed}\n")
    return 0


def _check(partition: Partition, at: int, end: int, offset: int) -> None:
    """Return if a partition may go on at an offset.

    Raises:
        StateError: it may not.
    """
    if offset == at:
        raise StateError(f"{partition}: stands at {offset} already; nothing was changed")
    if offset < at:
        raise StateError(
            f"{partition}: stands at {at}: going back to {offset} would apply readings twice; to"
            f" begin anew: stream-ewma state reset --topic {partition.topic}"
        )
    if offset > end:
        left = f"write an offset from {at + 1} to {end}" if at < end else "there is nothing to skip"
        raise StateError(f"{partition}: ends at {end}; {left}")
