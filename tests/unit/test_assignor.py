"""What a member tells, and how the leader decides between claims."""

import json

import pytest
from aiokafka import TopicPartition
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from stream_ewma.kafka.assignor import Holding, StandbyAssignor
from tests.support.assigning import Group, Topics

AIR = [TopicPartition("air", number) for number in range(4)]


def holding(generation, owned=(), standbys=(), warm=()):
    return Holding(
        generation, *(frozenset(AIR[n] for n in held) for held in (owned, standbys, warm))
    )


def owners(*holdings, count=4, standbys=0):
    """Who gets which partition of a topic, by the place of the member."""
    members = {}
    for number, held in enumerate(holdings):
        assignor = StandbyAssignor(standbys)
        assignor.holding = held
        members[f"m{number}"] = assignor.metadata(["air"])
    answer = StandbyAssignor(standbys).assign(Topics({"air": count}), members)
    return [sorted(tp.partition for tp in answer[member].partitions()) for member in members]


def test_of_two_claims_the_later_generation_wins():
    assert owners(holding(7, [0, 1]), holding(6, [0, 1])) == [[0, 1], [2, 3]]
    assert owners(holding(6, [0, 1]), holding(7, [0, 1])) == [[2, 3], [0, 1]]


def test_a_partition_that_must_move_goes_where_its_copy_is():
    nothing = holding(1)

    assert owners(nothing, holding(1, [0]), holding(1, [], [3], [3]), count=4)[2][-1] == 3
    for warm in (2, 3):  # of the two that leave the first member, or of none
        given = owners(holding(1, [0, 1, 2, 3]), holding(1, [], [warm], [warm]))
        assert warm in given[1]


def test_a_warm_copy_is_worth_more_than_one_that_is_still_being_read():
    reading, warm = holding(1, [], [0]), holding(1, [], [0], [0])

    assert owners(reading, warm, count=1) == [[], [0]]
    assert owners(warm, reading, count=1) == [[0], []]
    assert owners(holding(1), reading, count=1) == [[], [0]]


def test_a_copy_does_not_take_a_partition_from_its_owner():
    assert owners(holding(1, [], [0, 1], [0, 1]), holding(1, [0, 1]), count=2) == [[0], [1]]
    assert owners(holding(1, [], [0], [0]), holding(1, [0]), count=1) == [[], [0]]


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"\xff",
        b"null",
        b"[" * 100_000,
        b'{"version":2,"generation":9,"owned":{"air":[0]}}',
        b'{"generation":9,"owned":{"air":[0]}}',
        b'{"version":1,"generation":"9","owned":{"air":[0]}}',
        b'{"version":1,"generation":true,"owned":{"air":[0]}}',
        b'{"version":1,"generation":2147483648,"owned":{"air":[0]}}',
        b'{"version":1,"generation":' + b"9" * 5000 + b',"owned":{"air":[0]}}',
        b'{"version":1,"generation":9,"owned":[0]}',
        b'{"version":1,"generation":9,"owned":{"air":0}}',
        b'{"version":1,"generation":9,"owned":{"air":[0.0,"0",null,[0]]}}',
    ],
    ids=repr,
)
def test_of_what_cannot_be_read_nothing_is_owned(data):
    found = Holding.from_bytes(data)

    assert (found.owned, found.standbys, found.warm) == (frozenset(),) * 3


def test_two_members_in_one_process_do_not_share_their_memory():
    group = Group({"air": 4}, standbys=1)
    first, second = group.join("a"), group.join("b")
    group.rebalance()

    assert len(first.holding.owned) == len(second.holding.owned) == 2
    assert first.holding.standbys == second.holding.owned
    assert second.holding.standbys == first.holding.owned


def test_a_copy_is_warm_only_while_it_is_kept():
    group = Group({"air": 4}, standbys=1)
    first, second = group.join("a"), group.join("b")
    group.rebalance()
    first.warmed(AIR)
    assert first.holding.warm == first.holding.standbys
    assert second.holding.warm == frozenset()

    group.leave("b")
    group.rebalance()

    assert (first.holding.standbys, first.holding.warm) == (frozenset(),) * 2
    assert first.holding.owned == set(AIR)


