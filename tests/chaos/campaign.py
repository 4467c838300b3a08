"""A run: a stream, faults one after another as a seed has it, and the verdict."""

import random
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from . import broker_faults, network_faults, process_faults
from .brokers import Brokers
from .configurations import CONFIGURATIONS
from .feeder import monotonic
from .report import Report, Sample, Struck
from .scene import Fault, Scene, pause
from .service import Chaos
from .settings import Guarantee
from .verdict import verdict

ALL_FAULTS = [
    *process_faults.FAULTS,
    *network_faults.FAULTS,
    *network_faults.REFUSALS,
    *broker_faults.FAULTS,
]
SAMPLE_S = 5.0


@dataclass(frozen=True)
class Plan:
    """What a run does; it is the same for the same plan.

    Attributes:
        minutes: how long faults strike; 0: until each has struck once.
        faults: names; empty: all that the brokers allow.
        brokers: 1 or 3.
        standbys: members that keep a warm copy of each partition.
        pause_s: between two faults, at most.
        spared: whether the first member lives to the end: nothing strikes that would end it. Its
            memory tells of leaks.
        without: a guard that the members do without: the run must fail.
    """

    seed: int
    minutes: float
    configuration: str = "sorted"
    guarantee: Guarantee = "exactly_once"
    members: int = 3
    partitions: int = 8
    keys: int = 2_000
    rate: float = 1_500.0
    brokers: int = 1
    standbys: int = 0
    pause_s: float = 5.0
    spared: bool = False
    faults: tuple[str, ...] = ()
    without: str = ""

    def _wants(self, fault: Fault) -> bool:
        if fault.brokers > self.brokers or (self.spared and fault.spares_nobody):
            return False
        if self.faults:
            return fault.name in self.faults
        return fault not in network_faults.REFUSALS  # they would outnumber all others

    def schedule(self) -> Iterator[Fault]:
        """All faults once, in random order; if time is what ends the run, again and again."""
        draw = random.Random(self.seed)
        fitting = [fault for fault in ALL_FAULTS if self._wants(fault)]
        if not fitting:
            raise ValueError(f"no such faults: {self.faults}")
        yield from draw.sample(fitting, len(fitting))
        while self.minutes:
            yield from draw.sample(fitting, len(fitting))


class Sampler:
    """Notes every few seconds what the members take up."""

    def __init__(self, chaos: Chaos, report: Report, began: float) -> None:
        self._chaos = chaos
        self._report = report
        self._began = began
        self._first: dict[str, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Sample meanwhile."""
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            for member in self._chaos.fleet.living:
                at = monotonic() - self._began
                first = self._first.setdefault(member.name, at)
                try:
                    taken = member.resident_bytes, member.descriptor_count
                except (OSError, IndexError):
                    continue  # it has just ended
                self._report.samples.append(Sample(member.name, at, at - first, *taken))


def run(plan: Plan, folder: Path) -> Report:
    """Run a plan; logs and settings go to `folder`."""
    report = Report(asdict(plan))
    with Brokers(plan.brokers) as brokers:
        chaos = Chaos(
            brokers.cluster,
            folder,
            CONFIGURATIONS[plan.configuration],
            plan.guarantee,
            seed=plan.seed,
            bootstrap=brokers.proxied_bootstrap,
            partitions=plan.partitions,
            keys=plan.keys,
            rate=plan.rate,
            copies=brokers.copies,
            over={"state": {"standbys": plan.standbys}},
            without=plan.without,
        )
        began = monotonic()
        with chaos, Sampler(chaos, report, began).running():
            scene = Scene(chaos, brokers, random.Random(plan.seed + 1), plan.members)
            try:
                chaos.start(plan.members)
                if plan.spared:
                    scene.spared = chaos.fleet.members[0].name
                scene.wait_outputs(scene.mark())
                _strike_all(plan, scene, report, began)
                report.problems += verdict(scene)
            except (TimeoutError, RuntimeError):
                report.problems.append(traceback.format_exc())
            _sum_up(chaos, report)
            report.seconds = monotonic() - began
    return report


def _strike_all(plan: Plan, scene: Scene, report: Report, began: float) -> None:
    end = monotonic() + plan.minutes * 60
    for fault in plan.schedule():
        if (plan.minutes and monotonic() > end) or scene.chaos.judge.differences:
            return
        report.struck.append(strike(scene, fault, report, began))
        pause(scene.draw.uniform(0, plan.pause_s))


def strike(scene: Scene, fault: Fault, report: Report, began: float) -> Struck:
    """Let one fault happen and wait until everything goes on."""
    at = monotonic()
    _say(f"{at - began:7.1f} s  {fault.name}")
    outcome = fault.inject(scene)
    for name, seconds in outcome.recovery.items():
        report.recovery[name].append(seconds)
    scene.fill()
    struck = Struck(
        fault.name, at - began, monotonic() - at, outcome.hit, outcome.detail.replace("\n", " ")
    )
    invalid = "" if outcome.hit else "INVALID, it did not strike: "
    _say(f"           {invalid}{outcome.detail} ({struck.seconds:.1f} s)")
    return struck


def _sum_up(chaos: Chaos, report: Report) -> None:
    """What the judge has seen."""
    judge = chaos.judge
    report.events = judge.input_count
    report.outputs = sum(each.matched for each in judge.outputs)
    report.dead_letters = sum(each.matched for each in judge.dead)
    report.repeated = sum(each.repeated for each in judge.sequences)
    report.replays = sum(each.replays for each in judge.sequences)
    report.differences = judge.differences
    report.difference_count = sum(each.difference_count for each in judge.sequences)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
