"""Processes that are killed."""

from .configurations import SORTED
from .failpoints import Action, Failpoint, Site
from .state import state_problems


def test_a_kill_under_load_loses_nothing(make_chaos):
    chaos = make_chaos(SORTED, "exactly_once", seed=3)
    victim = chaos.fleet.launch(Failpoint(Site.K3, Action.KILL, 5))
    other = chaos.fleet.launch()
    other.wait_ready()
    victim.wait_exit(120)
    assert victim.events
    chaos.wait_progress()
    chaos.feeder.wait_sent(2000)
    chaos.feeder.__exit__(None, None, None)
    chaos.judge.wait_drained()
    print(
        chaos.judge.differences,
        [(s.name, s.seen, s.matched, s.repeated, s.replays) for s in chaos.judge.sequences],
    )
    print(state_problems(chaos.cluster, chaos.group, chaos.topics, chaos.judge.oracles))
    print(chaos.fleet.logs())
