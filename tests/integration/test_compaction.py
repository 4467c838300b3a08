"""A changelog under compaction: it grows with the keys, not with the events, and restores alike."""

import re

from tests.support.cluster import Message
from tests.support.job import ALPHA, EPOCH_MS
from tests.support.oracle import expected_outputs, parsed
from tests.support.waiting import wait_until

LIKE_THE_MARKER = (b"\0position", b"\0configuration", b"position", b"configuration", b"\1sensor-0")
KEYS = (*(b"sensor-%d" % n for n in range(20)), *LIKE_THE_MARKER)
GONE = b"gone"
ROUNDS = 30
ROUND_MS = 100
ROW = b"\1"


def round_of(number, *more):
    """One reading of each key; `more` have one, too."""
    return [
        Message(key, b'{"value":%d.5}' % (number * (7 + i) % 13), EPOCH_MS + number * ROUND_MS)
        for i, key in enumerate((*KEYS, *more))
    ]


def rows_written(service):
    text = service.get("/metrics").body.decode()
    found = re.search(r"^stream_ewma_state_rows_written_total (\S+)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


def test_a_compacted_changelog_keeps_a_row_a_key_and_restores_the_same_state(make_job):
    job = make_job(settings={"state": {"ttl": "1s"}})
    job.cluster.configure_topic(
        job.changelog,
        message_timestamp_type="LogAppendTime",  # as `topics create` makes it
        segment_ms="100",
        min_cleanable_dirty_ratio="0.001",
        delete_retention_ms="0",
    )
    first = job.start()
    sent = []

    def more(messages):
        sent.extend(messages)
        job.produce(messages)
        job.wait_committed({0: len(sent)})  # in transactions of their own

    more(round_of(0, GONE))
    for number in range(1, ROUNDS):
        more(round_of(number))
    assert rows_written(first) == ROUNDS * len(KEYS) + 1

    def compacted():
        kept = job.cluster.read(job.changelog)
        is_gone = all(each.value is None for each in kept if each.key == ROW + GONE)
        # What was written last is not compacted: a commit or two.
        return kept if is_gone and len(kept) < 4 * len(KEYS) else []

    kept = wait_until(compacted, what=lambda: f"{len(job.cluster.read(job.changelog))} rows")
    first.stop()
    live = {each.key for each in kept if each.value is not None}
    assert live == {b"\0position", b"\0configuration", *(ROW + key for key in KEYS)}
    second = job.start()
    assert f"-0: {len(KEYS)} keys restored" in second.log
    more(round_of(ROUNDS, GONE))
    outputs = job.outputs(len(sent))

    once = expected_outputs(sent[:-1], ALPHA)
    assert parsed(outputs) == parsed(once + expected_outputs(sent[-1:], ALPHA))
