"""Topics from which a lost broker takes what it has acknowledged are named, with what to write."""

import pytest

from stream_ewma.kafka.durability import weakness
from stream_ewma.kafka.topic_state import Role, TopicState
from tests.support.given import load

ADVICE = "use replication factor 3, min.insync.replicas 2 and no unclean leader election"
LOST = f"the guarantees do not survive the loss of a broker; {ADVICE}"
DOWN = f"nothing can be written while a broker is down; {ADVICE}"


def topic(
    copies: int | None,
    least: int | None = 2,
    *,
    unclean: bool = False,
    role: Role = Role.OUTPUT,
    name: str = "out",
) -> TopicState:
    return TopicState(name, role, 1, copies=copies, least_in_sync=least, is_unclean=unclean)


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (topic(3), ""),
        (topic(5), ""),
        (topic(None), ""),
        (topic(3, None), ""),
        (topic(1, role=Role.INPUT), ""),
        (topic(1, 1), f"out: replication factor 1: {LOST}"),
        (topic(1, None, unclean=True), f"out: replication factor 1: {LOST}"),
        (topic(2), f"out: replication factor 2: {DOWN}"),
        (topic(2, None), f"out: replication factor 2: {LOST}"),
        (topic(2, 1), f"out: replication factor 2, min.insync.replicas 1: {LOST}"),
        (topic(3, 1), f"out: min.insync.replicas 1: {LOST}"),
        (topic(3, unclean=True), f"out: unclean.leader.election.enable true: {LOST}"),
    ],
)
def test_what_should_be_otherwise_is_named(state: TopicState, line: str):
    assert weakness(load(), [state]) == line


def test_all_topics_are_one_line_those_alike_together():
    states = [
        topic(1, None, name="out"),
        topic(3, role=Role.DEAD_LETTERS, name="dead"),
        topic(1, 1, role=Role.CHANGELOG, name="a-changelog"),
        topic(3, 1, role=Role.CHANGELOG, name="b-changelog"),
    ]

    assert weakness(load(), states) == (
        f"out, a-changelog: replication factor 1; b-changelog: min.insync.replicas 1: {LOST}"
    )


def test_where_no_state_is_kept_nothing_is_promised():
    assert weakness(load({"state.durable": False}), [topic(1)]) == ""
