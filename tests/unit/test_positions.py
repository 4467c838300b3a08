"""Where to begin: every row of the table of what marker, group and topic can say."""

from dataclasses import replace
from typing import Any

import pytest

from stream_ewma.engine.marker import Marker
from stream_ewma.errors import StateError
from stream_ewma.kafka.partition import Partition
from stream_ewma.service.positions import (
    Known,
    TopicIdentity,
    start_with_state,
    start_without_state,
)
from stream_ewma.settings import Settings, load_settings

PARTITION = Partition("readings", 1)
IDENTITY = TopicIdentity("id-1", 4)
MARKER = Marker(
    next_offset=50,
    event_time=None,
    configuration="c",
    topic="readings",
    topic_id="id-1",
    partition=1,
    partitions=4,
)


def settings(**overrides: Any) -> Settings:
    given = {"input.topics": ["readings"], "smoothing.alpha": 0.5}
    return load_settings(overrides={**given, **overrides}, env={})


def known(marker: Marker | None, committed: int | None, first: int = 0, end: int = 100) -> Known:
    return Known(marker, committed, first, end, IDENTITY)


@pytest.mark.parametrize(
    ("marker", "committed", "position", "warning"),
    [
        (MARKER, 50, 50, ""),
        (None, None, None, ""),
        (MARKER, None, 50, "the group has no offset"),
        (MARKER, 40, 50, "is behind the kept state"),
    ],
)
def test_what_is_resumed(
    marker: Marker | None, committed: int | None, position: int | None, warning: str
) -> None:
    start = start_with_state(PARTITION, known(marker, committed), settings())
    assert start.position == position
    assert warning in start.warning
    assert bool(start.warning) == bool(warning)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (known(MARKER, 60), "is ahead of the kept state"),
        (known(None, 60), "holds no state of it"),
        (known(MARKER, 50, first=51), "retention removed 1 records unread"),
        (known(MARKER, 50, end=49), "but the topic ends at 49"),
        (known(replace(MARKER, topic="other"), 50), "holds the state of other-1"),
        (known(replace(MARKER, partition=2), 50), "holds the state of readings-2"),
        (known(replace(MARKER, topic_id="id-2"), 50), "deleted and created anew"),
        (known(replace(MARKER, partitions=3), 50), "has 4 partitions, and had 3"),
    ],
)
def test_what_is_refused_says_what_to_do(what: Known, says: str) -> None:
    with pytest.raises(StateError, match=says) as raised:
        start_with_state(PARTITION, what, settings())
    message = str(raised.value)
    assert "\n" not in message
    assert any(
        command in message
        for command in (
            "stream-ewma state reset --topic readings",
            "--state.on_loss accept",
            "--input.on_gap accept",
            "--state.repartition rebuild",
            "write another application_id",
        )
    )


def test_lost_state_can_be_accepted() -> None:
    accepting = settings(**{"state.on_loss": "accept"})
    start = start_with_state(PARTITION, known(None, 60), accepting)
    assert start.position == 60
    assert "every key begins anew" in start.warning


def test_a_gap_can_be_accepted_and_is_counted() -> None:
    accepting = settings(**{"input.on_gap": "accept"})
    start = start_with_state(PARTITION, known(MARKER, 50, first=53), accepting)
    assert start.position == 53
    assert "3 records" in start.warning


def test_a_topic_that_gained_partitions_can_be_read_again() -> None:
    rebuilding = settings(**{"state.repartition": "rebuild"})
    start = start_with_state(
        PARTITION, known(replace(MARKER, partitions=3), 50, first=7), rebuilding
    )
    assert (start.position, start.is_rebuild) == (7, True)
    assert "everything is published again" in start.warning


def test_an_unknown_topic_id_or_partition_count_is_no_contradiction() -> None:
    unknown = replace(known(MARKER, 50), identity=TopicIdentity(None, None))
    assert start_with_state(PARTITION, unknown, settings()).position == 50
    old = replace(MARKER, topic_id=None, partitions=None)
    assert start_with_state(PARTITION, known(old, 50), settings()).position == 50


@pytest.mark.parametrize(("committed", "position"), [(None, None), (0, 0), (100, 100)])
def test_without_state_the_groups_offset_counts(committed: int | None, position: int) -> None:
    assert start_without_state(PARTITION, known(None, committed), settings()).position == position


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (known(None, 101), "beyond the end of the topic"),
        (known(None, 4, first=5), "retention removed 1 records unread"),
    ],
)
def test_without_state_an_offset_outside_of_the_topic_is_refused(what: Known, says: str) -> None:
    with pytest.raises(StateError, match=says):
        start_without_state(PARTITION, what, settings())


def test_an_offset_beyond_the_end_is_refused_with_the_whole_command() -> None:
    given = settings(**{"application_id": "app", "kafka.bootstrap_servers": ["a:1", "b:2"]})

    with pytest.raises(StateError) as raised:
        start_without_state(PARTITION, known(None, 101), given)

    message = str(raised.value)
    assert "\n" not in message
    assert (
        "kafka-consumer-groups.sh --bootstrap-server a:1,b:2 --group app --topic readings:1"
        " --reset-offsets --execute --to-latest"
    ) in message
