"""The mathematics through the real broker and service, judged by pandas and by plain arithmetic."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from vega_datasets import data

from tests.support.cluster import Message
from tests.support.job import EPOCH_MS

N = 4000


def seattle() -> pd.DataFrame:
    """Hourly temperatures; every seventh is missing."""
    frame = data.seattle_temps().head(N).copy()
    frame["temp"] = frame.temp.astype(float)
    frame.loc[frame.index % 7 == 3, "temp"] = np.nan
    frame["ms"] = frame.date.to_numpy().astype("datetime64[ms]").astype(int)
    return frame


def as_messages(frame: pd.DataFrame) -> list[Message]:
    return [
        Message(
            b"seattle",
            json.dumps({"value": None if math.isnan(x) else x, "timestamp": ms}).encode(),
            ms,
        )
        for x, ms in zip(frame.temp.tolist(), frame.ms.tolist(), strict=True)
    ]


def smoothed(job, messages: list[Message], count: int) -> list[dict]:
    job.produce(messages)
    service = job.start()
    job.outputs(count)
    service.stop()
    outputs = job.cluster.read(job.output)
    assert len(outputs) == count
    return [json.loads(each.value) for each in outputs]


def assert_same(got: list[object], expected: pd.Series) -> None:
    ours = pd.Series([np.nan if x is None else float(x) for x in got])
    np.testing.assert_allclose(ours, expected.to_numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("adjust", [True, False])
@pytest.mark.parametrize("ignore_na", [True, False])
def test_mean_and_spread_equal_pandas_over_gaps(make_job, adjust, ignore_na):
    smoothing = {
        "span": 12,
        "adjust": adjust,
        "ignore_na": ignore_na,
        "min_periods": 5,
        "outputs": ["ewma", "variance", "std", "count"],
    }
    job = make_job(settings={"smoothing": smoothing, "input": {"on_null": "hold"}})
    frame = seattle()

    got = smoothed(job, as_messages(frame), len(frame))

    theirs = frame.temp.ewm(span=12, adjust=adjust, ignore_na=ignore_na, min_periods=5)
    assert_same([each["ewma"] for each in got], theirs.mean())
    assert_same([each["variance"] for each in got], theirs.var())
    assert_same([each["std"] for each in got], theirs.std())
    assert [each["count"] for each in got] == frame.temp.notna().cumsum().tolist()


def test_two_factors_of_event_time_and_their_difference_equal_pandas(make_job):
    smoothing = {
        "factors": {"fast": {"half_life": "6h"}, "slow": {"half_life": "168h"}},
        "outputs": ["ewma", "fast-slow"],
    }
    job = make_job(settings={"smoothing": smoothing})
    frame = seattle().dropna().reset_index(drop=True)

    got = smoothed(job, as_messages(frame), len(frame))

    fast, slow = (frame.temp.ewm(halflife=h, times=frame.date).mean() for h in ("6h", "168h"))
    assert_same([each["ewma_fast"] for each in got], fast)
    assert_same([each["ewma_slow"] for each in got], slow)
    assert_same([each["fast-slow"] for each in got], fast - slow)


def test_values_of_one_record_enriched_and_a_sensor_that_fell_silent(make_job):
    job = make_job(
        settings={
            "input": {"values": {"temp": "f.t", "hum": "f.h"}},
            "smoothing": {"alpha": 0.5, "outputs": ["ewma"], "stale_after": "1m"},
            "output": {"shape": "enrich"},
        }
    )
    values = [
        (b"a", b'{"f": {"t":1,"h":50}, "id":"\\u00e4" }'),
        (b"b", b'{"f":{"t":5}}'),
        (b"a", b'{"f":{"t":2,"h":60}}'),
    ]
    times = [EPOCH_MS, EPOCH_MS + 10_000, EPOCH_MS + 100_000]
    job.produce([Message(key, v, t) for (key, v), t in zip(values, times, strict=True)])

    job.start()
    outputs = job.outputs(4)

    assert [each.value for each in outputs] == [
        b'{"f": {"t":1,"h":50}, "id":"\\u00e4" ,"temp_ewma":1.0,"hum_ewma":50.0}',
        b'{"f":{"t":5},"temp_ewma":5.0,"hum_ewma":null}',
        b'{"f":{"t":2,"h":60},"temp_ewma":1.5,"hum_ewma":55.0}',
        b'{"key":"b","timestamp":%d,"temp":null,"hum":null,"temp_ewma":5.0,"hum_ewma":null,'
        b'"stale":true}' % times[2],
    ]
    assert (outputs[3].key, outputs[3].timestamp, outputs[3].headers) == (b"b", times[2], ())
