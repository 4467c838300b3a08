"""The end of a run: what came out, what is kept, and what a new start makes of it."""

from .scene import Scene
from .segments import zombie_writes
from .state import state_problems

MORE_EVENTS = 2_000
STATE_REFUSED = 65


def verdict(scene: Scene) -> list[str]:
    """What is wrong besides differing records, in words; all members are stopped.

    Judged twice: on what the running members keep, and, after more events, on what members started
    anew have restored.

    Raises:
        TimeoutError: something does not come out.
    """
    chaos = scene.chaos
    problems = []
    for again in (False, True):
        with chaos.feeder.held():
            chaos.judge.wait_drained()
            problems += state_problems(
                chaos.cluster, chaos.group, chaos.topics, chaos.judge.oracles
            )
        if not again:
            problems += _stopped(scene)
            scene.fill()
            chaos.feeder.wait_sent(MORE_EVENTS)
    problems += _stopped(scene)
    problems += [each for member in chaos.fleet.members for each in member.troubles()]
    # No fault here takes anything away from what is kept.
    problems += [
        f"{member.name} refused its state:\n{member.end_of_log}"
        for member in chaos.fleet.members
        if member.process.returncode == STATE_REFUSED
    ]
    problems += [
        f"{member.name} ended by itself with {member.process.returncode}:\n{member.end_of_log}"
        for member in chaos.fleet.members
        if member.has_given_up
    ]
    return problems + _zombies(scene) + chaos.judge.online_problems()


def _stopped(scene: Scene) -> list[str]:
    """Stop all members; they must end well."""
    codes = scene.chaos.fleet.stop()
    return [f"{name} ended with {code}" for name, code in codes.items() if code]


def _zombies(scene: Scene) -> list[str]:
    """Signs of two writers in the partitions that are written in transactions alone."""
    topics = scene.chaos.topics
    transactional = [topics.changelog]
    if scene.chaos.guarantee == "exactly_once":
        transactional += [topics.output, topics.dead]
    node = scene.brokers.nodes[0]  # each has a copy of everything
    return [
        sign
        for topic in transactional
        for partition in range(scene.chaos.partitions)
        for sign in zombie_writes(node.data / f"{topic}-{partition}")
    ]
