"""Where a process under test can be made to fail, and how."""

import json
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from aiokafka.errors import KafkaError


class Site(StrEnum):
    """A step of the protocol; K0 to K11 are those of reliability.md 5.1."""

    K0 = "K0"
    """After records were fetched."""
    K1 = "K1"
    """After a transaction was begun."""
    K2 = "K2"
    """After a batch of outputs was acknowledged."""
    K3 = "K3"
    """After a batch of changed rows was acknowledged."""
    K4 = "K4"
    """After AddOffsetsToTxn was answered."""
    K5 = "K5"
    """After TxnOffsetCommit was answered."""
    K6 = "K6"
    """EndTxn has been written, its answer has not been read."""
    K7 = "K7"
    """After the commit returned."""
    BEFORE_K8 = "before-K8"
    """Before InitProducerId is sent."""
    K8 = "K8"
    """After InitProducerId was answered: the fence stands, nothing is restored."""
    K9 = "K9"
    """In the middle of a restore."""
    K10 = "K10"
    """When partitions are revoked."""
    K11 = "K11"
    """At the shutdown, before the group is left."""


class Action(StrEnum):
    """What happens there."""

    KILL = "kill"
    """SIGKILL: nothing more is done, nothing is flushed."""
    STOP = "stop"
    """SIGSTOP: everything freezes, connections stay open."""
    TERM = "term"
    """SIGTERM: the step goes on, and the service is to end well."""
    RAISE = "raise"
    """An error that nobody expects."""
    BUSY = "busy"
    """The event loop is blocked."""
    SLEEP = "sleep"
    """This step alone takes long; the event loop goes on."""


class FailpointError(KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """What `Action.RAISE` raises."""


@dataclass(frozen=True)
class Failpoint:
    """One failure: what happens at which passing of a site, once.

    Attributes:
        nth: the first passing is 1.
        seconds: of `BUSY` and `SLEEP`.
    """

    site: Site
    action: Action
    nth: int = 1
    seconds: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Failpoint":
        """Read `SITE:ACTION[:NTH[:SECONDS]]`."""
        site, action, *rest = text.split(":")
        nth = int(rest[0]) if rest else 1
        return cls(Site(site), Action(action), nth, float(rest[1]) if len(rest) > 1 else 0.0)

    def __str__(self) -> str:
        return f"{self.site}:{self.action}:{self.nth}:{self.seconds:g}"


class Failpoints:
    """Those of one process.

    Args:
        points: what is to fail.
        events: a file that gets a JSON line just before each failure.
    """

    def __init__(self, points: list[Failpoint], events: Path) -> None:
        self._points = points
        self._passed: Counter[Site] = Counter()
        self._events = os.open(events, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def watches(self, *sites: Site) -> bool:
        """Whether anything can happen at one of them."""
        return any(point.site in sites for point in self._points)

    def hit(self, site: Site, detail: str = "") -> float:
        """Pass a site; answers how long the caller is to sleep without blocking.

        Raises:
            FailpointError: that is what happens here.
        """
        self._passed[site] += 1
        sleep_s = 0.0
        for point in self._points:
            if point.site is site and point.nth == self._passed[site]:
                self._note(point, detail)
                sleep_s += self._act(point)
        return sleep_s

    def _note(self, point: Failpoint, detail: str) -> None:
        told = {
            "failpoint": str(point),
            "detail": detail,
            "pid": os.getpid(),
            "at": time.clock_gettime(time.CLOCK_MONOTONIC),
        }
        os.write(self._events, json.dumps(told).encode() + b"\n")

    def _act(self, point: Failpoint) -> float:
        match point.action:
            case Action.KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            case Action.STOP:
                os.kill(os.getpid(), signal.SIGSTOP)
            case Action.TERM:
                os.kill(os.getpid(), signal.SIGTERM)
            case Action.RAISE:
                raise FailpointError(f"failpoint {point}")
            case Action.BUSY:
                end = time.monotonic() + point.seconds
                while time.monotonic() < end:
                    pass
            case Action.SLEEP:
                return point.seconds
        return 0.0
