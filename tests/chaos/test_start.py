"""What a member makes of topics, offsets and state that do not fit, on the real broker."""

import pytest

from tests.support.cluster import Message
from tests.support.service import READY
from tests.support.waiting import wait_until

from .brokers import Brokers
from .configurations import ALPHA, PLAIN, SORTED, Configuration
from .conftest import MakeScene
from .fleet import Member
from .scene import Scene
from .state import state_problems, wait_committed

REFUSED = 65
EVENTS = 1_000


@pytest.fixture
def worked(brokers: Brokers, make_scene: MakeScene) -> Scene:
    """A service that has worked and has been stopped."""
    return worked_with(make_scene, brokers, SORTED)


def worked_with(make_scene: MakeScene, brokers: Brokers, configuration: Configuration) -> Scene:
    scene = make_scene(configuration, "exactly_once", seed=9, size=1, brokers=brokers, partitions=2)
    scene.chaos.start(1)
    scene.chaos.feeder.wait_sent(EVENTS)
    scene.chaos.feeder.close()
    scene.chaos.judge.wait_drained()
    wait_committed(scene.chaos.cluster, scene.chaos.group, scene.chaos.topics.input)
    assert scene.chaos.fleet.stop() == {"member-0": 0}
    return scene


def refused(scene: Scene, **sections: dict[str, object]) -> str:
    """Start a member that must refuse; answers its last line. Nothing may have been written."""
    topics = scene.chaos.topics
    cluster = scene.chaos.cluster
    before = {
        topic: cluster.partitions(topic) and cluster.end_offsets(topic) for topic in ends(scene)
    }
    member = scene.chaos.fleet.launch(**sections)
    wait_until(lambda: not member.alive or READY in member.log, timeout_s=120)
    assert READY not in member.log, member.end_of_log
    code = member.wait_exit()
    assert code == REFUSED, member.end_of_log
    assert not member.troubles()
    after = {
        topic: cluster.partitions(topic) and cluster.end_offsets(topic) for topic in ends(scene)
    }
    assert after[topics.output] == before[topics.output]
    return member.log.splitlines()[-1]


def ends(scene: Scene) -> list[str]:
    return [scene.chaos.topics.output, scene.chaos.topics.changelog]


def write_row(scene: Scene, key: bytes, value: bytes | None) -> None:
    scene.chaos.cluster.produce(scene.chaos.topics.changelog, [Message(key, value, 0)])


def goes_on(scene: Scene, **sections: dict[str, object]) -> Member:
    """Start a member that must go on where the work was left."""
    member = scene.chaos.fleet.launch(**sections).wait_ready()
    more = [  # one of the partitions has state of this key
        Message(b"sensor-0", b'{"value":1}', 1_800_000_000_000, partition=partition)
        for partition in range(scene.chaos.partitions)
    ]
    scene.chaos.cluster.produce(scene.chaos.topics.input, more)
    scene.chaos.judge.wait_drained()
    assert not scene.chaos.judge.differences
    return member


def test_more_partitions_than_the_state_was_kept_for(worked: Scene) -> None:
    chaos = worked.chaos
    for topic in (
        chaos.topics.input,
        chaos.topics.output,
        chaos.topics.changelog,
        chaos.topics.dead,
    ):
        chaos.cluster.grow_topic(topic, 4)

    line = refused(worked)

    assert "has 4 partitions, and had 2" in line
    assert "--state.repartition rebuild" in line


def test_a_topic_that_was_created_anew(worked: Scene) -> None:
    chaos = worked.chaos
    ends = chaos.cluster.end_offsets(chaos.topics.input)
    chaos.cluster.delete_topic(chaos.topics.input)
    chaos.cluster.create_topic(chaos.topics.input, partitions=2)
    others = [
        Message(b"other", b'{"value":1}', 0, partition=p)
        for p, end in ends.items()
        for _ in range(end)
    ]
    chaos.cluster.produce(chaos.topics.input, others)  # by its offsets it could be the same one

    line = refused(worked)

    assert "deleted and created anew" in line
    assert "state reset" in line


