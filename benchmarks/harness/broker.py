"""The broker that the benchmarks run on: the tests' own real one, or one that is named."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.broker import RealBroker  # noqa: E402  found through the line above

# The tests' brokers compact topics all the time. And each time a log is compacted the broker clears
# all of this buffer, by default 128 MiB: hundreds of small logs would keep a core busy with it.
COMPACTION: Final = {
    "log.cleaner.backoff.ms": "15000",
    "log.cleaner.min.cleanable.ratio": "0.5",
    "log.cleaner.dedupe.buffer.size": str(4 << 20),
}


@contextmanager
def broker(bootstrap: str | None) -> Iterator[str]:
    """Yield the address of a broker: `bootstrap`, or a new one that ends with the block."""
    if bootstrap is not None:
        yield bootstrap
        return
    with RealBroker(heap="1g", settings=COMPACTION) as started:
        yield started.bootstrap
