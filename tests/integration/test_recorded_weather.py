"""Real recorded readings through the real broker and service, judged by pandas."""

import json

import pandas as pd
import pytest
from vega_datasets import data

from tests.support.cluster import Message

CITIES = {"seattle": data.seattle_temps, "san-francisco": data.sf_temps}


@pytest.fixture(scope="module")
def weather():
    """Hourly temperatures of a year in two cities, as one stream in the order of their hours."""
    frames = [load().assign(city=city) for city, load in CITIES.items()]
    joined = pd.concat(frames).sort_values(["date", "city"], kind="stable", ignore_index=True)
    assert len(joined) == 17_518
    return joined


def as_messages(frame):
    times = frame.date.to_numpy().astype("datetime64[ms]").astype(int).tolist()
    return [
        Message(
            city.encode(),
            json.dumps({"value": temperature, "timestamp": time}).encode(),
            time,
            partition=list(CITIES).index(city),
        )
        for city, temperature, time in zip(frame.city, frame.temp.tolist(), times, strict=True)
    ]


@pytest.mark.parametrize(
    ("smoothing", "pandas_ewm"),
    [
        ({"alpha": 0.05}, lambda one: one.temp.ewm(alpha=0.05, adjust=False)),
        ({"span": 24}, lambda one: one.temp.ewm(span=24, adjust=False)),
        ({"half_life": "12h"}, lambda one: one.temp.ewm(halflife="12h", times=one.date)),
    ],
    ids=["alpha", "span", "half_life"],
)
def test_every_hour_equals_pandas(make_job, weather, smoothing, pandas_ewm):
    job = make_job(partitions=2, settings={"smoothing": smoothing})
    job.produce(as_messages(weather))

    service = job.start()
    job.outputs(len(weather))
    service.stop()
    outputs = job.cluster.read(job.output)

    assert len(outputs) == len(weather)
    for partition, city in enumerate(CITIES):
        one = weather[weather.city == city].reset_index(drop=True)
        got = pd.DataFrame([json.loads(m.value) for m in outputs if m.partition == partition])
        times = one.date.to_numpy().astype("datetime64[ms]").astype(int)
        assert got.timestamp.tolist() == times.tolist()
        assert got.value.tolist() == one.temp.tolist()
        assert got["count"].tolist() == list(range(1, len(one) + 1))
        expected = pandas_ewm(one).mean()
        assert ((got.ewma - expected).abs() <= 1e-12 * expected.abs()).all()
