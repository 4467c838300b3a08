"""The expected output, computed the plain way: one dict of state, one record at a time."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from .cluster import Message


@dataclass
class CountClock:
    """EMA_0 = x_0; EMA_t = EMA_(t-1) + alpha * (x_t - EMA_(t-1)), per key and partition."""

    alpha: float
    mean: dict[object, float] = field(default_factory=dict)
    count: dict[object, int] = field(default_factory=dict)

    def observe(self, key: object, x: float) -> tuple[float, int]:
        """Fold one reading in; return the smoothed value and how many readings it rests on."""
        if key in self.mean:
            self.mean[key] += self.alpha * (x - self.mean[key])
        else:
            self.mean[key] = x
        self.count[key] = self.count.get(key, 0) + 1
        return self.mean[key], self.count[key]

    def reset(self, key: object) -> None:
        """Forget a key."""
        self.mean.pop(key, None)
        self.count.pop(key, None)


def expected_outputs(messages: Iterable[Message], alpha: float) -> list[Message]:
    """Return what the service must publish for JSON readings, in the order given.

    Each value is `{"value": x}` or `{"value": x, "timestamp": ms}`; all of them are good.
    """
    clock = CountClock(alpha)
    outputs = []
    for each in messages:
        assert each.key is not None
        assert each.value is not None
        reading = json.loads(each.value)
        x = float(reading["value"])
        mean, count = clock.observe((each.partition, each.key), x)
        smoothed = {
            "key": each.key.decode(),
            "timestamp": reading.get("timestamp", each.timestamp),
            "value": x,
            "ewma": mean,
            "count": count,
        }
        text = json.dumps(smoothed, separators=(",", ":")).encode()
        outputs.append(
            Message(each.key, text, each.timestamp, each.headers, each.partition, each.offset)
        )
    return outputs


def parsed(messages: Iterable[Message]) -> list[object]:
    """Return records as comparable data: fields in order, doubles by value, not by spelling.

    Python writes 1e+16 where other printers of the shortest digits write 1e16; both read back to
    the same double.
    """
    return [
        (
            each.partition,
            each.key,
            each.timestamp,
            each.headers,
            None if each.value is None else list(json.loads(each.value).items()),
        )
        for each in messages
    ]
