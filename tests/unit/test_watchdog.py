"""What hangs is taken up anew once, and then ends the service."""

import asyncio
import threading
import time
from collections.abc import Collection
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from stream_ewma.errors import BrokerUnavailableError, FatalError, StateError
from stream_ewma.kafka.partition import Partition
from stream_ewma.service import watchdog as module
from stream_ewma.service.positions import TopicIdentity
from stream_ewma.service.watchdog import MOST_IDLE_ROUNDS, LoopGuard, Watchdog
from stream_ewma.settings import load_settings

PARTITION = Partition("readings", 0)
TURNS = 10
NO_ANSWER = -1
turn = partial(asyncio.sleep, 0)


class Scene:
    """A watchdog, what it watches, and a clock that ends after some rounds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pipeline: Any = SimpleNamespace(
            partition=PARTITION,
            active=True,
            parked=False,
            position=10,
            committed=10,
            committer=object(),
        )
        self.end: int | Exception = 10
        self.consumer = SimpleNamespace(has_died=False, is_member=True, bounds=self._bounds)
        self.recovered: list[BaseException] = []
        self.pipelines = {PARTITION: self.pipeline}
        self.forgotten: set[Partition] = set()
        self.topics: dict[str, tuple[str | None, int | None]] = {"readings": ("id", 4)}
        self._rounds = 0
        self.question_count = 0
        monkeypatch.setattr(module.asyncio, "sleep", self._sleep)
        monkeypatch.setattr(module.topics, "identities", self._identities)
        settings = load_settings(
            overrides={"input.topics": ["readings"], "smoothing.alpha": 0.5}, env={}
        )
        self.subject = Watchdog(
            settings,
            self.consumer,  # type: ignore[arg-type]
            SimpleNamespace(
                pipelines=self.pipelines, recover=self._recover, forgotten=self.forgotten
            ),  # type: ignore[arg-type]
            {"readings": TopicIdentity("id", 4)},
        )

    async def rounds(self, count: int) -> None:
        self._rounds = count
        with pytest.raises(asyncio.CancelledError):
            await self.subject.run()

    async def _sleep(self, _seconds: float) -> None:
        for _ in range(TURNS):  # of the loop: the questions get on beside the rounds
            await turn()
        if self._rounds == 0:
            raise asyncio.CancelledError
        self._rounds -= 1

    async def _bounds(self, partitions: Collection[Partition]) -> dict[Partition, tuple[int, int]]:
        self.question_count += 1
        assert partitions, "a question about nothing has an answer without a broker"
        if isinstance(self.end, Exception):
            raise self.end
        if self.end == NO_ANSWER:
            await asyncio.Event().wait()
        return {PARTITION: (0, self.end)}

    async def _identities(self, _settings: object) -> dict[str, tuple[str | None, int | None]]:
        return self.topics

    def _recover(self, pipeline: object, error: BaseException) -> None:
        assert pipeline is self.pipeline
        self.recovered.append(error)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


async def test_nothing_to_do_is_no_hang(scene: Scene) -> None:
    await scene.rounds(3 * MOST_IDLE_ROUNDS)
    assert scene.recovered == []


async def test_work_without_a_commit_is_taken_up_anew_once_and_then_ends_the_service(
    scene: Scene,
) -> None:
    scene.pipeline.position = 20
    await scene.rounds(MOST_IDLE_ROUNDS - 1)
    assert scene.recovered == []
    await scene.rounds(1)
    (error,) = scene.recovered
    assert "no commit for 60 s, with work to do at offset 20" in str(error)
    with pytest.raises(FatalError, match="no commit"):
        await scene.rounds(MOST_IDLE_ROUNDS + 1)


async def test_a_commit_between_makes_it_well_again(scene: Scene) -> None:
    scene.pipeline.position = 20
    await scene.rounds(MOST_IDLE_ROUNDS)
    scene.pipeline.committed = 15
    await scene.rounds(MOST_IDLE_ROUNDS)
    scene.pipeline.committed = 16
    await scene.rounds(MOST_IDLE_ROUNDS)
    assert len(scene.recovered) == 3


async def test_a_client_that_fetches_nothing_is_found_by_the_topics_end(scene: Scene) -> None:
    scene.end = 11
    await scene.rounds(2 * MOST_IDLE_ROUNDS)
    assert len(scene.recovered) == 1


async def test_without_an_answer_about_the_end_nothing_is_concluded(scene: Scene) -> None:
    scene.end = BrokerUnavailableError("no answer")
    await scene.rounds(2 * MOST_IDLE_ROUNDS)
    assert scene.recovered == []


async def test_a_question_without_an_answer_does_not_stop_the_watch(scene: Scene) -> None:
    scene.end = NO_ANSWER
    scene.pipeline.position = 20
    await scene.rounds(MOST_IDLE_ROUNDS)
    assert len(scene.recovered) == 1
    assert scene.question_count == 1


async def test_brokers_that_do_not_answer_are_told_by_who_has_nothing_to_do(scene: Scene) -> None:
    scene.pipelines.clear()
    scene.end = BrokerUnavailableError("no answer")
    await scene.rounds(15)
    assert not scene.subject.are_brokers_silent
    await scene.rounds(15)
    assert scene.subject.are_brokers_silent
    scene.end = 10
    await scene.rounds(15)
    assert not scene.subject.are_brokers_silent


@pytest.mark.parametrize(("name", "value"), [("active", False), ("parked", True)])
async def test_what_is_not_at_work_is_not_watched(scene: Scene, name: str, value: bool) -> None:
    scene.pipeline.position = 20
    setattr(scene.pipeline, name, value)
    await scene.rounds(3 * MOST_IDLE_ROUNDS)
    assert scene.recovered == []


async def test_without_kept_state_there_is_nothing_to_take_up(scene: Scene) -> None:
    scene.pipeline.position = 20
    scene.pipeline.committer = None
    with pytest.raises(FatalError, match="no commit"):
        await scene.rounds(MOST_IDLE_ROUNDS + 1)


async def test_a_new_pipeline_has_time_of_its_own(scene: Scene) -> None:
    scene.pipeline.position = 20
    await scene.rounds(MOST_IDLE_ROUNDS - 1)
    scene.pipeline = SimpleNamespace(**vars(scene.pipeline))
    scene.pipelines[PARTITION] = scene.pipeline
    await scene.rounds(MOST_IDLE_ROUNDS - 1)
    assert scene.recovered == []


async def test_an_assigned_partition_that_nobody_takes_over_ends_the_service(scene: Scene) -> None:
    scene.forgotten.add(PARTITION)
    await scene.rounds(MOST_IDLE_ROUNDS - 1)
    scene.forgotten.clear()
    await scene.rounds(1)
    scene.forgotten.add(PARTITION)
    await scene.rounds(MOST_IDLE_ROUNDS - 1)
    with pytest.raises(FatalError, match=r"readings-0: assigned, .* for 60 s: restart the service"):
        await scene.rounds(1)


async def test_while_the_group_is_silent_nobody_knows_whose_a_partition_is(scene: Scene) -> None:
    scene.forgotten.add(PARTITION)
    await scene.rounds(MOST_IDLE_ROUNDS - 1)
    scene.consumer.is_member = False
    await scene.rounds(2 * MOST_IDLE_ROUNDS)
    scene.consumer.is_member = True
    with pytest.raises(FatalError, match="readings-0: assigned"):
        await scene.rounds(1)


async def test_a_first_commit_that_never_comes_is_noticed(scene: Scene) -> None:
    scene.pipeline.committed = None
    await scene.rounds(MOST_IDLE_ROUNDS)
    assert len(scene.recovered) == 1


async def test_a_dead_client_ends_the_service(scene: Scene) -> None:
    scene.consumer.has_died = True
    with pytest.raises(FatalError, match="stopped fetching"):
        await scene.rounds(1)


@pytest.mark.parametrize(
    ("now", "says"), [(("id", 6), "has 6 partitions now, and had 4"), (("other", 4), "anew")]
)
async def test_a_topic_that_became_another_ends_the_service(
    scene: Scene, now: tuple[str, int], says: str
) -> None:
    await scene.rounds(40)
    scene.topics = {"readings": now}
    with pytest.raises(StateError, match=says):
        await scene.rounds(31)


async def test_topics_of_which_nothing_is_known_are_no_news(scene: Scene) -> None:
    scene.topics = {"readings": (None, None)}
    await scene.rounds(100)
    scene.topics = {}
    await scene.rounds(100)


def test_a_loop_that_turns_is_left_alone_and_a_blocked_one_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "ROUND_S", 0.01)
    monkeypatch.setattr(module, "BLOCKED_S", 20)
    ended = threading.Event()
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    monkeypatch.setattr(module.os, "_exit", end)

    async def work() -> None:
        guard = LoopGuard(asyncio.get_running_loop())
        guard.start()
        for _ in range(50):
            await asyncio.sleep(0.01)
        assert codes == []
        while not ended.is_set():
            time.sleep(0.01)  # noqa: ASYNC251  the loop is to be blocked
        guard.stop()

    asyncio.run(work())

    assert set(codes) == {70}
    assert "the event loop has been blocked" in capsys.readouterr().err


def test_a_guard_of_an_ended_loop_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROUND_S", 0.01)
    loop = asyncio.new_event_loop()
    guard = LoopGuard(loop)
    loop.close()
    guard.start()
    guard._thread.join(30)
    assert not guard._thread.is_alive()
