"""Comparing what came out of a partition with what must come out, as it comes."""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Content = TypeVar("Content", bound=Hashable)

MOST_REMEMBERED = 50_000
MOST_SHOWN = 10


@dataclass
class Sequence(Generic[Content]):
    """One partition's records: those expected, in order, and those seen.

    Attributes:
        repeats_allowed: a record may come again, as it was, from any earlier one on.
        matched: expected records that have come.
        repeated: records that came again.
        replays: how often the sequence went back.
        differences: what is wrong, in words; `difference_count` counts also those not kept.
    """

    name: str
    repeats_allowed: bool
    matched: int = 0
    repeated: int = 0
    replays: int = 0
    seen: int = 0
    difference_count: int = 0
    differences: list[str] = field(default_factory=list)
    _expected: deque[Content] = field(default_factory=deque)
    _waiting: deque[tuple[int, Content]] = field(default_factory=deque)
    _places: dict[Content, int] = field(default_factory=dict)
    _last: int = -1

    @property
    def pending(self) -> int:
        """Expected records that have not come."""
        return len(self._expected)

    def expect(self, contents: list[Content]) -> None:
        """More records must come, after all others."""
        self._expected.extend(contents)

    def see(self, offset: int, content: Content) -> None:
        """A record has come; it is compared once enough is known to be expected."""
        self.seen += 1
        self._waiting.append((offset, content))

    @property
    def undecided(self) -> int:
        """Records that have come and may still be expected."""
        return len(self._waiting)

    def compare(self, known: int = 0) -> None:
        """Compare what has come; all that is expected before the `known` first ones is known."""
        while self._waiting:
            offset, content = self._waiting[0]
            decided = self.seen - len(self._waiting) < known
            if self._expected and self._expected[0] == content:
                self._match(content)
            elif content in self._places:
                self._repeat(offset, content)
            elif not decided and content not in self._expected:
                return  # the expectation may still be on its way
            else:
                self._differ(offset, content)
            self._waiting.popleft()

    def _match(self, content: Content) -> None:
        self._expected.popleft()
        self._places[content] = self.matched
        self._last = self.matched
        self.matched += 1
        if len(self._places) > MOST_REMEMBERED:
            del self._places[next(iter(self._places))]

    def _repeat(self, offset: int, content: Content) -> None:
        place = self._places[content]
        self.repeated += 1
        self.replays += place != self._last + 1
        self._last = place
        if not self.repeats_allowed:
            self._note(f"offset {offset}: comes again (it was number {place}): {content!r}")

    def _differ(self, offset: int, content: Content) -> None:
        if content in self._expected:
            lost = 0
            while self._expected[0] != content:
                self._expected.popleft()
                self.matched += 1
                lost += 1
            self._note(f"offset {offset}: {lost} records are missing before {content!r}", lost)
            self._match(content)
            return
        wanted = repr(self._expected[0]) if self._expected else "nothing"
        self._note(f"offset {offset}: {content!r}, expected {wanted}")

    def _note(self, difference: str, count: int = 1) -> None:
        self.difference_count += count
        if len(self.differences) < MOST_SHOWN:
            self.differences.append(f"{self.name} {difference}")
