"""The position marker: to text and back, damage, newer versions."""

import json
from dataclasses import replace

import pytest

from stream_ewma.engine.changelog import ChangelogError
from stream_ewma.engine.marker import Marker

MARKER = Marker(12, -5, "abc", "readings", "id", 3, 8)


@pytest.mark.parametrize(
    "marker",
    [MARKER, replace(MARKER, event_time=None, topic_id=None, partitions=None)],
    ids=["all", "nulls"],
)
def test_goes_to_text_and_back(marker: Marker) -> None:
    assert Marker.from_bytes(marker.to_bytes()) == marker


def test_is_plain_json() -> None:
    assert json.loads(MARKER.to_bytes()) == {
        "version": 1,
        "next_offset": 12,
        "event_time": -5,
        "configuration": "abc",
        "topic": "readings",
        "topic_id": "id",
        "partition": 3,
        "partitions": 8,
    }


def test_passes_over_what_it_does_not_know() -> None:
    document = {**json.loads(MARKER.to_bytes()), "more": 1}
    assert Marker.from_bytes(json.dumps(document).encode()) == MARKER


def test_a_newer_version_is_named() -> None:
    document = {**json.loads(MARKER.to_bytes()), "version": 2}
    with pytest.raises(ChangelogError, match="written by a newer version: it has 2, this one kn"):
        Marker.from_bytes(json.dumps(document).encode())


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff", b"[1]", b"{}", b'{"version": "1"}', b"[" * 100_000]
)
def test_what_is_no_marker_is_refused(data: bytes) -> None:
    with pytest.raises(ChangelogError, match=r"^the position marker is damaged"):
        Marker.from_bytes(data)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("next_offset", None),
        ("next_offset", 1.0),
        ("next_offset", True),
        ("next_offset", 1 << 63),
        ("event_time", "1"),
        ("configuration", None),
        ("topic", 1),
        ("partition", None),
    ],
)
def test_every_entry_is_checked(name: str, value: object) -> None:
    document = {**json.loads(MARKER.to_bytes()), name: value}
    with pytest.raises(ChangelogError, match=f"marker is damaged: {name} is"):
        Marker.from_bytes(json.dumps(document).encode())
