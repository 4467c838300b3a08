"""A member's way to the broker, which ends at one of its requests; the member ends with it."""

from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any

from tests.simulation.broker import Broker


class Crash(Exception):  # noqa: N818  it is none of the service's errors
    """The member is gone."""


class Loss(Enum):
    """What became of the request that was the member's last."""

    REQUEST = "never arrives"
    ANSWER = "takes effect, its answer is lost"
    NEITHER = "is on its way, and arrives when others are at work"


class Connection:
    """A broker as one member reaches it.

    Args:
        broker: does what is asked.
        last: the number of the request that is the member's last; None: nothing happens.
        loss: what becomes of that one.

    Attributes:
        requests: how many there were.
        late: carries the last request out, if it is still on its way.
    """

    def __init__(self, broker: Broker, last: int | None = None, loss: Loss = Loss.REQUEST) -> None:
        self._broker = broker
        self._last = last
        self._loss = loss
        self.requests = 0
        self.late: Callable[[], object] | None = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._broker, name)
        if callable(found):
            return lambda *arguments: self._ask(partial(found, *arguments))
        return self._ask(lambda: found)

    def _ask(self, request: Callable[[], object]) -> object:
        number, self.requests = self.requests, self.requests + 1
        if number != self._last:
            return request()
        if self._loss is Loss.ANSWER:
            request()
        elif self._loss is Loss.NEITHER:
            self.late = request
        raise Crash
