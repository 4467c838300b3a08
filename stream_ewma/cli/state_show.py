"""`state get` and `state list`: what is kept of keys, for people and for jq."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import orjson

from stream_ewma.cli.recorded import Progress, printable
from stream_ewma.cli.tables import counted
from stream_ewma.engine.quantities import quantities
from stream_ewma.engine.stored import Rows, StoredPartition, key_bytes, key_text
from stream_ewma.files.states import as_documents
from stream_ewma.kafka.admin import group_admin, partition_of
from stream_ewma.kafka.kept import OnRead, kept_state
from stream_ewma.kafka.partition import Partition
from stream_ewma.settings import Settings

_NOT_FOUND = 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which keys to list.

    Attributes:
        pattern: what they must match; None: anything.
        limit: how many at most; None: all.
    """

    pattern: str | None
    limit: int | None


async def get(settings: Settings, topics: Sequence[str], text: str) -> int:
    """Print the state of a key, of each topic that has it; 1 if none has.

    Raises:
        StreamEwmaError: the state cannot be read.
    """
    key = key_bytes(text)
    searched = found = 0
    async with group_admin(settings) as admin, kept_state(settings, progress()) as kept:
        for name in topics:
            topic = await admin.topic(name)
            likely = Partition(name, partition_of(key, topic.kept))
            for partition in sorted(topic.kept_partitions, key=lambda each: each != likely):
                stored = await kept.read(partition, [key])
                searched += 1
                if stored is not None and len(stored):
                    (document,) = documents(stored)
                    sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2))
                    sys.stdout.buffer.write(b"\n")
                    found += 1
                    break
    if found:
        return 0
    where = f"{', '.join(topics)}: {counted(searched, 'partition')} searched"
    sys.stderr.write(f"{printable(text)}: there is no state of this key ({where})\n")
    return _NOT_FOUND


async def list_keys(settings: Settings, topics: Sequence[str], wanted: Wanted) -> int:
    """Print one JSON line for each key.

    Raises:
        StreamEwmaError: the state cannot be read.
    """
    left = wanted.limit
    async with group_admin(settings) as admin, kept_state(settings, progress()) as kept:
        for name in topics:
            for partition in (await admin.topic(name)).kept_partitions:
                if left == 0:
                    return 0
                stored = await kept.read(partition)
                if stored is None:
                    continue
                for document in documents(stored, wanted.pattern):
                    sys.stdout.buffer.write(orjson.dumps(document) + b"\n")
                    left = None if left is None else left - 1
                    if left == 0:
                        return 0
    return 0


def documents(stored: StoredPartition, pattern: str | None = None) -> Iterator[dict[str, object]]:
    """Each key with its quantities, and where it belongs."""
    marker = stored.head.marker
    for some in stored.rows():
        rows = some if pattern is None else _matching(some, pattern)
        first = [
            {
                "key": key_text(key),
                "topic": marker.topic,
                "partition": marker.partition,
                "next_offset": marker.next_offset,
            }
            for key in rows.keys
        ]
        columns = quantities(stored.head.configuration, rows.keys, rows.words)
        yield from as_documents(columns, first)


def progress() -> OnRead:
    """Signs of life on standard error while much is read."""
    line = Progress("records read", enabled=not sys.stdout.isatty())
    return lambda count: line.show(count, None)


def _matching(rows: Rows, pattern: str) -> Rows:
    places = [place for place, key in enumerate(rows.keys) if fnmatchcase(key_text(key), pattern)]
    return rows.take(places)
