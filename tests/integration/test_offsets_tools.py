"""`stream-ewma offsets` on the real broker: how far the group is, and past what cannot be read."""

import json
import re

from tests.integration.test_corrupt_batch import HEADER_BYTES, job_on
from tests.support.job import readings
from tests.support.tools import Application


def shown(app):
    """The table by partition, as words."""
    header, *rows = app.do("offsets", "show").splitlines()
    assert header.split() == ["topic", "partition", "group", "state", "start", "end", "lag", "note"]
    assert {row.index("  ") for row in rows} == {len(app.topic)}
    return {int(cells[1]): cells[2:] for cells in (re.split(r"\s{2,}", row) for row in rows)}


def test_a_parked_partition_is_shown_and_led_past_its_batch(
    make_job, own_broker, broken_batches, tmp_path
):
    job = job_on(make_job, own_broker)
    app = Application(job, tmp_path)
    sent = readings(300, keys=30, partitions=3)
    for first in range(0, 300, 100):
        job.produce(sent[first : first + 100], linger_ms=500)
    own = [m for m in sent if m.partition == 1]
    bad_from, bad_to = (sum(m in own for m in sent[:end]) for end in (100, 200))
    broken_batches(job.topic, 1, 1, HEADER_BYTES + 20, 0x01)
    service = app.start()
    job.wait_committed({0: 100, 1: bad_from, 2: 100})
    assert "1 member" in app.refused(75, "offsets", "skip", job.topic, "1", str(bad_to))
    service.stop()

    table = shown(app)

    assert table[0] == ["100", "100", "0", "100", "0"]
    assert table[1][:5] == [str(bad_from), str(bad_from), "0", "100", str(100 - bad_from)]
    command = f"stream-ewma offsets skip {job.topic} 1 {bad_to}"
    assert table[1][5].startswith(f"cannot be read at {bad_from}: ")
    assert table[1][5].endswith(f"; to go on: {command}")

    rows = app.rows
    told = app.do(*command.split()[1:])

    passed = f"offsets {bad_from} to {bad_to - 1} will not be read"
    assert told == f"{job.topic}-1: goes on at {bad_to}; {passed}\n"
    assert app.rows == rows
    assert app.markers[1]["next_offset"] == bad_to
    assert app.committed[1] == bad_to
    service = app.start()
    outputs = job.cluster.wait_for(job.output, 300 - (bad_to - bad_from))
    service.stop()
    last = {m.key: json.loads(m.value)["count"] for m in outputs if m.partition == 1}
    read = [m for m in own if not bad_from <= own.index(m) < bad_to]
    assert last == {m.key: sum(each.key == m.key for each in read) for m in read}


def test_a_partition_goes_forward_only_and_not_beyond_its_end(make_job, tmp_path):
    job = make_job(partitions=2)
    app = Application(job, tmp_path)
    service = app.start()
    job.produce(readings(100, partitions=2))
    job.outputs(100)
    service.stop()
    before, offsets = app.kept, app.committed

    for offset, words in (
        ("49", "stands at 50: going back to 49 would apply readings twice"),
        ("50", "stands at 50 already; nothing was changed"),
        ("51", "ends at 50; there is nothing to skip"),
    ):
        said = app.refused(65, "offsets", "skip", job.topic, "1", offset)
        assert said.startswith(f"{job.topic}-1: ")
        assert words in said
    assert "its partitions are 0 to 1" in app.refused(73, "offsets", "skip", job.topic, "2", "1")

    assert (app.kept, app.committed) == (before, offsets)


def test_what_was_never_read_can_be_skipped(make_job, tmp_path):
    job = make_job(partitions=2)
    app = Application(job, tmp_path)
    job.produce(readings(100, partitions=2))
    assert shown(app)[1] == ["-", "-", "0", "50", "50", "never read"]

    app.do("offsets", "skip", job.topic, "1", "40")

    assert app.committed == {1: 40}
    assert shown(app)[1] == ["40", "40", "0", "50", "10"]
    service = app.start()
    outputs = job.outputs(60)
    service.stop()
    assert sum(m.partition == 1 for m in outputs) == 10


def test_what_does_not_fit_is_noted(make_job, tmp_path):
    job = make_job(partitions=2)
    app = Application(job, tmp_path)
    service = app.start()
    job.produce(readings(100, partitions=2))
    job.outputs(100)
    service.stop()

    job.produce(readings(20, partitions=2, first=100))
    job.cluster.delete_records(job.topic, {0: 55})
    job.cluster.commit(app.group, job.topic, {1: 45})

    assert shown(app) == {
        0: ["50", "50", "55", "60", "5", "retention removed 5 records unread"],
        1: ["45", "50", "0", "60", "10", "the group is behind the state, which counts"],
    }
    job.cluster.commit(app.group, job.topic, {1: 55})
    assert shown(app)[1][5] == "the group is ahead of the state: the changelog has lost records"


def test_without_durable_state_the_groups_offset_is_moved(make_job, tmp_path):
    job = make_job(partitions=2, settings={"state": {"durable": False}})
    app = Application(job, tmp_path)
    job.produce(readings(100, partitions=2))

    app.do("offsets", "skip", job.topic, "1", "40")

    assert (app.committed, app.kept) == ({1: 40}, {})
    assert shown(app)[1] == ["40", "-", "0", "50", "10"]
