"""Whether what is kept agrees: rows, marker, group offset, and no transaction left open."""

import json
from collections.abc import Sequence

from tests.support.cluster import by_partition
from tests.support.waiting import wait_until

from .judge import Topics
from .oracle import PartitionOracle
from .patience import PatientCluster
from .tape import wait_settled

POSITION_KEY = b"\x00position"
ROW_PREFIX = b"\x01"
ROW_VERSION = b"\x01"
COMMIT_S = 60.0
SETTLE_S = 40.0


def wait_committed(
    cluster: PatientCluster, group: str, topic: str, timeout_s: float = COMMIT_S
) -> None:
    """Wait until the group has committed all that the input holds."""
    ends = cluster.end_offsets(topic)
    wait_until(
        lambda: cluster.committed(group, topic) == ends,
        timeout_s=timeout_s,
        what=lambda: f"committed {cluster.committed(group, topic)}, the input has {ends}",
    )


def state_problems(
    cluster: PatientCluster, group: str, topics: Topics, oracles: Sequence[PartitionOracle]
) -> list[str]:
    """What does not agree, in words, once nothing is being written any more."""
    wait_committed(cluster, group, topics.input)
    hanging = wait_settled(
        cluster, (topics.output, topics.dead, topics.changelog), timeout_s=SETTLE_S
    )
    problems = [f"{where}: a transaction hangs: {how}" for where, how in hanging.items()]
    changelog = by_partition(cluster.read(topics.changelog))
    for oracle in oracles:
        kept: dict[bytes, bytes | None] = {}
        for record in changelog.get(oracle.partition, []):
            assert record.key is not None
            kept[record.key] = record.value
        place = f"{topics.changelog}-{oracle.partition}"
        if oracle.next_offset:
            problems += [f"{place}: {each}" for each in marker_problems(kept, topics, oracle)]
        problems += [f"{place}: {each}" for each in row_problems(kept, oracle)]
    return problems


def marker_problems(
    kept: dict[bytes, bytes | None], topics: Topics, oracle: PartitionOracle
) -> list[str]:
    """How the position marker differs from where the input ends."""
    marker = json.loads(kept.get(POSITION_KEY) or b"{}")
    wanted = {
        "next_offset": oracle.next_offset,
        "topic": topics.input,
        "partition": oracle.partition,
        "event_time": oracle.event_time,
    }
    return [
        f"the marker's {name} is {marker.get(name)}, not {value}"
        for name, value in wanted.items()
        if marker.get(name) != value
    ]


def row_problems(kept: dict[bytes, bytes | None], oracle: PartitionOracle) -> list[str]:
    """How the rows differ from the judge's state, bit for bit; an empty row may be missing."""
    problems = []
    rows = {
        key[len(ROW_PREFIX) :]: value
        for key, value in kept.items()
        if key.startswith(ROW_PREFIX) and value is not None
    }
    for key in sorted(oracle.rows.keys() | rows.keys()):
        row = oracle.rows.get(key)
        wanted = b"" if row is None else row.encoded()
        found = rows.get(key)
        if found is None:
            if any(wanted):
                problems.append(f"{key!r} has no row")
        elif found[:1] != ROW_VERSION:
            problems.append(f"{key!r} has a row of version {found[:1]!r}")
        elif (any(wanted) or any(found[1:])) and found[1:] != wanted:
            problems.append(f"{key!r} has {found[1:].hex()}, not {wanted.hex()}")
    return problems
