"""How long the demo waits at its end for what was fed in."""

from types import SimpleNamespace

import numpy as np
import pytest

from stream_ewma.demo import watch
from stream_ewma.demo.sources import Readings, Series
from stream_ewma.demo.tally import Tally

FED = 10


class Slow:
    """A reader, and the clock that it is read by: each wait takes a while and brings a record."""

    def __init__(self, tally: Tally, wait_s: float, brings: int) -> None:
        self.name = "reader"
        self.failure = None
        self.ending = self
        self.now = 0.0
        self._tally = tally
        self._wait_s = wait_s
        self._left = brings

    def monotonic(self) -> float:
        return self.now

    def wait(self, _timeout: float) -> None:
        self.now += self._wait_s
        if self._left:
            self._left -= 1
            self._tally.receive(b"a", 0, 1.0, 1.0, 1)


def fed(smoothed: int) -> Tally:
    tally = Tally([Series("a", "")])
    number = np.zeros(FED, np.int64)
    tally.feed(Readings(number, number, np.ones(FED)))
    for _ in range(smoothed):
        tally.receive(b"a", 0, 1.0, 1.0, 1)
    return tally


@pytest.mark.parametrize(
    ("smoothed", "wait_s", "brings", "left", "ended"),
    [
        pytest.param(1, 2.0, 9, 0, 18.0, id="as long as it comes"),
        pytest.param(1, 1.0, 4, 5, 7.0, id="three seconds for what does not"),
        pytest.param(0, 1.0, 0, 10, 0.0, id="not at all where nothing came"),
    ],
)
def test_what_was_fed_in_is_waited_for(
    monkeypatch, smoothed: int, wait_s: float, brings: int, left: int, ended: float
):
    tally = fed(smoothed)
    reader = Slow(tally, wait_s, brings)
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=reader.monotonic))
    service = SimpleNamespace(name="service", failure=None)
    watched = watch.Watch(tally, service, (reader,), None, None)

    watched.drain()

    assert (tally.backlog, reader.now) == (left, ended)
