"""Event times as text and as numbers, by kernel and by datetime."""

from datetime import date
from random import Random

import pytest

from stream_ewma.columns import as_bytes
from stream_ewma.payloads.timestamps import EPOCH_UNITS, _days, epoch_ms, read_rfc3339, text_ms


def kernel_ms(text):
    """What the kernel reads, None where it leaves the text to datetime."""
    data = as_bytes(text.encode())
    ms, sure = read_rfc3339(data, 0, len(data))
    return ms if sure else None


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-01-01T00:00:00.123Z", 1_767_225_600_123),
        ("2026-01-01t00:00:00.123z", 1_767_225_600_123),
        ("2026-01-01 00:00:00.1234567891Z", 1_767_225_600_123),
        ("2026-01-01T05:30:00+05:30", 1_767_225_600_000),
        ("2025-12-31T16:00:00-08:00", 1_767_225_600_000),
        ("2026-01-01T00:00:00-00:00", 1_767_225_600_000),
        ("2024-02-29T23:59:59.9Z", 1_709_251_199_900),
        ("2000-02-29T00:00:00Z", 951_782_400_000),
        ("1969-12-31T23:59:59.9999Z", -1),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
    ],
)
def test_rfc_3339_is_read_alike_by_kernel_and_datetime(text, ms):
    assert kernel_ms(text) == ms
    assert text_ms(text) == ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("20260101T000000Z", 1_767_225_600_000),
        ("2026-01-01T00:00+00:00", 1_767_225_600_000),
        ("2026-01-01T00:00:00,5Z", 1_767_225_600_500),
        ("2026-01-01T01+01", 1_767_225_600_000),
        ("2026-W01-4T00:00:00Z", 1_767_225_600_000),
    ],
)
def test_other_iso_8601_with_an_offset_is_left_to_datetime(text, ms):
    assert kernel_ms(text) is None
    assert text_ms(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "now",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.123",
            "0000-01-01T00:00:00Z",
        ),
        *(
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
        ),
        *(
            "2026-01-00T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-01-01T25:00:00Z",
            "2026-01-01T00:60:00Z",
        ),
        *(
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+24:00",
            " 2026-01-01T00:00:00Z",
        ),
        *(
            "2026-01-01T00:00:00ZZ",
            "2026-01-01T00:00:00+0x:00",
            "2026-01-01T00:00:00*01:00",
            "1767225600123",
        ),
        *(
            "2026/01/01T00:00:00Z",
            "2026-01-01_00:00:00Z",
            "2026-01/01T00:00:00Z",
            "2026-01-01T00.00:00Z",
            "2026-01-01T00:00.00Z",
            "2026-01-01T24:00:00Z",
        ),
        *("20x6-01-01T00:00:00Z", "2026-01-01T00:00:00+05_30"),
    ],
)
def test_what_is_no_moment_is_refused_by_both(text):
    assert kernel_ms(text) is None
    assert text_ms(text) is None


def test_every_day_of_four_centuries_and_the_last_year():
    first = date(1970, 1, 1).toordinal()
    for ordinal in [
        *range(date(1899, 1, 1).toordinal(), date(2301, 1, 1).toordinal(), 7),
        1,
        3_652_059,
    ]:
        day = date.fromordinal(ordinal)
        assert _days(day.year, day.month, day.day) == ordinal - first


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_epoch_numbers_end_where_doubles_stop_being_integers(unit):
    scale = EPOCH_UNITS[unit]
    assert epoch_ms(scale.limit, scale) is not None
    assert abs(epoch_ms(-scale.limit, scale)) <= 2**53
    assert epoch_ms(scale.limit + 1, scale) is None
    assert epoch_ms(-scale.limit - 1, scale) is None


def test_any_day_and_time_is_read_alike():
    generator = Random(7)
    for _ in range(3000):
        text = (
            f"{generator.randint(0, 9999):04}-{generator.randint(0, 13):02}-"
            f"{generator.randint(0, 32):02}{generator.choice('Tt _')}{generator.randint(0, 25):02}:"
            f"{generator.randint(0, 60):02}:{generator.randint(0, 60):02}"
            f"{generator.choice(['', '.5', '.123', '.1239999', '.', ',5'])}"
            f"{generator.choice(['Z', 'z', '+05:30', '-23:59', '+24:00', '+05:60', ''])}"
        )
        read = kernel_ms(text)
        assert read is None or read == text_ms(text)
