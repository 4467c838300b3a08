"""What came of looking at one thing that the service needs."""

from dataclasses import dataclass
from enum import Enum

from stream_ewma.errors import AccessDeniedError, StreamEwmaError, TopicError


class Sign(Enum):
    """How it is."""

    GOOD = "good"
    WARNING = "warning"
    PROBLEM = "problem"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Tick:
    """One thing that was looked at.

    Attributes:
        sign: how it is.
        what: in one line; of what is not good, with what to do.
        is_denied: the brokers were reached and refuse.
    """

    sign: Sign
    what: str
    is_denied: bool = False


def good(what: str) -> Tick:
    """It is as it should be."""
    return Tick(Sign.GOOD, what)


def warning(what: str) -> Tick:
    """It works, but not for long, or not for everything."""
    return Tick(Sign.WARNING, what)


def problem(what: str) -> Tick:
    """The service would not run."""
    return Tick(Sign.PROBLEM, what)


def unknown(what: str) -> Tick:
    """It cannot be told."""
    return Tick(Sign.UNKNOWN, what)


def problems_of(error: StreamEwmaError) -> list[Tick]:
    """What an error says; one of topics has a line for each."""
    lines = str(error).splitlines() if isinstance(error, TopicError) else [str(error)]
    return [Tick(Sign.PROBLEM, line, isinstance(error, AccessDeniedError)) for line in lines]
