"""Processes that are killed, frozen, blocked, stopped and started."""

from functools import partial

from tests.support.waiting import wait_until

from .failpoints import Action, Failpoint, Site
from .feeder import monotonic
from .fleet import Member
from .scene import BUDGET_S, Fault, Outcome, Scene, pause
from .settings import SESSION_TIMEOUT_MS, TRANSACTION_TIMEOUT_MS

SESSION_S = SESSION_TIMEOUT_MS / 1000
PAST_SESSION_S = SESSION_S + 2.0
SESSION_OVER = "session expired"
SOON_S = 5.0
PAST_TRANSACTION_S = TRANSACTION_TIMEOUT_MS / 1000 + 5.0

PER_COMMIT = (Site.K0, Site.K1, Site.K2, Site.K3, Site.K4, Site.K5, Site.K6, Site.K7)
PER_START = (Site.BEFORE_K8, Site.K8, Site.K9)
SITES = (*PER_COMMIT, *PER_START, Site.K10, Site.K11)


def kill(scene: Scene) -> Outcome:
    """SIGKILL for a member at work; its partitions go to the others once its session is over."""
    victim, partitions = scene.owner(ends=True)
    began = monotonic()
    victim.kill()
    mark = scene.mark()
    recovered = scene.wait_outputs(mark, partitions) - began
    scene.fill()
    return Outcome(bool(partitions), f"{victim.name} {partitions}", {"kill -9": recovered})


def kill_all(scene: Scene) -> Outcome:
    """SIGKILL for all at once, then a new start: all there is, is what was kept."""
    victims = scene.chaos.fleet.living
    for victim in victims:
        victim.process.kill()
    for victim in victims:
        victim.wait_exit()
    mark = scene.mark()
    scene.fill()
    ready = monotonic()
    recovered = scene.wait_outputs(mark) - ready
    return Outcome(bool(victims), f"{len(victims)} members", {"cold start": max(recovered, 0.0)})


def at_site(scene: Scene, site: Site, action: Action) -> Outcome:
    """A member that fails at a step of the protocol."""
    nth = scene.draw.randint(1, 25) if site in PER_COMMIT else 1
    if site is Site.K10:
        nth = 2  # aiokafka calls it before the first assignment, too
    seconds = {Action.BUSY: PAST_SESSION_S, Action.SLEEP: PAST_TRANSACTION_S}.get(action, 0.0)
    member = scene.launch(Failpoint(site, action, nth, seconds))
    if site in (Site.K10, Site.K11):
        wait_until(
            lambda: member.events or member.name in scene.chaos.owners().values(),
            timeout_s=BUDGET_S,
        )
    if site is Site.K10:
        scene.launch()  # the group is shared out anew
    if site is Site.K11:
        member.terminate()
    if not scene.wait_hit(member):
        member.kill()
        scene.fill()
        return Outcome(hit=False, detail=f"{site} was not passed {nth} times")
    recovery = _after(scene, member, action)
    scene.fill()
    return Outcome(hit=True, detail=str(member.events[0]), recovery=recovery)


def _after(scene: Scene, member: Member, action: Action) -> dict[str, float]:
    """Get over a failpoint that was hit."""
    at = float(member.events[0]["at"])
    mark = scene.mark()
    if action is Action.KILL:
        member.wait_exit()
        return {"kill -9": scene.wait_outputs(mark) - at}
    if action is Action.STOP:
        wait_until(member.is_stopped, timeout_s=BUDGET_S)
        taken_over = _taken_over(scene, member, mark) - at
        member.thaw()
        scene.wait_outputs(scene.mark())
        return {"frozen": taken_over}
    if action is Action.TERM:
        if member.wait_exit() != 0:
            code = member.process.returncode
            raise RuntimeError(f"SIGTERM ended with {code}:\n{member.end_of_log}")
        gone = monotonic()
        return {"SIGTERM": max(scene.wait_outputs(scene.mark()) - gone, 0.0)}
    scene.wait_outputs(mark)
    return {}


def _taken_over(scene: Scene, frozen: Member, mark: dict[int, int]) -> float:
    """Wait until others have the partitions of a frozen member, and work on them; answers when.

    Not for long: it is to wake before the brokers give its transaction up by themselves.
    """
    wait_until(lambda: frozen.name not in scene.chaos.owners().values(), timeout_s=BUDGET_S)
    try:
        return scene.wait_outputs(mark, budget_s=SOON_S)
    except TimeoutError:
        return monotonic()


def freeze(scene: Scene, seconds: float) -> Outcome:
    """SIGSTOP for some time, then SIGCONT."""
    victim, partitions = scene.owner()
    mark = scene.mark()
    victim.freeze()
    frozen_at = monotonic()
    if seconds > SESSION_S:
        _taken_over(scene, victim, mark)
    else:
        pause(seconds)
    before = victim.log.count(SESSION_OVER)
    victim.thaw()
    is_short = monotonic() - frozen_at < SESSION_S / 2 + 1.0
    scene.wait_outputs(scene.mark())
    if is_short and victim.log.count(SESSION_OVER) > before:
        raise RuntimeError(f"{seconds} s were too long for the group:\n{victim.end_of_log}")
    return Outcome(bool(partitions), f"{victim.name} {partitions} for {seconds} s")


