"""A member of the group that is none: the real server shows it, and a test says what happens."""

import asyncio
import itertools
import math
import threading
import time
from collections import Counter
from types import SimpleNamespace

from stream_ewma.engine.dead_letters import Reason
from stream_ewma.engine.sample import KeyState, Rejected, Sample
from stream_ewma.kafka.partition import Partition
from stream_ewma.payloads.columns import Kind
from stream_ewma.service.counters import Counters
from stream_ewma.service.overview import (
    FoundKey,
    FoundPage,
    PartitionStatus,
    Phase,
    Searched,
)
from stream_ewma.service.watching import Watchers
from stream_ewma.settings import Settings
from stream_ewma.web.server import serving

PARTITION, OTHER = Partition("sensor-readings", 0), Partition("sensor-readings", 1)
EFFORT = 1 << 16
PERIOD_S = 0.1


class Member:
    """What the server asks of an `Overview`, made up.

    Attributes:
        keys: those that have state, in their order.
        moving: those of which a sample comes each period.
        outputs: from a reading's number to its outputs.
    """

    def __init__(self, keys=(), moving=()):
        self.keys = list(keys)
        self.moving = list(moving)
        self.counters = Counters()
        self.watchers = Watchers(lambda _wanted: None)
        self.is_stopping = False
        self.started_at = time.time()
        self.statuses = None
        self.elsewhere = None
        self.reasons = {}
        self.outputs = lambda number: {"ewma": wave(number), "count": number + 1}
        self._offsets = itertools.count()
        self._number = 0

    def status(self):
        now_ms = int(time.time() * 1000)
        place = self.counters.total.consumed
        running = PartitionStatus(
            *(PARTITION, Phase.RUNNING, place, place, place, len(self.keys), 1 << 20, now_ms)
        )
        return [running] if self.statuses is None else self.statuses

    def unready(self):
        return self.reasons

    def running_partitions(self):
        return [PARTITION]

    async def search(self, key):
        return Searched([self._found(key)] if key in self.keys else [], frozenset([PARTITION]))

    def homes(self, key):
        return [PARTITION] if self.elsewhere is None else [OTHER]

    def owner(self, partition):
        return self.elsewhere

    @property
    def partitions(self):
        return SimpleNamespace(assigned_partitions=frozenset([PARTITION]))

    async def page(self, partition, prefix, cursor, limit):
        found = []
        for place in range(cursor, min(cursor + EFFORT, len(self.keys))):
            if self.keys[place].startswith(prefix):
                found.append(self._found(self.keys[place]))
                if len(found) == limit:
                    return FoundPage(found, place + 1, place + 1 - cursor)
        end = cursor + EFFORT
        return FoundPage(found, end if end < len(self.keys) else None, EFFORT)

    def _found(self, key):
        state = KeyState(key, None, {"ewma": 21.5, "count": 7})
        return FoundKey(PARTITION, state, 8, True)

    # -- what happens ------------------------------------------------------------------------------

    def publish(self, samples=(), refusals=()):
        self.watchers.publish(PARTITION, SimpleNamespace(samples=samples, refusals=refusals))

    def step(self, away=0.0):
        """A reading of each key that moves, so far away from where it would be."""
        number, self._number = self._number, self._number + 1
        now_ms = int(time.time() * 1000)
        samples = [
            Sample(
                *(next(self._offsets), key, now_ms, Kind.SMOOTHED, b"1"),
                {"value": wave(number) + 0.5 * math.sin(number * 7.7) + away},
                self.outputs(number),
            )
            for key in self.moving
        ]
        tally = self.counters.partitions[PARTITION]
        tally.consumed += len(samples)
        tally.emitted += len(samples)
        self.counters.commits += 1
        self.publish(samples)

    def reject(self, key, preview):
        tally = self.counters.partitions[PARTITION]
        reason = next(iter(Reason))
        tally.rejected.update(Counter({reason.label: 1}))
        now_ms = int(time.time() * 1000)
        rejected = Rejected(next(self._offsets), now_ms, key, reason, preview, len(preview))
        self.publish(refusals=[rejected])


def wave(number):
    return 20 + 3 * math.sin(number / 20)


class Server:
    """The real server before a made-up member, on a thread of its own; may stop and start again."""

    def __init__(self, member, port=0):
        self.member = member
        self.port = port
        self._loop = None
        self._thread = None
        self.start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}/"

    def start(self):
        self.member.is_stopping = False
        started = threading.Event()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), daemon=True
        )
        self._thread.start()
        assert started.wait(30)

    def stop(self):
        self.member.is_stopping = True
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(30)
        assert not self._thread.is_alive()

    def call(self, action, *arguments):
        """Do something on the server's thread."""
        done = threading.Event()

        def act():
            action(*arguments)
            done.set()

        self._loop.call_soon_threadsafe(act)
        assert done.wait(30)

    async def _serve(self, started):
        self._loop = asyncio.get_running_loop()
        settings = Settings.model_validate(
            {
                "kafka": {"bootstrap_servers": "nowhere:9092"},
                "input": {"topics": PARTITION.topic},
                "smoothing": {"half_life": "30s"},
                "http": {"port": self.port},
            }
        )
        async with serving(settings) as window:
            window.overview = self.member
            self.port = int(window.url.rpartition(":")[2])
            started.set()
            while not self._stopping.is_set():
                self.member.step()
                await asyncio.sleep(PERIOD_S)
