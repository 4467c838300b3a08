"""Spans are made only for who asks for them, and has what it takes."""

import sys

import pytest

from stream_ewma.errors import SettingsError
from stream_ewma.service.tracing import tracer_of
from stream_ewma.settings import Settings, load_settings


def settings(*, enabled: bool) -> Settings:
    given = {"input.topics": ["readings"], "smoothing.alpha": 0.5, "tracing.enabled": enabled}
    return load_settings(overrides=given, env={})


def test_nobody_has_asked() -> None:
    assert tracer_of(settings(enabled=False)) is None


def test_a_missing_package_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with pytest.raises(SettingsError, match=r"pip install 'stream-ewma\[tracing\]'"):
        tracer_of(settings(enabled=True))
