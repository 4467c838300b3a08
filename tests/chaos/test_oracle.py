"""The judge's own arithmetic, before it judges: against exact numbers, and against the engine."""

import random
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from stream_ewma.engine.outgoing import Destination
from stream_ewma.engine.task import PartitionTask
from stream_ewma.service.config import task_config
from stream_ewma.settings import load_settings
from tests.support.batches import Record, published, runs_of
from tests.support.cluster import Message
from tests.support.exact import decay, exactly

from .configurations import CONFIGURATIONS
from .oracle import PartitionOracle
from .power import exp2_negative, one_minus_exp2_negative
from .settings import settings_of
from .stream import CATALOGUE, Stream

TOPIC = "readings"


def test_powers_are_within_an_ulp_of_exact() -> None:
    draw = random.Random(1)
    with exactly():
        for _ in range(2_000):
            x = draw.choice((draw.uniform(0, 1), draw.uniform(0, 60), 10 ** draw.uniform(-25, 0)))
            power = decay(Decimal(x), Decimal(1))
            for got, exact in (
                (exp2_negative(x), power),
                (one_minus_exp2_negative(x), 1 - power),
            ):
                assert abs(Decimal(got) - exact) <= exact * Decimal(2) ** -52


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_engine_and_the_judge_agree_on_an_undisturbed_run(name: str, tmp_path: Path) -> None:
    records = Stream(7, partitions=1, keys=400).take(20_000)
    oracle = PartitionOracle(CONFIGURATIONS[name], TOPIC, 3)
    oracle.take_all(
        Message(m.key, m.value, m.timestamp, m.headers, 3, offset)
        for offset, m in enumerate(records)
    )
    task = engine_task(name, tmp_path)
    outputs, letters, done = [], [], 0
    for size in iter_sizes(len(records)):
        piece = records[done : done + size]
        step = task.process(
            runs_of([Record(m.key, m.value, m.timestamp, m.headers) for m in piece], done)
        )
        outputs += published(step, Destination.OUTPUT)
        letters += published(step, Destination.DEAD_LETTERS)
        done += size

    got = [(o.key, o.value, o.timestamp, tuple(o.headers.items())) for o in outputs]
    expected = [each.content for each in oracle.outputs]
    differing = [i for i, pair in enumerate(zip(got, expected, strict=False)) if pair[0] != pair[1]]
    assert not differing, (got[differing[0]], expected[differing[0]])
    assert len(got) == len(expected)
    assert [
        (o.key, o.value, o.headers["__stream_ewma.errors.reason"].decode()) for o in letters
    ] == [(each.key, each.value, each.reason) for each in oracle.dead_letters]
    reasons = {each.reason for each in oracle.dead_letters}
    assert reasons >= {*CATALOGUE.values(), "missing_key", "too_large", "future_timestamp"}
    assert "state_overflow" in reasons
    if name != "plain":
        assert "late" in reasons
        assert sum(b'"stale":true' in (o.value or b"") for o in outputs) > 100
    assert (oracle.expired > 20) == (CONFIGURATIONS[name].ttl_ms is not None)


def engine_task(name: str, folder: Path) -> PartitionTask:
    file = folder / "stream-ewma.yaml"
    settings = settings_of(
        CONFIGURATIONS[name],
        group="g",
        topic=TOPIC,
        bootstrap="127.0.0.1:9",
        guarantee="exactly_once",
    )
    file.write_text(yaml.safe_dump(settings))
    return PartitionTask(TOPIC, 3, 0, task_config(load_settings(file, env={})), (1, 2))


def iter_sizes(total: int) -> list[int]:
    draw = random.Random(3)
    sizes = []
    while total:
        sizes.append(min(total, draw.choice((1, 2, 17, 300, 2000))))
        total -= sizes[-1]
    return sizes
