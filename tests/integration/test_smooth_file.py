"""The same records through the service and through `stream-ewma smooth`: the same numbers."""

import json
import subprocess
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from vega_datasets import data

from tests.support.cluster import Message
from tests.support.job import EPOCH_MS
from tests.support.service import COMMAND, clean_environment

CITIES = {"seattle": data.seattle_temps, "san-francisco": data.sf_temps}
SMOOTHINGS = [
    {"alpha": 0.05},
    {"span": 24, "rules": [{"keys": "san-*", "alpha": 0.5}]},
    {"half_life": "12h"},
]


@pytest.fixture(scope="module")
def weather() -> pd.DataFrame:
    """Hourly temperatures of a year in two cities, as one stream in the order of their hours."""
    frames = [load().assign(city=city) for city, load in CITIES.items()]
    joined = pd.concat(frames).sort_values(["date", "city"], kind="stable", ignore_index=True)
    return joined[["city", "date", "temp"]]


def smooth(folder: Path, *arguments: str) -> bytes:
    """What the command writes; it must end well."""
    done = subprocess.run(
        [str(COMMAND), "smooth", *arguments],
        check=False,
        capture_output=True,
        cwd=folder,
        env=clean_environment(),
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def published(make_job, messages: list[Message], **settings) -> tuple[list[bytes], Path]:
    """The values that the service publishes for `messages`, and its settings file."""
    job = make_job(settings=settings)
    job.produce(messages)
    service = job.start()
    outputs = job.outputs(len(messages))
    service.stop()
    file = service.log_file.with_name("smooth.yaml")
    file.write_text(yaml.safe_dump(job.settings, sort_keys=False))
    return [each.value for each in outputs], file


@pytest.mark.parametrize("smoothing", SMOOTHINGS, ids=["alpha", "rules", "half_life"])
def test_weather_in_every_format_has_the_services_numbers(make_job, weather, tmp_path, smoothing):
    times = weather.date.to_numpy().astype("datetime64[ms]").astype(int).tolist()
    rows = list(zip(weather.city, times, weather.temp.tolist(), strict=True))
    messages = [
        Message(city.encode(), json.dumps({"value": x, "timestamp": time}).encode(), time)
        for city, time, x in rows
    ]
    values, settings = published(make_job, messages, smoothing=smoothing)
    (tmp_path / "temps.jsonl").write_text(
        "".join(json.dumps({"key": c, "value": x, "timestamp": t}) + "\n" for c, t, x in rows)
    )
    weather.to_csv(tmp_path / "temps.csv", index=False)
    weather.to_parquet(tmp_path / "temps.parquet", index=False)
    columns = ("--key", "city", "--time", "date", "--value", "temp", "--utc")
    config = ("--config", str(settings))

    lines = smooth(tmp_path, "temps.jsonl", *config)
    as_lines = {
        name: smooth(tmp_path, name, *config, *columns, "--to", "jsonl")
        for name in ("temps.csv", "temps.parquet")
    }
    smooth(tmp_path, "temps.csv", *config, *columns, "--output", "out.csv")
    smooth(tmp_path, "temps.parquet", *config, *columns, "--output", "out.parquet")

    assert lines == b"".join(value + b"\n" for value in values)
    assert as_lines == {"temps.csv": lines, "temps.parquet": lines}
    means = [json.loads(value)["ewma"] for value in values]
    original = (tmp_path / "temps.csv").read_text().splitlines()
    out = [line.rsplit(",", 2) for line in (tmp_path / "out.csv").read_text().splitlines()]
    assert [row for row, _, _ in out] == original
    assert [float(mean) for _, mean, _ in out[1:]] == means
    table = pq.read_table(tmp_path / "out.parquet")
    assert table["ewma"].to_pylist() == means
    assert table.column_names == ["city", "date", "temp", "ewma", "count"]


MODES = {
    "factors": {"fast": {"half_life": "6h"}, "slow": {"half_life": "168h"}},
    "outputs": ["ewma", "std", "zscore", "trend", "limits", "fast-slow", "n_eff", "count"],
    "limits": {"baseline": 100},
    "outliers": {"deviations": 4},
    "min_n_eff": 3,
    "warm_up": "flag",
    "stale_after": "3h",
    "reset_daily": "06:00 America/Los_Angeles",
}


def test_every_mode_on_lines_has_the_services_bytes(make_job, weather, tmp_path):
    """Every fifth hour of one city is left out, so that it falls silent again and again."""
    rows = weather[(weather.city != "seattle") | (weather.index % 17 < 12)]
    times = rows.date.to_numpy().astype("datetime64[ms]").astype(int).tolist()
    sent = list(zip(rows.city, times, rows.temp.tolist(), strict=True))
    job = make_job(settings={"smoothing": MODES})
    job.produce(
        [
            Message(city.encode(), json.dumps({"value": x, "timestamp": time}).encode(), time)
            for city, time, x in sent
        ]
    )
    service = job.start()
    job.wait_committed({0: len(sent)})
    service.stop()
    values = [each.value for each in job.cluster.read(job.output)]
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump(job.settings, sort_keys=False))
    (tmp_path / "temps.jsonl").write_text(
        "".join(json.dumps({"key": c, "value": x, "timestamp": t}) + "\n" for c, t, x in sent)
    )

    lines = smooth(tmp_path, "temps.jsonl", "--config", str(settings))

    assert lines == b"".join(value + b"\n" for value in values)
    assert len(values) > len(sent)
    assert sum(b'"stale":true' in value for value in values) == len(values) - len(sent)


def test_lines_of_every_kind_have_the_services_bytes(make_job, tmp_path):
    texts = [
        b'{"id":"a","t":1767225600000,"v":{"x":1.50}}',
        b'{"id":7,"t":"2026-01-01T00:00:01.5+01:00","v":{"x":-0.0}}',
        b'{"id":"a","t":1767225601000,"v":{"x":"2e-3"}}',
        b'{"v":{"x":12345678901234567890},"t":1767225603000,"id":"a"}',
        b'{"id":"\\u00e9 \\"quoted\\"","t":1767225604000,"v":{"x":0.1}}',
        b'{"id":"a","t":1767225605000,"v":{"x":null}}',
        b'{"id":"a","t":1767225605000,"v":{"x":1e300,"y":[1,{"x":2}]}}',
    ]
    bad = [
        b'{"id":"a","t":1767225605000,"v":{"x":NaN}}',
        b"{",
        b'{"id":"a","t":"noon","v":{"x":1}}',
    ]
    reading = {
        "value": "v.x",
        "timestamp": "t",
        "key": "id",
        "copartitioned": True,
        "coerce_strings": True,
        "on_null": "hold",
    }
    job = make_job(settings={"input": reading, "smoothing": {"half_life": "2s"}})
    job.produce([Message(b"any", text, EPOCH_MS + 9000) for text in [*bad, *texts]])
    job.start()
    values = [each.value for each in job.outputs(len(texts))]
    dead = job.dead_letters(len(bad))
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job.settings))
    (tmp_path / "in.jsonl").write_bytes(b"\n".join([*bad, *texts]))

    out = smooth(tmp_path, "in.jsonl", "--config", "job.yaml", "--rejected", "bad.jsonl")

    assert out.splitlines() == values
    rejected = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    reasons = [dict(each.headers)["__stream_ewma.errors.reason"].decode() for each in dead]
    assert [each["reason"] for each in rejected] == reasons
    assert [each["row"].encode() for each in rejected] == [each.value for each in dead]
