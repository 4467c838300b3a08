"""Settings: the models, and the only reader of the environment."""

from stream_ewma.settings.load import load_settings
from stream_ewma.settings.models import Settings
from stream_ewma.settings.sections import (
    DeadLetterSettings,
    DeliverySettings,
    InputSettings,
    KafkaSettings,
    LogSettings,
    OutputSettings,
    StateSettings,
    TopicsSettings,
)
from stream_ewma.settings.smoothing import SmoothingSettings

__all__ = [
    "DeadLetterSettings",
    "DeliverySettings",
    "InputSettings",
    "KafkaSettings",
    "LogSettings",
    "OutputSettings",
    "Settings",
    "SmoothingSettings",
    "StateSettings",
    "TopicsSettings",
    "load_settings",
]
