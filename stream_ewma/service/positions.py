"""Where to begin in a newly assigned partition: what is known of it, checked against each other."""

from dataclasses import dataclass

from stream_ewma.engine.marker import Marker
from stream_ewma.errors import StateError
from stream_ewma.kafka.consumer import GroupConsumer
from stream_ewma.kafka.partition import Partition
from stream_ewma.settings import Settings


@dataclass(frozen=True, slots=True)
class TopicIdentity:
    """Which topic an input topic is; another one may come to bear its name.

    Attributes:
        topic_id: Kafka's own; None where the brokers know none.
        partitions: how many it has; None where nobody asked.
    """

    topic_id: str | None
    partitions: int | None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a partition when it is taken over.

    Attributes:
        marker: the changelog's last position; None: there is none, or no changelog.
        committed: the group's committed offset; None: there truly is none.
        first: offset of the first record that the topic still holds.
        end: offset after the last one.
        identity: the input topic as it is now.
    """

    marker: Marker | None
    committed: int | None
    first: int
    end: int
    identity: TopicIdentity


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin.

    Attributes:
        position: offset of the first record to read; None: nothing was ever read, `input.start`
            decides.
        warning: what is odd about it, or nothing.
        lost: records that retention removed unread.
        is_rebuild: the kept state is void, and the topic is to be read from `position`.
    """

    position: int | None
    warning: str = ""
    lost: int = 0
    is_rebuild: bool = False


def start_with_state(partition: Partition, known: Known, settings: Settings) -> Start:
    """Begin where the kept state stands, which is right whatever the group remembers.

    Raises:
        StateError: state, group and topic contradict each other; the message says what to do.
    """
    marker, committed = known.marker, known.committed
    if marker is None:
        return _start_without_marker(partition, known, settings)
    _check_identity(partition, marker, known, settings)
    before, now = marker.partitions, known.identity.partitions
    if None not in (before, now) and before != now:
        if settings.state.repartition == "refuse":
            raise StateError(
                f"{partition}: the topic has {now} partitions, and had {before} when its state was "
                "kept: keys may have moved to other partitions, where they would begin anew "
                "without a word; to read the topic again from its beginning, moved keys beginning "
                "anew with their first reading there: --state.repartition rebuild"
            )
        return Start(
            known.first,
            f"the topic has {now} partitions, and had {before}: it is read again from its "
            "beginning, everything is published again, and keys that have moved begin anew where "
            "they are now",
            is_rebuild=True,
        )
    position = marker.next_offset
    if position > known.end:
        raise StateError(
            f"{partition}: the kept state stands at offset {position}, but the topic ends at "
            f"{known.end}: records were lost, or the topic was created anew; to begin anew: "
            f"{reset_command(partition)}"
        )
    if committed is not None and committed > position:
        raise StateError(
            f"{partition}: the group's offset {committed} is ahead of the kept state, which stands "
            f"at {position}: the changelog {settings.changelog_topic(partition.topic)} has lost "
            "records, and going on from either would double or leave out readings; to begin anew: "
            f"{reset_command(partition)}"
        )
    if position < known.first:
        return _behind_a_gap(partition, position, known.first, settings)
    if committed is None:
        return Start(position, "the group has no offset: going on where the kept state stands")
    if committed < position:
        return Start(
            position,
            f"the group's offset {committed} is behind the kept state: going on at {position}, "
            "where that stands",
        )
    return Start(position)


def start_without_state(partition: Partition, known: Known, settings: Settings) -> Start:
    """Begin at the group's offset (`state.durable: false`).

    Raises:
        StateError: it lies outside of what the topic holds.
    """
    committed = known.committed
    if committed is None:
        return Start(None)
    if committed > known.end:
        raise StateError(
            f"{partition}: the committed offset {committed} is beyond the end of the topic "
            f"({known.end}): records were lost, or the topic was created anew; stop the service "
            "and run: kafka-consumer-groups.sh --bootstrap-server "
            f"{settings.kafka.bootstrap_servers} --group {settings.application_id} "
            f"--topic {partition.topic}:{partition.number} --reset-offsets --execute --to-latest "
            "(or --to-earliest, to read what the topic holds now)"
        )
    if committed < known.first:
        return _behind_a_gap(partition, committed, known.first, settings)
    return Start(committed)


def _start_without_marker(partition: Partition, known: Known, settings: Settings) -> Start:
    if known.committed is None:
        return Start(None)
    if settings.state.on_loss == "refuse":
        raise StateError(
            f"{partition}: the group stands at offset {known.committed}, but "
            f"{settings.changelog_topic(partition.topic)} holds no state of it: it was deleted, or "
            "the service ran without durable state before; to begin there with empty state: "
            "--state.on_loss accept"
        )
    start = start_without_state(partition, known, settings)
    return Start(start.position, start.warning or "there is no state: every key begins anew")


def _check_identity(partition: Partition, marker: Marker, known: Known, settings: Settings) -> None:
    changelog = settings.changelog_topic(partition.topic)
    if (marker.topic, marker.partition) != (partition.topic, partition.number):
        raise StateError(
            f"{partition}: {changelog} holds the state of {marker.topic}-{marker.partition}: "
            "write another application_id"
        )
    now = known.identity
    if None not in (marker.topic_id, now.topic_id) and marker.topic_id != now.topic_id:
        raise StateError(
            f"{partition}: the topic was deleted and created anew since its state was kept: its "
            f"offsets mean other records now; to begin anew: {reset_command(partition)}"
        )


def _behind_a_gap(partition: Partition, wanted: int, first: int, settings: Settings) -> Start:
    if settings.input.on_gap == "refuse":
        raise StateError(
            f"{partition}: the next record to read is {wanted}, but the topic begins at {first}: "
            f"retention removed {first - wanted} records unread; to go on without them: "
            "--input.on_gap accept"
        )
    lost = first - wanted
    return Start(first, f"retention removed {lost} records unread", lost)


def reset_command(partition: Partition) -> str:
    """What forgets the kept state of the partition's topic."""
    return f"stream-ewma state reset --topic {partition.topic}"


async def first_start(
    consumer: GroupConsumer, settings: Settings, partition: Partition, known: Known
) -> int:
    """Where `input.start` says to begin.

    Raises:
        FatalError: no answer.
    """
    match settings.input.start:
        case "earliest":
            return known.first
        case "latest":
            return known.end
        case timestamp_ms:
            found = await consumer.offset_at(partition, int(timestamp_ms))
            return known.end if found is None else found
