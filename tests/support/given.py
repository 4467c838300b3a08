"""Settings given as flags, without environment and file."""

import pytest

from stream_ewma.errors import SettingsError
from stream_ewma.settings import Settings, load_settings

REQUIRED = {"input.topics": "readings", "smoothing.alpha": "0.1"}


def load(values: dict[str, object] | None = None) -> Settings:
    """Settings of `values` by dotted name, and of what must be given."""
    return load_settings(env={}, overrides=REQUIRED | (values or {}))


def problems(values: dict[str, object]) -> list[str]:
    """What is said of `values`."""
    with pytest.raises(SettingsError) as refused:
        load(values)
    return refused.value.problems