def test_a_changelog_that_was_deleted(worked: Scene) -> None:
    chaos = worked.chaos
    chaos.cluster.delete_topic(chaos.topics.changelog)
    chaos.cluster.create_topic(chaos.topics.changelog, partitions=2, cleanup_policy="compact")

    line = refused(worked)

    assert "holds no state" in line
    assert "on_loss accept" in line


def test_offsets_ahead_of_the_state(worked: Scene) -> None:
    """As if the end of the changelog were lost: what came after it would be applied twice."""
    chaos = worked.chaos
    position = rows(worked)[b"\x00position"]
    write_row(worked, b"\x00position", position.replace(b'"next_offset":', b'"next_offset":1'))
    assert rows(worked)[b"\x00position"] != position
    earlier = position.replace(
        b'"next_offset":' + str(chaos.cluster.end_offsets(chaos.topics.input)[0]).encode(),
        b'"next_offset":7',
    )
    write_row(worked, b"\x00position", earlier)

    line = refused(worked)

    assert "ahead of the kept state" in line
    assert "state reset" in line


def test_records_that_retention_removed_unread(worked: Scene) -> None:
    chaos = worked.chaos
    chaos.cluster.produce(
        chaos.topics.input,
        [Message(b"sensor-0", b'{"value":1}', 0, partition=p) for p in (0, 1) for _ in range(9)],
    )
    end = chaos.cluster.end_offsets(chaos.topics.input)
    chaos.cluster.delete_records(chaos.topics.input, {p: at - 2 for p, at in end.items()})

    line = refused(worked)

    assert "retention removed 7 records unread" in line
    assert "on_gap" in line


def test_a_row_that_a_newer_version_wrote(worked: Scene) -> None:
    write_row(worked, b"\x01sensor-0", b"\x02something else")

    line = refused(worked)

    assert "newer" in line


def test_a_record_that_belongs_to_nothing_known(worked: Scene) -> None:
    write_row(worked, b"\x07what", b"ever")

    assert "no known kind" in refused(worked)


def test_an_undisturbed_service_goes_on(worked: Scene) -> None:
    member = goes_on(worked)

    assert "restored" in member.log
    chaos = worked.chaos
    assert not state_problems(chaos.cluster, chaos.group, chaos.topics, chaos.judge.oracles)


def test_offsets_that_are_gone(worked: Scene) -> None:
    worked.chaos.cluster.delete_group(worked.chaos.group)

    member = goes_on(worked)

    assert "the group has no offset" in member.log


def test_another_alpha_counts_from_where_the_state_stands(
    brokers: Brokers, make_scene: MakeScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = worked_with(make_scene, brokers, PLAIN)
    monkeypatch.setattr("tests.chaos.configurations.ALPHA", ALPHA / 2)

    goes_on(scene, smoothing={"alpha": ALPHA / 2})


def test_an_output_topic_that_is_deleted_ends_the_service(
    brokers: Brokers, make_scene: MakeScene
) -> None:
    gone_while_running(make_scene, brokers, "output")


def test_a_changelog_that_is_deleted_ends_the_service(
    brokers: Brokers, make_scene: MakeScene
) -> None:
    gone_while_running(make_scene, brokers, "changelog")


def gone_while_running(make_scene: MakeScene, brokers: Brokers, role: str) -> None:
    scene = make_scene(PLAIN, "exactly_once", seed=11, size=1, brokers=brokers, partitions=2)
    scene.chaos.start(1)
    scene.chaos.feeder.wait_sent(500)
    (member,) = scene.chaos.fleet.members
    scene.chaos.cluster.delete_topic(getattr(scene.chaos.topics, role))

    assert member.wait_exit() != 0
    assert not member.troubles()
    assert getattr(scene.chaos.topics, role) in member.log.splitlines()[-1]


def rows(scene: Scene) -> dict[bytes, bytes]:
    """What the changelog's first partition holds."""
    found = scene.chaos.cluster.read(scene.chaos.topics.changelog)
    return {each.key or b"": each.value or b"" for each in found if each.partition == 0}