def hand_over(scene: Scene) -> Outcome:
    """SIGTERM: what is at work is finished, the others take over at once."""
    victim, partitions = scene.owner(ends=True)
    began = monotonic()
    victim.terminate()
    code = victim.wait_exit()
    gone = monotonic()
    mark = scene.mark()
    recovered = scene.wait_outputs(mark, partitions) - gone
    scene.fill()
    detail = f"{victim.name} {partitions}, exit code {code} after {gone - began:.2f} s"
    return Outcome(code == 0, detail, {"SIGTERM": max(recovered, 0.0)})


def rolling_restart(scene: Scene) -> Outcome:
    """Every member in turn: stopped, and another one started."""
    members = scene.chaos.fleet.living
    for member in members:
        member.terminate()
        member.wait_exit()
        scene.fill()
    scene.wait_outputs(scene.mark())
    return Outcome(bool(members), f"{len(members)} members")


def storm(scene: Scene) -> Outcome:
    """Members come and go every few seconds; there is progress all the while."""
    comings = scene.draw.randint(3, 6)
    for _ in range(comings):
        mark = scene.mark()
        member = scene.launch().wait_ready()
        if scene.draw.random() < 0.5:
            member.terminate()
            member.wait_exit()
        else:
            member.kill()
        scene.wait_outputs(mark)
    return Outcome(hit=True, detail=f"{comings} comings and goings")


def delete_offsets(scene: Scene) -> Outcome:
    """The group's offsets are deleted while nobody is there: the markers know better."""
    chaos = scene.chaos
    chaos.fleet.stop()
    wait_until(lambda: not chaos.cluster.members(chaos.group), timeout_s=BUDGET_S)
    before = chaos.cluster.committed(chaos.group, chaos.topics.input)
    chaos.cluster.delete_group(chaos.group)
    mark = scene.mark()
    scene.fill()
    scene.wait_outputs(mark)
    return Outcome(bool(before), f"deleted {before}")


def idle_members(scene: Scene) -> Outcome:
    """More members than partitions; then those that have some are killed."""
    fleet, partitions = scene.chaos.fleet, scene.chaos.partitions
    for member in [scene.launch() for _ in range(partitions + 1 - len(fleet.living))]:
        member.wait_ready()
    wait_until(lambda: len(set(scene.chaos.owners().values())) == partitions, timeout_s=BUDGET_S)
    owners = scene.chaos.owners()
    victims = [each for each in fleet.living if each.name in (owners[0], owners[1])]
    mark = scene.mark()
    for victim in victims:
        victim.kill()
    scene.wait_outputs(mark)
    return Outcome(len(victims) == 2, f"{len(victims)} of {partitions} owners, one was idle")


def foreign_producer(scene: Scene) -> Outcome:
    """Somebody else begins with a partition's transactional id, and goes away again."""
    chaos = scene.chaos
    partition = scene.draw.randrange(chaos.partitions)
    name = f"{chaos.group}-{chaos.topics.input}-{partition}"
    producer = chaos.cluster.producer(transactional_id=name)
    producer.init_transactions(30)
    mark = scene.mark()
    scene.wait_outputs(mark)
    return Outcome(hit=True, detail=name)


def clock_jump(scene: Scene) -> Outcome:
    """The wall clock of a member jumps by an hour, forth and back."""
    victim, partitions = scene.owner()
    for _ in range(2):
        mark = scene.mark()
        victim.shift_clock()
        scene.wait_outputs(mark)
    return Outcome(bool(partitions), f"{victim.name} {partitions}")


FAULTS = [
    Fault("kill", kill),
    Fault("kill all", kill_all, spares_nobody=True),
    Fault("short freeze", partial(freeze, seconds=3.0)),
    Fault("long freeze", partial(freeze, seconds=PAST_SESSION_S)),
    Fault("hand-over", hand_over),
    Fault("rolling restart", rolling_restart, spares_nobody=True),
    Fault("storm", storm),
    Fault("delete offsets", delete_offsets, spares_nobody=True),
    Fault("clock jump", clock_jump),
    Fault("idle members", idle_members, spares_nobody=True),
    Fault("foreign producer", foreign_producer),
    *(
        Fault(f"{site} {action}", partial(at_site, site=site, action=action))
        for site in SITES
        for action in (Action.KILL, Action.STOP)
    ),
    *(
        Fault(f"{site} {Action.RAISE}", partial(at_site, site=site, action=Action.RAISE))
        for site in PER_COMMIT
    ),
    *(
        Fault(f"{site} {Action.TERM}", partial(at_site, site=site, action=Action.TERM))
        for site in PER_COMMIT
    ),
    Fault("slow transaction", partial(at_site, site=Site.K2, action=Action.SLEEP)),
    Fault("blocked loop", partial(at_site, site=Site.K0, action=Action.BUSY)),
]
