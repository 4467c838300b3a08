"""The network between the members and the brokers: cut, silent, slow, forgetful, repeating."""

from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial

from aiokafka.errors import for_code

from tests.support.waiting import wait_until

from . import links, refusals
from .failpoints import Action, Failpoint, Site
from .feeder import monotonic
from .fleet import Member
from .links import Deed
from .process_faults import PAST_SESSION_S
from .proxy import Proxy
from .scene import BUDGET_S, Fault, Outcome, Scene, pause

HIT_S = 30.0
LONG_S = 60.0
FENCED = (": fenced: ", "another member is taking it over, too")


def cut(scene: Scene) -> Outcome:
    """All connections break at once, or those of one member."""
    victim, _ = scene.owner()
    client = scene.draw.choice(("", victim.name))
    count = sum(proxy.cut(client) for proxy in scene.brokers.proxies)
    mark = scene.mark()
    cut_at = monotonic()
    detail = f"{count} connections of {client or 'all'}"
    return Outcome(count > 0, detail, _since(scene, mark, cut_at, "cut"))


def away(scene: Scene, seconds: float) -> Outcome:
    """The brokers cannot be reached for some time."""
    mark = scene.mark()
    with ExitStack() as stack:
        for proxy in scene.brokers.proxies:
            stack.enter_context(proxy.closed())
        pause(seconds)
    healed = monotonic()
    return Outcome(hit=True, detail=f"{seconds} s", recovery=_since(scene, mark, healed, "away"))


def blackhole(scene: Scene, seconds: float) -> Outcome:
    """Nothing gets through for some time, and nothing says so."""
    mark = scene.mark()
    with ExitStack() as stack:
        for proxy in scene.brokers.proxies:
            stack.enter_context(proxy.blackhole())
        pause(seconds)
    healed = monotonic()
    return Outcome(
        hit=True, detail=f"{seconds} s", recovery=_since(scene, mark, healed, "blackhole")
    )


def isolated(scene: Scene) -> Outcome:
    """One member alone reaches no broker, past its session; the others take over meanwhile."""
    victim, partitions = scene.owner()
    return _isolated(scene, victim, partitions, scene.brokers.proxies, PAST_SESSION_S)


def without_group(scene: Scene) -> Outcome:
    """One member alone does not reach the group's coordinator, but all other brokers.

    It could fence whoever takes over from it, and must not.
    """
    victim, partitions = scene.owner()
    coordinator = scene.brokers.group_coordinator(scene.chaos.group)
    return _isolated(scene, victim, partitions, [scene.brokers.proxy(coordinator)], LONG_S)


def _isolated(
    scene: Scene, victim: Member, partitions: list[int], proxies: Iterable[Proxy], seconds: float
) -> Outcome:
    members = scene.chaos.fleet.living
    began = monotonic()
    with ExitStack() as stack:
        for proxy in proxies:
            stack.enter_context(proxy.isolated(victim.name))
        wait_until(lambda: victim.name not in scene.chaos.owners().values(), timeout_s=BUDGET_S)
        taken_over = scene.wait_outputs(scene.mark(), partitions) - began
        before = _fenced(members, victim)
        pause(seconds)
        scene.wait_outputs(scene.mark(), partitions)
        if _fenced(members, victim) != before:
            raise RuntimeError(f"{victim.name} fences its successors:\n{scene.chaos.fleet.logs()}")
    scene.wait_outputs(scene.mark())
    return Outcome(bool(partitions), f"{victim.name} {partitions}", {"isolated": taken_over})


def _fenced(members: Iterable[Member], victim: Member) -> int:
    """How often others than the victim have found that somebody fenced them."""
    others = [member for member in members if member is not victim]
    return sum(member.log.count(sign) for member in others for sign in FENCED)


def half_open(scene: Scene, api_key: int) -> Outcome:
    """A member's present connections for one purpose are dead, and nothing says so."""
    victim, partitions = scene.owner()
    with ExitStack() as stack:
        counts = [
            stack.enter_context(proxy.half_open(victim.name, carried=api_key))
            for proxy in scene.brokers.proxies
        ]
        mark = scene.mark()
        scene.wait_outputs(mark)
    return Outcome(sum(counts) > 0, f"{sum(counts)} connections of {victim.name} {partitions}")


def slow(scene: Scene) -> Outcome:
    """Everything takes longer for a while."""
    delay_s = scene.draw.choice((0.05, 0.2))
    rate = scene.draw.choice((0.0, 200_000.0))
    with ExitStack() as stack:
        for proxy in scene.brokers.proxies:
            stack.enter_context(proxy.slow(delay_s=delay_s, bytes_per_s=rate))
        scene.wait_outputs(scene.mark())
        pause(5.0)
    scene.wait_outputs(scene.mark())
    return Outcome(hit=True, detail=f"{delay_s} s, {rate:g} bytes/s")


def request(scene: Scene, api_key: int, deed: Deed, seconds: float) -> Outcome:
    """Something happens to one request, or its answer."""
    skip = scene.draw.randint(0, 20)
    with ExitStack() as stack:
        rules = []
        for proxy in scene.brokers.proxies:
            rule = proxy.add(api_key, deed, seconds=seconds, skip=skip)
            stack.callback(proxy.remove, rule)
            rules.append(rule)
        try:
            wait_until(lambda: any(rule.hits for rule in rules), timeout_s=HIT_S)
        except TimeoutError:
            return Outcome(hit=False, detail=f"no request {api_key}")
        began = monotonic()
        mark = scene.mark()
        scene.wait_outputs(mark)
        wait_until(lambda: monotonic() > began + seconds, timeout_s=seconds + 5.0)
    scene.wait_outputs(scene.mark())
    hits = sum(rule.hits for rule in rules)
    return Outcome(hit=True, detail=f"{deed} {api_key} after {skip}, {hits} times")


