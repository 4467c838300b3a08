"""A stream of records that a seed determines: many keys, irregular and late times, bad records."""

import random
import zlib
from collections.abc import Iterator
from itertools import accumulate

from tests.support.cluster import Message

EPOCH_MS = 1_767_225_600_000
STEP_MS = 40
HOUR_MS = 3_600_000
_HUGE = b"9" * 400

CATALOGUE: dict[bytes, str] = {
    b"": "decode",
    b"\xff": "decode",
    b"not json": "decode",
    b'{"value":NaN}': "non_finite",
    b'{"value":-Infinity}': "non_finite",
    b'{"value":1e999}': "non_finite",
    b'{"value":' + _HUGE + b"}": "non_finite",
    b'{"value":' + b"7" * 3500 + b"}": "non_finite",
    b'{"value":true}': "not_numeric",
    b'{"value":"1.5"}': "not_numeric",
    b'{"value":[1]}': "not_numeric",
    b'{"other":1}': "missing_value",
    b"{}": "missing_value",
    b"[" * 3000: "decode",
    b"\xef\xbb\xbf1.5": "decode",
    "1.5".encode("utf-16"): "decode",
    b'{"value":1,"note":"\\ud800"}': "decode",
    b'{"value":1,"timestamp":"yesterday"}': "bad_timestamp",
    b'{"value":1,"timestamp":9007199254740993}': "bad_timestamp",
    b'{"value":1,"timestamp":1.5}': "bad_timestamp",
    b'{"value":1}garbage': "decode",
}
"""Values that cannot be smoothed, and the reason for each."""

ODD_KEYS = {3: b"\x00position", 13: b"\x01sensor-12", 23: b"", 33: b"\x00configuration"}
"""Keys by their rank, which could be taken for something else in a changelog."""

BAD_SHARE = 0.01
TOMBSTONE_SHARE = 0.002
NULL_SHARE = 0.005
LATE_SHARE = 0.05
RESET_SHARE = 0.003
_BAD_VALUES = list(CATALOGUE)


class Stream:
    """Records one after another; the same for the same arguments.

    Args:
        seed: decides everything.
        partitions: of the topic; a key stays in one.
        keys: how many different ones; the n-th most frequent comes in proportion to 1/n.
    """

    def __init__(self, seed: int, *, partitions: int, keys: int) -> None:
        self._random = random.Random(seed)
        self._partitions = partitions
        self._keys = [self._key(number) for number in range(keys)]
        self._shares = list(accumulate(1 / rank for rank in range(1, keys + 1)))
        self._level = [self._random.uniform(-1000, 1000) for _ in range(keys)]
        self._sent = 0
        self._now = EPOCH_MS

    def take(self, count: int) -> list[Message]:
        """The next records."""
        return list(self._records(count))

    def _records(self, count: int) -> Iterator[Message]:
        for _ in range(count):
            yield self._record()
            self._sent += 1

    def _record(self) -> Message:
        draw = self._random
        self._now += draw.choice((0, 0, 1, STEP_MS, STEP_MS, 3 * STEP_MS))
        (number,) = draw.choices(range(len(self._keys)), cum_weights=self._shares)
        key: bytes | None = self._keys[number]
        kind = draw.random()
        value: bytes | None
        if kind < BAD_SHARE:
            key, value = self._bad(key)
        elif kind < BAD_SHARE + TOMBSTONE_SHARE:
            value = None
        elif kind < BAD_SHARE + TOMBSTONE_SHARE + NULL_SHARE:
            restart = draw.choice(("", ',"restart":true'))
            value = f'{{"value":null,"timestamp":{self._now}{restart}}}'.encode()
        else:
            value = self._reading(number)
        place = self._partition(key)
        # The number makes each output unlike any other, so that a repeated one can be told.
        headers = (("n", str(self._sent).encode()),)
        return Message(key, value, self._now, headers, place)

    def _reading(self, number: int) -> bytes:
        draw = self._random
        if draw.random() < 0.001:
            self._level[number] += draw.choice((-500.0, 500.0))  # a true step
        x = draw.gauss(self._level[number], 5.0)
        odd = draw.random()
        if odd < 0.01:
            x *= 30.0
        elif odd < 0.012:
            x = draw.choice((1.7e308, -1.7e308, 5e-324, -0.0, 1e149, -1e151))
        text = draw.choice((repr(x), repr(x), repr(round(x, 2)), f"{x:.4e}"))
        if odd > 0.95 and abs(x) < 1e6:
            text = str(int(x))
        time = self._now
        if draw.random() < LATE_SHARE:
            time -= draw.choice((10, 500, 3_000, 30_000, 90_000))
        form = draw.random()
        if form < 0.1:
            return f'{{"value":{text}}}'.encode()
        if form < 0.1 + RESET_SHARE:
            return f'{{"restart":true,"value":{text},"timestamp":{time}}}'.encode()
        if form < 0.3:
            return f'{{"timestamp": {time}, "unit": "bar", "value": {text}}}'.encode()
        return f'{{"value":{text},"timestamp":{time}}}'.encode()

    def _bad(self, key: bytes | None) -> tuple[bytes | None, bytes]:
        draw = self._random
        kind = draw.random()
        if kind < 0.1:
            return None, b'{"value":1}'
        if kind < 0.2:
            return b"k" * 65, b'{"value":1}'
        if kind < 0.3:
            return key, b'{"value":1,"pad":"' + b"p" * 5000 + b'"}'
        if kind < 0.4:
            return key, f'{{"value":1,"timestamp":{self._now + 2 * HOUR_MS}}}'.encode()
        return key, draw.choice(_BAD_VALUES)

    def _key(self, number: int) -> bytes:
        if number in ODD_KEYS:
            return ODD_KEYS[number]
        if number % 50 == 7:
            return f'Pumpe-é"{number}'.encode()
        if number % 50 == 11:
            return b"\xff\xfe" + str(number).encode()
        return f"sensor-{number}".encode()

    def _partition(self, key: bytes | None) -> int:
        if key is None:
            return self._random.randrange(self._partitions)
        return zlib.crc32(key) % self._partitions
