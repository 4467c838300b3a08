"""JSON texts as devices send them, most of them sound, the others with one thing wrong or rare."""

import json
import re
from random import Random

NAMES = (
    *("value", "timestamp", "key", "fields", "a", "b", "valu", "value1", "timestamp1", "caf\u00e9"),
    *("", "a name of more than eight bytes", "a name of more than eight bytez"),
)
STRINGS = (
    *("pump-7", "", "\u00b0C", "\u20ac \U0001f321", "21.5", "-0", "nan", "exactly8", "nine char"),
    *("2026-01-01T00:00:00Z", "2026-01-01 00:00:00.5+01:00", "2026-01-01T00:00", "x" * 40),
)
NUMBERS = (
    *("0", "-0", "-0.0", "1e5", "1E-5", "0e99999", "9007199254740993", "18446744073709551615"),
    *("1767225600123", "1767225600", "1767225600123456789", "-1", "1.0", "1e22", "5e-324"),
    *("123456789012345678901234567890", "0.0000000000000000000000000000012345678901234567"),
)

RARE_NUMBERS = (
    *("1e999", "-1e308", "1e-99999", "18446744073709551616", "1" * 310, "9223372036854775808"),
    *("NaN", "-Infinity", "01", "-", "+1", "1.", ".5", "1e", "0x1", "nul", "truex", "1 2"),
)
RARE_STRINGS = (
    *(b'"\\ud800"', b'"a\\"b"', b'"\\u0041"', b'"\\', b'"\xff"', b'"\xed\xa0\x80"', b'"\x00"'),
    *(b'"\xf4\x90\x80\x80"', b'"\xe0\x9f\xbf"', b'"\x1f"', b'"\x7f"', b"'a'", b'"open', b'"\xc3'),
)
RARE_NAMES = (b'"\\u0076alue"', b'"value', b"value", b'"caf\xff"', b'"key"  "x"', b"1", b"")
SCALAR = re.compile(rb'(?<=[:\[,])([ \n\t\r]*)([-0-9ntf][^,\]}"]*|"[^"]*"(?! *[:]))')
DAMAGE = (b"", b'"', b"{", b"}", b"]", b"[", b",", b":", b"0", b"\\", b"\x80", b" ")


class JsonTexts:
    """An endless supply, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._rare = False
        self._space = b""

    def text(self) -> bytes:
        """One text; every other one has something rare, wrong or damaged in it."""
        random = self._random
        self._rare = random.random() < 0.2
        self._space = random.choice([b"", b"", b" ", b"\n\t\r "])
        data = self._object(3) if random.random() < 0.8 else self._value(2)
        if random.random() < 0.3:
            data = self._damaged(data)
        return data

    def alike(self, count: int) -> list[bytes]:
        """Texts with one structure, most of them with some other scalars in it."""
        random = self._random
        base = self._object(3)
        texts = []
        for _ in range(count):
            self._rare = random.random() < 0.2
            changed = random.random()
            text = SCALAR.sub(lambda found, p=changed: self._other(found, p), base)
            texts.append(self._damaged(text) if random.random() < 0.2 else text)
        return texts

    def _other(self, found: re.Match[bytes], changed: float) -> bytes:
        if self._random.random() > changed:
            return found[0]
        return found[1] + self._value(0)

    def _damaged(self, data: bytes) -> bytes:
        random = self._random
        at = random.randint(0, len(data))
        if random.random() < 0.4:
            return data[:at]
        put_in = random.choice(
            [b"", b'"', b"{", b"}", b"]", b"[", b",", b":", b"0", b"\\", b"\x80", b" "]
        )
        return data[:at] + put_in + data[at + random.randint(0, 2) :]

    def _object(self, depth: int) -> bytes:
        random = self._random
        count = random.choice([0, 1, 2, 2, 3, 3, 4, 5])
        names = (
            random.sample(NAMES, count) if random.random() < 0.9 else random.choices(NAMES, k=count)
        )
        fields = [
            self._name(name) + self._space + b":" + self._space + self._value(depth - 1)
            for name in names
        ]
        comma = self._space + b"," + self._space
        return b"{" + self._space + comma.join(fields) + self._space + b"}"

    def _name(self, name: str) -> bytes:
        if self._rare and self._random.random() < 0.1:
            return self._random.choice(RARE_NAMES)
        return json.dumps(name, ensure_ascii=False).encode()

    def _value(self, depth: int) -> bytes:
        random = self._random
        kind = random.random()
        if kind < 0.25 and depth > 0:
            return self._object(depth)
        if kind < 0.35 and depth > 0:
            values = [self._value(depth - 1) for _ in range(random.randint(0, 3))]
            return b"[" + self._space + (b"," + self._space).join(values) + self._space + b"]"
        if kind < 0.7:
            return self._number()
        if kind < 0.9:
            return self._string()
        return random.choice([b"null", b"true", b"false"])

    def _number(self) -> bytes:
        random = self._random
        if self._rare and random.random() < 0.3:
            return random.choice(RARE_NUMBERS).encode()
        kind = random.randrange(4)
        if kind == 0:
            return random.choice(NUMBERS).encode()
        if kind == 1:
            return b"%.*f" % (random.randint(1, 19), random.gauss(0, 10.0 ** random.randint(-4, 9)))
        if kind == 2:
            return b"%d" % random.randint(
                -(10 ** random.randint(1, 21)), 10 ** random.randint(1, 21)
            )
        return repr(random.gauss(0, 10.0 ** random.randint(-300, 300))).encode()

    def _string(self) -> bytes:
        random = self._random
        if self._rare and random.random() < 0.3:
            return random.choice(RARE_STRINGS)
        return json.dumps(random.choice(STRINGS), ensure_ascii=False).encode()
