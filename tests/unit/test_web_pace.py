"""Answers have a share of the process, however many ask."""

import asyncio
import time

import pytest

from stream_ewma.web import guard, pace
from stream_ewma.web.pace import BusyError, Rate, Turns
from tests.support.window import site


async def test_who_asks_now_and_then_does_not_wait():
    turns = Turns()
    began = time.monotonic()
    async with turns.turn():
        pass
    async with turns.turn():
        pass

    assert time.monotonic() - began < 1


async def test_who_asks_without_end_has_a_share_of_the_time():
    turns, at_work, most = Turns(0.1), 0, 0

    async def ask():
        nonlocal at_work, most
        async with turns.turn():
            at_work += 1
            most = max(most, at_work)
            await asyncio.sleep(0.02)
            at_work -= 1

    began = time.monotonic()
    await asyncio.gather(*(ask() for _ in range(5)))

    assert most == 1
    assert time.monotonic() - began > 4 * 0.19  # four pauses of nine times 20 ms, and five turns


async def test_a_turn_that_fails_or_is_given_up_leaves_room_for_the_next():
    turns = Turns()
    for _ in range(2):
        try:
            async with turns.turn():
                raise KeyError  # noqa: TRY301  it stands for any
        except KeyError:
            pass
    waiting = asyncio.create_task(turns.turn().__aenter__())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(10), turns.turn():
        pass


async def test_so_many_requests_come_in_at_once_and_so_many_a_second():
    rate = Rate(100, 10)
    began = time.monotonic()
    for _ in range(10):
        await rate.wait()
    assert time.monotonic() - began < 0.09

    for _ in range(30):
        await rate.wait()
    assert time.monotonic() - began > 0.28


async def test_nobody_waits_for_those_who_will_not_come_in_time():
    rate = Rate(2, 1)
    await rate.wait()
    waiting = [asyncio.create_task(rate.wait()) for _ in range(4)]
    await asyncio.sleep(0)
    for _ in range(1_000):
        with pytest.raises(BusyError):
            await rate.wait()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_so_many_wait_for_their_turn_and_no_more(monkeypatch):
    monkeypatch.setattr(pace, "_MOST_WAITING", 2)
    turns = Turns()
    async with turns.turn():
        waiting = asyncio.create_task(turns.turn().__aenter__())
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await turns.turn().__aenter__()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(10), turns.turn():
        pass


async def test_too_many_requests_are_turned_away_and_probes_are_not(monkeypatch):
    monkeypatch.setattr(guard, "_A_SECOND", 2)
    monkeypatch.setattr(guard, "_AT_ONCE", 1)
    async with site() as subject:
        replies = await asyncio.gather(*(subject.get("/v1/keys") for _ in range(50)))
        assert {reply.status for reply in replies} == {200, 429}
        (refused, *_) = [reply for reply in replies if reply.status == 429]
        assert refused.json == {"error": "too many requests"}
        assert refused.headers["Retry-After"] == "1"
        for path in ("/livez", "/readyz", "/healthz", "/version"):
            probes = await asyncio.gather(*(subject.get(path) for _ in range(50)))
            assert {probe.status for probe in probes} == {200}


async def test_who_asks_for_keys_without_end_keeps_no_metrics_waiting(monkeypatch):
    monkeypatch.setattr(guard, "_A_SECOND", 2)
    monkeypatch.setattr(guard, "_AT_ONCE", 1)
    async with site() as subject:
        flood = [asyncio.create_task(subject.get("/v1/keys")) for _ in range(50)]
        await asyncio.sleep(0.2)

        assert (await subject.get("/metrics")).status == 200
        await asyncio.gather(*flood)


async def test_metrics_are_written_once_for_all_who_ask_at_the_same_time(monkeypatch):
    async with site() as subject:
        written = []
        real = subject.member.unready
        monkeypatch.setattr(subject.member, "unready", lambda: written.append(1) or real())
        replies = await asyncio.gather(*(subject.get("/metrics") for _ in range(20)))
        assert all(reply.status == 200 for reply in replies)
        assert len(written) < 10

        subject.member.counters.commits = 77
        await asyncio.sleep(0.3)
        assert b'commits_total{outcome="ok"} 77.0' in (await subject.get("/metrics")).body
