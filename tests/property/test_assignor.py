"""Members that come and go in any order: what every assignment keeps."""

import json
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from stream_ewma.kafka.assignor import Holding, StandbyAssignor
from tests.support.assigning import Group, Topics, single_owners

TOPICS = {"air": 5, "water": 3}
MEMBERS = "abcde"

steps = st.lists(
    st.tuples(
        st.sampled_from(MEMBERS), st.sampled_from([["air", "water"], ["air"], ["water"], ["none"]])
    ),
    max_size=8,
)


def check(group):
    """What holds after each rebalance."""
    wanted = {
        (topic, number)
        for topic, count in TOPICS.items()
        if any(topic in group.subscriptions[member] for member in group.members)
        for number in range(count)
    }
    owners = group.owners
    assert owners.keys() == wanted, "a partition is left out, or made up"
    for partition, owner in owners.items():
        able = {m for m in group.members if partition[0] in group.subscriptions[m]}
        copies = group.copies.get(partition, set())
        assert {owner, *copies} <= able, "given to a member that does not subscribe"
        assert owner not in copies
        assert len(copies) == min(group.standbys, len(able) - 1)


def loads(group):
    return Counter({m: len(each.holding.owned) for m, each in group.members.items()})


@given(steps, st.integers(0, 3), st.booleans())
def test_every_partition_has_one_owner_and_its_standbys(steps, standbys, warm):
    group = Group(TOPICS, standbys=standbys)
    for member, topics in steps:
        if member in group.members and len(group.members) > 1:
            group.leave(member)
        else:
            group.join(member, topics)
        group.rebalance()
        check(group)
        if warm:
            group.warm_all()


@given(st.integers(0, 40), st.integers(1, 6), st.integers(0, 6))
def test_one_that_joins_moves_only_what_it_gets_and_one_that_leaves_only_what_it_had(
    count, members, leaver
):
    group = Group({"air": count, "water": 7}, standbys=1)
    for number in range(members):
        group.join(f"m{number}")
    group.rebalance()
    before = group.owners
    assert max(loads(group).values()) - min(loads(group).values()) <= 1

    group.join("new")
    group.rebalance()
    after = group.owners
    moved = {partition for partition in before if before[partition] != after[partition]}
    assert {after[partition] for partition in moved} <= {"new"}
    assert len(moved) == loads(group)["new"] == (count + 7) // (members + 1)
    assert max(loads(group).values()) - min(loads(group).values()) <= 1

    gone = f"m{leaver % members}"
    group.leave(gone)
    group.rebalance()
    last = group.owners
    assert {p for p in after if last[p] != after[p]} == {p for p in after if after[p] == gone}
    assert max(loads(group).values()) - min(loads(group).values()) <= 1


@given(st.integers(0, 40), st.integers(2, 6))
def test_one_that_dies_is_replaced_by_its_standbys(count, members):
    group = Group({"air": count}, standbys=1)
    for number in range(members):
        group.join(f"m{number}")
    group.rebalance()
    group.warm_all()
    owners, copies = group.owners, group.copies

    group.leave("m0")
    group.rebalance()

    lost = {p for p, owner in owners.items() if owner == "m0"}
    # Each survivor gets a floor of partitions and may get one more: so much room there is.
    floor, ceiling = count // (members - 1), -(-count // (members - 1))
    at_each = Counter(holder for p in lost for holder in copies[p])
    kept = Counter(owner for p, owner in owners.items() if p not in lost)
    to_copy = sum(group.owners[p] in copies[p] for p in lost)
    assert to_copy >= sum(min(at_each[m], floor - kept[m]) for m in group.members)
    assert to_copy <= sum(min(at_each[m], ceiling - kept[m]) for m in group.members)


@given(st.integers(0, 40), st.integers(2, 6), st.integers(1, 4))
def test_copies_are_spread_evenly(count, members, standbys):
    group = Group({"air": count}, standbys=standbys)
    for number in range(members):
        group.join(f"m{number}")
    group.rebalance()

    copies = [len(each.holding.standbys) for each in group.members.values()]
    assert max(copies) - min(copies) <= 1


def test_the_copies_of_one_owner_are_spread_over_the_others():
    group = Group({"air": 24}, standbys=1)
    for member in "abcd":
        group.join(member)
    group.rebalance()

    pairs = Counter((owner, *group.copies[p]) for p, owner in group.owners.items())
    assert set(pairs.values()) == {2}


@given(st.integers(1, 40), st.integers(2, 6), st.integers(1, 3))
def test_nothing_moves_where_nothing_has_changed(count, members, standbys):
    group = Group({"air": count}, standbys=standbys)
    for number in range(members):
        group.join(f"m{number}")
    group.rebalance()
    owners, copies = group.owners, group.copies

    group.rebalance()
    group.members = dict(reversed(group.members.items()))  # another leader
    group.rebalance()

    assert (group.owners, group.copies) == (owners, copies)


partitions = st.frozensets(st.tuples(st.sampled_from(["air", "x"]), st.integers(-1, 6)))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["version", "generation", "owned", "standbys", "warm", "air"]), inner
        )
    ),
    max_leaves=12,
)
hostile = (
    st.none()
    | st.binary()
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.builds(Holding, st.integers(-2, 2**31), *[partitions] * 3).map(Holding.to_bytes)
)


@given(st.lists(hostile, min_size=1, max_size=5), st.integers(0, 2))
def test_whatever_members_tell_each_partition_gets_one_owner(told, standbys):
    members = {}
    for number, user_data in enumerate(told):
        metadata = StandbyAssignor(0).metadata(["air"])
        metadata.subscription = ["water", "air"] if number % 2 else ["air", "water"]
        metadata.user_data = user_data
        members[f"m{number}"] = metadata

    leader = StandbyAssignor(standbys)
    answer = leader.assign(Topics(TOPICS), members)
    again = leader.assign(Topics(TOPICS), dict(reversed(members.items())))

    assert {m: a.encode() for m, a in answer.items()} == {m: a.encode() for m, a in again.items()}
    owners = single_owners({member: a.partitions() for member, a in answer.items()})
    assert owners.keys() == {(t, number) for t, count in TOPICS.items() for number in range(count)}


@given(hostile)
def test_whatever_the_leader_tells_a_member_goes_on(user_data):
    member = StandbyAssignor(1)
    assignment = member.assign(Topics({"air": 2}), {"m": member.metadata(["air"])})["m"]
    assignment.user_data = user_data

    member.on_assignment(assignment)

    assert member.holding.owned == {("air", 0), ("air", 1)}


@given(st.integers(0, 2**31 - 1), partitions, partitions, partitions)
def test_what_a_member_has_survives_the_wire(generation, owned, standbys, warm):
    holding = Holding(generation, owned, standbys, warm)

    assert Holding.from_bytes(holding.to_bytes()) == holding
