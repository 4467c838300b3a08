from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from stream_ewma.demo.sources import MachineSource, SimulatedSource

START_MS = 1_767_225_600_000


def _values(source, until_ms, step_ms):
    readings = [source.read(START_MS + t) for t in range(step_ms, until_ms + 1, step_ms)]
    return tuple(
        np.concatenate([getattr(part, name) for part in readings])
        for name in ("series", "timestamp", "value")
    )


def test_simulated_readings_come_at_the_rate_in_turn_and_in_order():
    source = SimulatedSource(keys=7, rate=140.0, seed=1, start_ms=START_MS)
    series, timestamp, value = _values(source, 3_000, 100)
    assert len(series) == 420
    assert np.array_equal(series, np.arange(420) % 7)
    assert timestamp[0] == START_MS
    assert timestamp[-1] == START_MS + int(419 / 140 * 1000)
    assert (np.diff(timestamp) >= 0).all()
    assert np.isfinite(value).all()


def test_simulated_values_follow_from_the_seed_however_the_calls_cut_the_stream():
    one, *_ = (_values(SimulatedSource(5, 200.0, 3, START_MS), 2_000, 20) for _ in range(1))
    other = _values(SimulatedSource(5, 200.0, 3, START_MS), 2_000, 1_000)
    for left, right in zip(one, other, strict=True):
        assert np.array_equal(left, right)
    different = _values(SimulatedSource(5, 200.0, 4, START_MS), 2_000, 1_000)
    assert not np.array_equal(one[2], different[2])


def test_simulated_sensors_default_to_ten_readings_a_second_each():
    source = SimulatedSource(12, None, 1, START_MS)
    assert len(source.read(START_MS + 1_000)) == 120


def test_a_source_left_alone_leaves_out_what_is_older_than_a_second():
    source = SimulatedSource(10, 100.0, 1, START_MS)
    readings = source.read(START_MS + 60_000)
    assert len(readings) == 100
    assert readings.timestamp[0] == START_MS + 59_000
    assert len(source.read(START_MS + 60_000)) == 0


def test_simulated_names_are_unique_and_sensors_are_noisy_around_a_level():
    source = SimulatedSource(100, 2_000.0, 1, START_MS)
    assert len({series.name for series in source.series}) == 100
    series, _, value = _values(source, 10_000, 1_000)
    for key in (0, 1, 2, 3):
        own = value[series == key]
        assert 0 < np.std(np.diff(own)) < abs(np.mean(own))


class _Machine:
    """Counters that a test moves."""

    def __init__(self, monkeypatch):
        self.loads = [12.5, 50.0]
        self.disk = SimpleNamespace(read_bytes=0, write_bytes=10_000_000)
        self.net = SimpleNamespace(bytes_recv=5_000, bytes_sent=7_000)
        self.chips = {"coretemp": [SimpleNamespace(current=41.0), SimpleNamespace(current=43.5)]}
        monkeypatch.setattr(psutil, "cpu_count", lambda: len(self.loads))
        monkeypatch.setattr(psutil, "cpu_percent", lambda percpu: self.loads)
        monkeypatch.setattr(psutil, "disk_io_counters", lambda: self.disk)
        monkeypatch.setattr(psutil, "net_io_counters", lambda: self.net)
        monkeypatch.setattr(psutil, "sensors_temperatures", lambda: self.chips, raising=False)
        monkeypatch.setattr(
            psutil, "virtual_memory", lambda: SimpleNamespace(total=3 << 20, available=1 << 20)
        )


@pytest.fixture
def machine(monkeypatch):
    return _Machine(monkeypatch)


def _named(source, readings):
    names = [source.series[index].name for index in readings.series]
    return dict(zip(names, readings.value.tolist(), strict=True))


def test_machine_rates_are_bytes_moved_between_two_looks(machine):
    source = MachineSource(None, START_MS)
    assert len(source.read(START_MS)) == 0  # the first look
    machine.disk = SimpleNamespace(read_bytes=500_000, write_bytes=10_000_000)
    machine.net = SimpleNamespace(bytes_recv=25_000, bytes_sent=7_100)
    readings = source.read(START_MS + 200)
    assert (readings.timestamp == START_MS + 200).all()
    found = _named(source, readings)
    assert found == {
        "cpu-0": 12.5,
        "cpu-1": 50.0,
        "memory": 2.0,
        "disk-read": 2.5,
        "disk-write": 0.0,
        "net-received": 100.0,
        "net-sent": 0.5,
    }


def test_machine_series_have_units_and_temperatures_come_once_a_second(machine):
    source = MachineSource(None, START_MS)
    units = {series.name: series.unit for series in source.series}
    assert units["cpu-0"] == "%"
    assert units["coretemp-1"] == "°C"
    found = [_named(source, source.read(START_MS + t)) for t in range(0, 3_001, 100)]
    assert sum("cpu-0" in each for each in found) == 30
    assert [t for t, each in enumerate(found) if "coretemp-1" in each] == [10, 20, 30]
    assert found[10]["coretemp-1"] == 43.5


def test_a_counter_that_goes_back_is_no_negative_rate(machine):
    source = MachineSource(None, START_MS)
    source.read(START_MS)
    machine.disk = SimpleNamespace(read_bytes=0, write_bytes=0)
    assert _named(source, source.read(START_MS + 100))["disk-write"] == 0.0


def test_what_the_machine_does_not_tell_is_left_out(machine, monkeypatch):
    machine.disk = machine.net = None
    monkeypatch.delattr(psutil, "sensors_temperatures", raising=False)
    source = MachineSource(None, START_MS)
    assert [series.name for series in source.series] == ["cpu-0", "cpu-1", "memory"]


def test_what_disappears_or_appears_later_does_no_harm(machine):
    source = MachineSource(None, START_MS)
    source.read(START_MS)
    machine.loads = [1.0, 2.0, 3.0]
    machine.chips = {}
    machine.net = None
    found = _named(source, source.read(START_MS + 1_000))
    assert set(found) == {"cpu-0", "cpu-1", "memory", "disk-read", "disk-write"}


def test_the_rate_is_shared_by_the_series(machine):
    machine.chips = {}
    source = MachineSource(70.0 * 2, START_MS)
    readings = [source.read(START_MS + t) for t in range(0, 1_001, 10)]
    assert sum(map(len, readings)) == 7 * 20


def test_many_cores_leave_memory_and_network_among_the_first(machine):
    machine.loads = [1.0] * 64
    names = [series.name for series in MachineSource(None, START_MS).series]
    assert names.index("memory") == 8
    assert names[-1] == "cpu-63"
    assert len(names) == len(set(names))


def test_this_very_machine_gives_finite_readings():
    source = MachineSource(None, START_MS)
    source.read(START_MS)
    readings = source.read(START_MS + 100)
    assert len(readings) >= 2
    assert np.isfinite(readings.value).all()
    assert (readings.value >= 0).all()
