"""stream-ewma: exponentially weighted smoothing of live numeric streams.

    from stream_ewma import ewma, smooth, Ewma

are the mathematics as a library; the service is the command `stream-ewma`, or

    async with Smoother(load_settings("stream-ewma.yaml")) as smoother:

inside a program of your own.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stream_ewma.errors import SettingsError, StreamEwmaError
    from stream_ewma.service.embedded import Smoother
    from stream_ewma.settings import Settings, load_settings
    from stream_ewma.smoothing.online import Ewma
    from stream_ewma.smoothing.options import Options
    from stream_ewma.smoothing.series import ewma, smooth

__all__ = [
    "Ewma",
    "Options",
    "Settings",
    "SettingsError",
    "Smoother",
    "StreamEwmaError",
    "__version__",
    "ewma",
    "load_settings",
    "smooth",
]

__version__ = "0.1.0"

_HOMES = {
    "Ewma": "smoothing.online",
    "Options": "smoothing.options",
    "Settings": "settings",
    "SettingsError": "errors",
    "Smoother": "service.embedded",
    "StreamEwmaError": "errors",
    "ewma": "smoothing.series",
    "load_settings": "settings",
    "smooth": "smoothing.series",
}


def __getattr__(name: str) -> Any:
    """Load the library on first use: `stream-ewma check` does without the compiler."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
