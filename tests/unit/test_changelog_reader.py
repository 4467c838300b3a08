"""Where a changelog ends, when the broker has nothing up to there: aiokafka played by a stub."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition

from stream_ewma.errors import BrokerUnavailableError
from stream_ewma.kafka import changelog
from stream_ewma.kafka.changelog import ChangelogFollower, ChangelogReader
from stream_ewma.kafka.partition import Partition
from stream_ewma.records.fetched import BatchRun
from stream_ewma.settings import load_settings

SETTINGS = load_settings(
    overrides={
        "input.topics": ["readings"],
        "smoothing.alpha": 0.5,
        "kafka.startup_timeout": "50ms",
    },
    env={},
)
END = 100


class EmptyPartition:
    """A consumer whose fetches from offset 0 are answered with no records."""

    def __init__(
        self, stable_end: int, answered: Callable[[int], int], others: frozenset[int] = frozenset()
    ) -> None:
        self._stable_end = stable_end
        self._answered = answered
        self._others = others
        self.polls = 0

    def assign(self, _tps: object) -> None:
        pass

    seek = pause = resume = lambda *_arguments: None

    async def beginning_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, 0)

    async def end_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, END)

    async def position(self, _tp: TopicPartition) -> int:
        return 0

    async def getmany(self, *_tps: TopicPartition, timeout_ms: int) -> dict[object, list[object]]:
        del timeout_ms
        self.polls += 1
        return {"another partition": []} if self.polls in self._others else {}

    def last_poll_timestamp(self, _tp: TopicPartition) -> int | None:
        return self._answered(self.polls)

    def last_stable_offset(self, _tp: TopicPartition) -> int:
        return self._stable_end


async def read(monkeypatch: pytest.MonkeyPatch, consumer: EmptyPartition) -> int:
    async def take(runs: object) -> None:
        raise AssertionError(runs)

    monkeypatch.setattr(changelog, "RawConsumer", lambda **_options: consumer)
    return await ChangelogReader(SETTINGS).read("changelog", 0, take)


async def test_an_answer_without_records_up_to_the_end_is_the_end(monkeypatch: pytest.MonkeyPatch):
    consumer = EmptyPartition(END, lambda polls: None if polls < 3 else 1000 + polls)

    assert await read(monkeypatch, consumer) == END
    assert consumer.polls == 4  # the first answer may have come during the poll before it


async def test_an_answer_of_a_leader_that_knows_less_is_not_the_end(
    monkeypatch: pytest.MonkeyPatch,
):
    consumer = EmptyPartition(END - 1, lambda polls: 1000 + polls)

    with pytest.raises(BrokerUnavailableError, match="nothing arrives from changelog-0"):
        await read(monkeypatch, consumer)


class Growing(EmptyPartition):
    """A consumer whose one answer goes beyond the end that was told, into what is not complete."""

    def __init__(self, *offsets: int) -> None:
        super().__init__(END, lambda polls: 1000 + polls)
        self._place = 0
        self._offsets = offsets

    async def position(self, _tp: TopicPartition) -> int:
        return self._place

    async def getmany(self, *tps: TopicPartition, timeout_ms: int) -> dict[object, list[object]]:
        del timeout_ms
        self.polls += 1
        if self.polls == 1:
            return {}
        self._place = END + 50
        runs = [SimpleNamespace(base_offset=offset) for offset in self._offsets]
        return {
            TopicPartition("changelog", 0): [
                SimpleNamespace(value=SimpleNamespace(run=run)) for run in runs
            ]
        }


async def test_what_stands_behind_the_end_may_be_half_a_transaction_and_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
):
    taken: list[int] = []

    async def take(runs: list[BatchRun]) -> None:
        taken.extend(run.base_offset for run in runs)

    consumer = Growing(0, END - 1, END, END + 20)
    monkeypatch.setattr(changelog, "RawConsumer", lambda **_options: consumer)
    assert await ChangelogReader(SETTINGS).read("changelog", 0, take) == END
    assert taken == [0, END - 1]


async def test_no_answer_since_the_last_records_is_not_the_end(monkeypatch: pytest.MonkeyPatch):
    consumer = EmptyPartition(END, lambda _polls: 1000)

    with pytest.raises(BrokerUnavailableError, match="nothing arrives from changelog-0"):
        await read(monkeypatch, consumer)


async def test_an_answer_that_lies_behind_the_end_has_nothing_to_take(
    monkeypatch: pytest.MonkeyPatch,
):
    assert await read(monkeypatch, Growing(END, END + 20)) == END


@pytest.mark.parametrize(
    ("answered", "others", "at_end"),
    [
        # Each poll sees an answer that came meanwhile, and nothing of any partition.
        (lambda polls: 1000 + polls, (), [True, True, True]),
        # No answer came meanwhile.
        (lambda polls: 1000, (), [False, False, False]),
        # Other partitions may have filled the answer up; the next poll had none of its own.
        (lambda polls: 1000 + (polls > 0), (1,), [False, False, False]),
        (lambda polls: 1000 + polls, (1, 2), [False, False, True]),
    ],
    ids=["nothing came", "no answer", "full", "full twice"],
)
async def test_a_copy_is_at_its_end_by_an_answer_that_had_room(
    monkeypatch: pytest.MonkeyPatch, answered, others, at_end
):
    consumer = EmptyPartition(END, answered, frozenset(others))
    monkeypatch.setattr(changelog, "RawConsumer", lambda **_options: consumer)
    follower = ChangelogFollower(SETTINGS)
    partition = Partition("readings", 0)
    await follower.follow({partition: None})

    found = [(await follower.poll())[partition] for _ in at_end]

    assert [each.is_at_end for each in found] == at_end
    assert not any(each.runs or each.position for each in found)