def refuse(scene: Scene, api_key: int, code: int) -> Outcome:
    """The broker refuses one request; for good, or until it is asked again."""
    skip = scene.draw.randint(0, 5) if api_key != links.INIT_PRODUCER_ID else 0
    with ExitStack() as stack:
        rules = []
        for proxy in scene.brokers.proxies:
            rule = proxy.add(
                api_key,
                Deed.REFUSE,
                skip=skip,
                answer=partial(refusals.refusal, api_key, code=code),
            )
            stack.callback(proxy.remove, rule)
            rules.append(rule)
        if api_key == links.INIT_PRODUCER_ID:
            scene.launch()
        if not for_code(code).retriable:
            for member in scene.chaos.fleet.members:
                member.may_end = True
        try:
            wait_until(lambda: any(rule.hits for rule in rules), timeout_s=HIT_S)
        except TimeoutError:
            return Outcome(hit=False, detail=f"no request {api_key}")
    scene.fill()
    scene.wait_outputs(scene.mark())
    for member in scene.chaos.fleet.living:
        member.may_end = False
    return Outcome(hit=True, detail=f"error {code} for request {api_key} after {skip}")


def late_outputs(scene: Scene) -> Outcome:
    """Outputs arrive late; a member is killed when it has committed what they belong to."""
    output = scene.chaos.topics.output.encode()
    with ExitStack() as stack:
        for proxy in scene.brokers.proxies:
            rule = proxy.add(
                links.PRODUCE,
                Deed.DELAY_REQUEST,
                seconds=1.0,
                times=1_000,
                where=lambda frame: output in frame,
            )
            stack.callback(proxy.remove, rule)
        member = scene.launch(Failpoint(Site.K7, Action.KILL, 4))
        # Transactions too large to end in their time are given up, and made smaller, first.
        hit = scene.wait_hit(member, timeout_s=150.0)
    scene.fill()
    scene.wait_outputs(scene.mark())
    return Outcome(hit, f"{member.name} {member.events}")


def _since(scene: Scene, mark: dict[int, int], healed: float, name: str) -> dict[str, float]:
    return {name: max(scene.wait_outputs(mark) - healed, 0.0)}


_OF_TRANSACTIONS = {
    "Produce": links.PRODUCE,
    "AddPartitionsToTxn": links.ADD_PARTITIONS,
    "AddOffsetsToTxn": links.ADD_OFFSETS,
    "TxnOffsetCommit": links.TXN_OFFSET_COMMIT,
    "EndTxn": links.END_TXN,
}
_DEEDS = {
    Deed.LOSE_REQUEST: 0.0,
    Deed.LOSE_ANSWER: 0.0,
    Deed.HOLD_REQUEST: 4.0,
    Deed.DELAY_ANSWER: 7.0,
    Deed.REPEAT_REQUEST: 4.0,
}

# Nothing sends a commit of an epoch twice: TCP delivers once, and the service asks once.
_IMPOSSIBLE = {(Deed.REPEAT_REQUEST, links.END_TXN)}

# Error codes by request, both of the broker's passing states and for good.
_CODES = {
    links.PRODUCE: (2, 3, 6, 7, 10, 17, 19, 20, 29, 45, 47, 48, 53, 56, 59, 87, 90),
    links.INIT_PRODUCER_ID: (14, 15, 16, 42, 47, 51, 53, 90),
    links.ADD_PARTITIONS: (3, 14, 15, 16, 29, 47, 48, 49, 51, 53, 90),
    links.ADD_OFFSETS: (14, 15, 16, 30, 47, 48, 49, 51, 53, 90),
    links.TXN_OFFSET_COMMIT: (3, 7, 14, 15, 16, 22, 25, 30, 47, 49, 53, 82, 90),
    links.END_TXN: (14, 15, 16, 47, 48, 49, 51, 53, 90),
    links.HEARTBEAT: (15, 16, 22, 25, 27, 30),
}
REFUSALS = [
    Fault(f"refuse {api_key} with {code}", partial(refuse, api_key=api_key, code=code))
    for api_key, codes in _CODES.items()
    for code in codes
]

FAULTS = [
    Fault("cut", cut),
    Fault("brokers away 3 s", partial(away, seconds=3.0)),
    Fault("brokers away past the session", partial(away, seconds=PAST_SESSION_S)),
    Fault("blackhole 3 s", partial(blackhole, seconds=3.0)),
    Fault("blackhole past the session", partial(blackhole, seconds=PAST_SESSION_S)),
    Fault("isolated past the session", isolated),
    Fault("isolated from the group's coordinator", without_group, brokers=3),
    Fault("half-open heartbeats", partial(half_open, api_key=links.HEARTBEAT)),
    Fault("half-open fetches", partial(half_open, api_key=links.FETCH)),
    Fault("half-open transactions", partial(half_open, api_key=links.END_TXN)),
    Fault("half-open produce", partial(half_open, api_key=links.PRODUCE)),
    Fault("slow network", slow),
    Fault("late outputs", late_outputs),
    *(
        Fault(f"{deed} {name}", partial(request, api_key=api_key, deed=deed, seconds=seconds))
        for name, api_key in _OF_TRANSACTIONS.items()
        for deed, seconds in _DEEDS.items()
        if (deed, api_key) not in _IMPOSSIBLE
    ),
]
