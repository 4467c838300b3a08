"""Brokers that are stopped, killed and frozen; leaders that move; copies that fall behind."""

from functools import partial

from tests.support.broker import RealBroker

from .feeder import monotonic
from .process_faults import PAST_SESSION_S
from .scene import BUDGET_S, Fault, Outcome, Scene, pause


def restart(scene: Scene, *, kill: bool, down_s: float) -> Outcome:
    """The broker, or one of three, goes and comes back."""
    return bounce(scene, scene.draw.choice(scene.brokers.nodes), kill=kill, down_s=down_s)


def bounce(scene: Scene, node: RealBroker, *, kill: bool, down_s: float) -> Outcome:
    """One broker goes and comes back."""
    if kill:
        node.kill()
    else:
        node.stop()
    pause(down_s)
    node.start()
    up = monotonic()
    mark = scene.mark()
    recovered = scene.wait_outputs(mark) - up
    _settle(scene)
    name = "broker killed" if kill else "broker restart"
    return Outcome(hit=True, detail=node.bootstrap, recovery={name: max(recovered, 0.0)})


def freeze(scene: Scene, seconds: float) -> Outcome:
    """A broker answers nothing for some time."""
    node = scene.draw.choice(scene.brokers.nodes)
    node.pause()
    try:
        pause(seconds)
    finally:
        node.resume()
    resumed = monotonic()
    recovered = scene.wait_outputs(scene.mark()) - resumed
    _settle(scene)
    return Outcome(
        hit=True,
        detail=f"{node.bootstrap} for {seconds} s",
        recovery={"broker frozen": max(recovered, 0.0)},
    )


def rolling(scene: Scene) -> Outcome:
    """Each broker in turn."""
    for node in scene.brokers.nodes:
        bounce(scene, node, kill=False, down_s=0.0)
    return Outcome(hit=True, detail="all in turn")


def kill_group_coordinator(scene: Scene) -> Outcome:
    """The broker that coordinates the group."""
    node = scene.brokers.group_coordinator(scene.chaos.group)
    return bounce(scene, node, kill=True, down_s=scene.draw.uniform(0, 5))


def kill_transaction_coordinator(scene: Scene) -> Outcome:
    """The broker that coordinates the transactions of one partition."""
    chaos = scene.chaos
    partition = scene.draw.randrange(chaos.partitions)
    node = scene.brokers.transaction_coordinator(f"{chaos.group}-{chaos.topics.input}-{partition}")
    return bounce(scene, node, kill=True, down_s=scene.draw.uniform(0, 5))


def move_leaders(scene: Scene) -> Outcome:
    """Leadership moves while all brokers live: to where it was before a broker went."""
    chaos = scene.chaos
    topics = (chaos.topics.input, chaos.topics.output, chaos.topics.changelog)
    node = scene.draw.choice(scene.brokers.nodes)
    node.restart()
    for topic in topics:
        scene.brokers.wait_in_sync(topic)
    before = _leaders(scene)
    for topic in topics:
        scene.brokers.elect_preferred(topic)
    moved = sum(a != b for a, b in zip(before, _leaders(scene), strict=True))
    scene.wait_outputs(scene.mark())
    return Outcome(moved > 0, f"{moved} leaders moved")


def shrink_in_sync(scene: Scene) -> Outcome:
    """A copy falls behind while all three must be in sync: nothing can be written meanwhile."""
    chaos = scene.chaos
    output = chaos.topics.output
    chaos.cluster.configure_topic(output, min_insync_replicas="3")
    node = scene.draw.choice(scene.brokers.nodes)
    node.pause()
    try:
        pause(PAST_SESSION_S)
    finally:
        node.resume()
    scene.brokers.wait_in_sync(output, BUDGET_S)
    chaos.cluster.configure_topic(output, min_insync_replicas="2")
    scene.wait_outputs(scene.mark())
    return Outcome(hit=True, detail=node.bootstrap)


def _leaders(scene: Scene) -> list[str]:
    topics = scene.chaos.topics
    return [
        scene.brokers.leader(topic, partition).bootstrap
        for topic in (topics.input, topics.output, topics.changelog)
        for partition in range(scene.chaos.partitions)
    ]


def _settle(scene: Scene) -> None:
    """The next broker may go only when no data would be gone with it."""
    if len(scene.brokers.nodes) == 1:
        return
    topics = scene.chaos.topics
    for topic in (topics.input, topics.output, topics.dead, topics.changelog):
        scene.brokers.wait_in_sync(topic)
    for topic in ("__consumer_offsets", "__transaction_state"):
        scene.brokers.wait_in_sync(topic)


FAULTS = [
    Fault("broker restart", partial(restart, kill=False, down_s=0.0)),
    Fault("broker killed", partial(restart, kill=True, down_s=0.0)),
    Fault("broker killed, long away", partial(restart, kill=True, down_s=25.0)),
    Fault("broker frozen", partial(freeze, seconds=4.0)),
    Fault("broker frozen past the session", partial(freeze, seconds=PAST_SESSION_S + 4.0)),
    Fault("rolling brokers", rolling, brokers=3),
    Fault("group coordinator killed", kill_group_coordinator, brokers=3),
    Fault("transaction coordinator killed", kill_transaction_coordinator, brokers=3),
    Fault("leaders move", move_leaders, brokers=3),
    Fault("in-sync copies shrink", shrink_in_sync, brokers=3),
]
