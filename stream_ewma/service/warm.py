"""Loading the compiled kernels before the first record arrives (`python -m` compiles them all)."""

import asyncio
import struct
import threading
from contextlib import suppress
from itertools import product
from typing import get_args

import numpy as np

from stream_ewma.columns import Spans, as_bytes
from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.task import PartitionTask
from stream_ewma.payloads import InputFormat, OutputFormat, decoder, encoder
from stream_ewma.payloads.columns import ReadingOptions, WritingOptions
from stream_ewma.records.compression import Compression
from stream_ewma.records.fetched import split_runs
from stream_ewma.records.writer import encode
from stream_ewma.smoothing.mode import Mode
from stream_ewma.smoothing.outputs import Output, Quantity
from stream_ewma.smoothing.parameters import Factor, KeyRules, Rule

_THREAD = "stream-ewma-warm-up"

_VALUES = (
    b'{"sensor":"a","timestamp":1767225600123,"value":21.7351}',
    b'{"value":-0.1234567890123456789e-5,"timestamp":"2026-01-01T00:00:00Z"}',
    b"42",
    struct.pack(">d", 21.5),
    struct.pack(">f", 21.5),
    b"no reading",
    None,
)


def warm_up(config: TaskConfig) -> None:
    """Run every kernel that `config` uses once, on a few records of each kind."""
    values = Spans.of(list(_VALUES) * 2)
    n = len(values)
    # Two lengths take both ways through the comparison of keys, the quote is to be escaped.
    kinds: list[bytes | None] = [b"k", b"longer-than-a-word", b'"']
    keys = Spans.of((kinds * n)[:n])
    nothing = Spans(as_bytes(b""), np.zeros(n, np.int32), np.zeros(n, np.int32))
    batches = encode(
        np.full(n, 1_767_225_600_000, np.int64),
        keys,
        values,
        nothing,
        np.zeros(n, np.int32),
        max_batch_bytes=1 << 20,
        compression=Compression.NONE,
    )
    data = b"".join(batch.to_bytes(-1, -1, -1, False) for batch in batches)
    task = PartitionTask("warm-up", 0, 0, config, (0, 0))
    # So far on that keys without a reading are looked for and released, though there are none.
    far = split_runs((1 << 40).to_bytes(8, "big") + data[8:])
    for batch in task.process(split_runs(data)).batches:
        batch.encoded.to_bytes(-1, -1, -1, False)
    task.look_up([b"k", b"nobody"])
    task.page(b"k", 0, 1, 1)
    if config.durable:
        kept = b"".join(batch.to_bytes(-1, -1, -1, False) for batch in task.cut().batches)
        restored = PartitionTask("warm-up", 0, 0, config, (0, 0))
        restored.restore(split_runs(kept))
        restored.restored()
    task.process(far)


async def warm(config: TaskConfig) -> None:
    """Run `warm_up` beside the event loop; whoever stops waiting need not wait for its end.

    The first start compiles for many seconds and cannot be interrupted: a daemon thread, which
    does not keep the process from ending.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def report(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def work() -> None:
        error: BaseException | None = None
        try:
            warm_up(config)
        except BaseException as raised:  # noqa: BLE001  it is raised where it is awaited
            error = raised
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(report, error)

    threading.Thread(target=work, name=_THREAD, daemon=True).start()
    await done


def is_warming() -> bool:
    """Whether a warm-up goes on that nobody waits for any more.

    Python must not be taken down under a thread that compiles: such a process ends by `os._exit`.
    """
    return any(thread.name == _THREAD for thread in threading.enumerate())


def main() -> None:
    """Compile the kernels of all formats, both clocks and every mode into the cache."""
    rules = KeyRules(Factor(alpha=0.1), [Rule("k", Factor(half_life=1000))])
    for read, write in product(get_args(InputFormat), get_args(OutputFormat)):
        warm_up(TaskConfig(decoder(read, ReadingOptions()), encoder(write), rules, durable=True))
    json = decoder("json", ReadingOptions()), encoder("json", WritingOptions(shape="enrich"))
    outputs = (Output("ewma", Quantity.EWMA), Output("std", Quantity.STD))
    warm_up(TaskConfig(*json, rules, Mode(stale=True), outputs, stale_after_ms=1, enriches=True))


if __name__ == "__main__":
    main()