def test_the_generation_is_that_of_the_last_assignment():
    group = Group({"air": 4})
    member = group.join("a")
    assert Holding.from_bytes(member.metadata(["air"]).user_data) == Holding()

    group.rebalance()
    group.rebalance()

    told = Holding.from_bytes(member.metadata(["air"]).user_data)
    assert told == Holding(2, frozenset(AIR))


# -- where members answer ---------------------------------------------------------------------

FORMER = b'{"version":1,"generation":3,"owned":{"air":[0]},"standbys":{},"warm":{}}'


def test_all_learn_where_the_owner_of_each_partition_answers():
    group = Group({"air": 4})
    first, second, silent = group.join("a"), group.join("b"), group.join("c")
    first.advertise("10.0.0.1:9464")
    second.advertise("[fd00::2]:9464")
    group.rebalance()

    expected = dict.fromkeys(first.holding.owned, "10.0.0.1:9464")
    expected |= dict.fromkeys(second.holding.owned, "[fd00::2]:9464")
    assert first.addresses == second.addresses == silent.addresses == expected
    assert len(expected) == 4 - len(silent.holding.owned)

    group.leave("b")
    group.rebalance()
    assert set(first.addresses.values()) == {"10.0.0.1:9464"}


def test_an_address_survives_what_else_a_member_learns():
    group = Group({"air": 4}, standbys=1)
    member = group.join("a")
    member.advertise("pod-1:80")
    group.rebalance()
    group.warm_all()

    assert Holding.from_bytes(member.metadata(["air"]).user_data).address == "pod-1:80"
    assert Holding.from_bytes(Holding(address="pod-1:80").to_bytes()) == Holding(address="pod-1:80")


def test_without_an_address_a_member_tells_what_a_former_one_told():
    assert holding(3, [0]).to_bytes() == FORMER
    assert Holding.from_bytes(FORMER) == holding(3, [0])

    group = Group({"air": 1})
    group.join("a")
    (told,) = group.members["a"].assign(group.cluster, group.metadata()).values()
    assert told.user_data == b'{"version":1,"standbys":{}}'


def test_a_former_leader_tells_nobody_where_the_others_are():
    group = Group({"air": 1})
    member = group.join("a")
    member.advertise("pod-1:80")
    group.rebalance()
    assert len(member.addresses) == 1

    former = ConsumerProtocolMemberAssignment(0, [("air", [0])], b'{"version":1,"standbys":{}}')
    member.on_assignment(former)

    assert member.addresses == {}
    assert member.holding.owned == {AIR[0]}


@pytest.mark.parametrize(
    "address",
    [
        *("pod-1", ":80", "pod-1:", "pod-1:x", "http://pod-1:80", "pod-1:80/path", "pod-1:80@evil"),
        *(
            "a b:80",
            "pod-1:80\r\nX: y",
            "pod-1:80?",
            "user@pod-1:80",
            "[::1",
            "é:80",
            7,
            None,
            ["a:1"],
        ),
        *("a" * 256 + ":80", "pod-1:800000", ""),
    ],
)
def test_what_is_no_address_is_none(address):
    told = json.dumps({"version": 1, "generation": 1, "address": address}).encode()
    assert Holding.from_bytes(told) == Holding(1)

    members = [{"address": address, "owned": {"air": [0]}}, {"owned": {"air": [0]}}, None, 7]
    for damaged in (members, {"a": 1}, "pod-1:80", None):
        member = StandbyAssignor(0)
        data = json.dumps({"version": 1, "standbys": {}, "members": damaged}).encode()
        member.on_assignment(ConsumerProtocolMemberAssignment(0, [("air", [0])], data))
        assert member.addresses == {}
        assert member.holding.owned == {AIR[0]}


def test_what_is_told_stays_small_enough_for_the_brokers():
    group = Group({"air": 2000})
    for number in range(150):
        group.join(f"m{number}").advertise(f"member-{number}.example.org:9464")
    told = group.members["m0"].assign(group.cluster, group.metadata())

    assert sum(len(each.encode()) for each in told.values()) < 500_000
    assert all(b"example.org" not in each.user_data for each in told.values())
