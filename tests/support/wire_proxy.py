"""A proxy in front of a broker that loses or holds chosen requests and answers."""

import asyncio
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from .proxy import read_frame, split, write_frame

FETCH = 1
INIT_PRODUCER_ID = 22
ADD_PARTITIONS_TO_TXN = 24
ADD_OFFSETS_TO_TXN = 25
END_TXN = 26


@dataclass
class Rule:
    """What becomes of the next `times` exchanges with an API.

    Attributes:
        api_key: whose.
        request: `pass` it to the broker, or `hold` it until `WireProxy.release`.
        answer: `pass` it to the client, or `drop` it; a dropped one cuts the connection if `cut`.
        cut: close the client's connection where the request is held or the answer dropped.
        met: set when the rule has acted.
    """

    api_key: int
    request: str = "pass"
    answer: str = "pass"
    cut: bool = True
    times: int = 1
    met: asyncio.Event = field(default_factory=asyncio.Event)


class WireProxy:
    """Carries Kafka's frames between clients and a broker, in the loop it is entered in.

    Args:
        listen: `host:port` for the clients.
        target: `host:port` of the broker.
    """

    def __init__(self, listen: str, target: str) -> None:
        self._listen = split(listen)
        self._target = split(target)
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients: list[asyncio.StreamWriter] = []
        self._held: list[bytes] = []
        self.rules: list[Rule] = []
        self.seen: list[int] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, *self._listen)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._clients:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def add(self, rule: Rule) -> Rule:
        """Let a rule act from now on."""
        self.rules.append(rule)
        return rule

    async def release(self) -> list[bytes]:
        """Send the held requests to the broker, on connections of their own; their answers."""
        answers = []
        for frame in self._held:
            broker, forth = await asyncio.open_connection(*self._target)
            write_frame(forth, frame)
            answer = await read_frame(broker)
            assert answer is not None
            answers.append(answer)
            forth.close()
        self._held.clear()
        return answers

    def _accept(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self._clients.append(back)
        task = asyncio.create_task(self._carry(client, back))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        broker, forth = await asyncio.open_connection(*self._target)
        ruled: dict[int, Rule] = {}

        def cut() -> None:
            back.close()
            forth.close()

        try:
            await asyncio.gather(
                self._forward(client, lambda frame: self._request(frame, forth, ruled, cut)),
                self._forward(broker, lambda frame: self._answer(frame, back, ruled, cut)),
            )
        except ConnectionError:
            pass  # one side has ended
        finally:
            cut()

    async def _forward(self, reader: asyncio.StreamReader, handle: Callable[[bytes], None]) -> None:
        while (frame := await read_frame(reader)) is not None:
            handle(frame)
        raise ConnectionError("one side has ended")

    def _request(
        self,
        frame: bytes,
        forth: asyncio.StreamWriter,
        ruled: dict[int, Rule],
        cut: Callable[[], None],
    ) -> None:
        api_key, _, correlation = struct.unpack_from(">hhi", frame)
        self.seen.append(api_key)
        rule = next((r for r in self.rules if r.api_key == api_key and r.times), None)
        if rule is None:
            write_frame(forth, frame)
            return
        rule.times -= 1
        if rule.request == "hold":
            self._held.append(frame)
            rule.met.set()
            if rule.cut:
                cut()
            return
        ruled[correlation] = rule
        write_frame(forth, frame)

    def _answer(
        self,
        frame: bytes,
        back: asyncio.StreamWriter,
        ruled: dict[int, Rule],
        cut: Callable[[], None],
    ) -> None:
        (correlation,) = struct.unpack_from(">i", frame)
        rule = ruled.pop(correlation, None)
        if rule is not None and rule.answer == "drop":
            rule.met.set()
            if rule.cut:
                cut()
            return
        write_frame(back, frame)
