"""What the guarantees rest on besides the service: topics that outlive the loss of a broker."""

from collections.abc import Iterable
from typing import Final

from stream_ewma.kafka.topic_state import Role, TopicState
from stream_ewma.settings import Settings

_COPIES: Final = 3
_IN_SYNC: Final = 2


def weakness(settings: Settings, states: Iterable[TopicState]) -> str:
    """One line about the topics of the service that a lost broker harms, or nothing.

    Where no state is kept, nothing is promised that could be lost.
    """
    if not settings.state.durable:
        return ""
    harmed = [each for each in states if each.role is not Role.INPUT and _risks(each)]
    if not harmed:
        return ""
    names: dict[str, list[str]] = {}
    for state in harmed:
        names.setdefault(", ".join(_risks(state)), []).append(state.name)
    told = "; ".join(f"{', '.join(those)}: {risks}" for risks, those in names.items())
    what = "nothing can be written while a broker is down"
    if any(map(_can_lose, harmed)):
        what = "the guarantees do not survive the loss of a broker"
    return (
        f"{told}: {what}; use replication factor {_COPIES}, min.insync.replicas {_IN_SYNC} and no"
        " unclean leader election"
    )


def _risks(state: TopicState) -> list[str]:
    """What of a topic should be otherwise."""
    copies, least = state.copies or _COPIES, state.least_in_sync or _IN_SYNC
    if copies == 1:
        return ["replication factor 1"]  # whatever the rest is
    risks = [f"replication factor {copies}"] if copies < _COPIES else []
    risks += [f"min.insync.replicas {least}"] if least < _IN_SYNC else []
    return risks + ["unclean.leader.election.enable true"] * state.is_unclean


def _can_lose(state: TopicState) -> bool:
    """Whether a record that brokers have acknowledged can be lost with one of them."""
    # What cannot be seen is taken for Kafka's default, which is 1.
    least = 1 if state.least_in_sync is None else state.least_in_sync
    return state.copies == 1 or state.is_unclean or least < _IN_SYNC
